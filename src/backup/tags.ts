/** Named moments: tags.json, rewritten whole, one change at a time. A tag holds no commits by itself. */
import { CairnError } from '../base/errors.js';
import { decodeTags, encodeTags, FormatError, MAX_TAGS_BYTES, TAGS_KEY, type Tag } from '../format/index.js';
import { type Store, StoreObjectMissing } from '../storage/store.js';
import type { Repository } from './repository.js';

export async function readTags(store: Store): Promise<Tag[]> {
  const bytes = await store.get(TAGS_KEY, MAX_TAGS_BYTES).catch((error: unknown) => {
    if (error instanceof StoreObjectMissing) return null;
    throw error;
  });
  if (bytes === null) return [];
  try {
    return decodeTags(bytes);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new CairnError('BACKUPMANIFEST', `${TAGS_KEY} cannot be trusted: ${error.message}`, {
      hint: 'Bring it back from a copy of the repository, or remove it: moments stay reachable by time and sequence.',
      cause: error,
    });
  }
}

/** The tag of that name; TAGNOTFOUND. */
export async function findTag(store: Store, name: string): Promise<Tag> {
  const tag = (await readTags(store)).find((other) => other.name === name);
  if (tag === undefined) throw unknownTag(name);
  return tag;
}

/** Throws ERR for a name that is taken. */
export async function requireNewTag(store: Store, name: string): Promise<void> {
  const known = (await readTags(store)).find((other) => other.name === name);
  if (known === undefined) return;
  throw new CairnError('ERR', `tag '${name}' exists already: it names ${known.timestamp}`, {
    hint: 'Choose another name, or say ADMIN.BACKUP UNTAG first.',
  });
}

export function addTag(repository: Repository, tag: Tag): Promise<void> {
  return repository.inTurn(async () => {
    await requireNewTag(repository.store, tag.name);
    const tags = await readTags(repository.store);
    await repository.store.put(TAGS_KEY, encodeTags([...tags, tag]));
  });
}

export function removeTag(repository: Repository, name: string): Promise<void> {
  return repository.inTurn(async () => {
    const tags = await readTags(repository.store);
    const left = tags.filter((tag) => tag.name !== name);
    if (left.length === tags.length) throw unknownTag(name);
    await repository.store.put(TAGS_KEY, encodeTags(left));
  });
}

function unknownTag(name: string): CairnError {
  return new CairnError('TAGNOTFOUND', `there is no tag '${name}'`, {
    hint: 'ADMIN.BACKUP TAGS shows the names that exist.',
    details: { name },
  });
}
