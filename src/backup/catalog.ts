/**
 * What the repository holds, in memory. The files are the truth (documents.ts), so that a manifest which somebody damaged,
 * removed or brought back is seen at the next LIST. One damaged entry never hides the others.
 *
 * A backup is listed when its manifest is there. Its state document (pin, verdicts) changes later; one that is lost or
 * damaged means pinned, because nobody can tell any more that it was not.
 */
import { CairnError } from '../base/errors.js';
import { sha256 } from '../base/hash.js';
import {
  type BackupState,
  decodeFileList,
  decodeManifest,
  decodeState,
  encodeState,
  type FileList,
  listKey,
  type Manifest,
  manifestKey,
  newState,
  parseManifestKey,
  parseStateKey,
  stateKey,
} from '../format/index.js';
import type { Log } from '../observability/log.js';
import { type Store, StoreObjectMissing } from '../storage/store.js';
import { Documents } from './documents.js';
import { ListIndex } from './list-index.js';

export interface BackupEntry {
  id: number;
  /** null: unreadable, see manifestError. */
  manifest: Manifest | null;
  manifestError: CairnError | null;
  /** SHA-256 of the manifest file as it is now. */
  manifestSha256: string | null;
  state: BackupState;
  /** false: lost or damaged, `state` is the careful default. */
  stateKnown: boolean;
  /** Why the state that is there cannot be read; null: it can, or there is none. */
  stateError: string | null;
  status: 'complete' | 'incomplete' | 'corrupt';
}

const MAX_MANIFEST_BYTES = 1 << 20;
const MAX_STATE_BYTES = 1 << 20;
const MAX_LIST_BYTES = 256 << 20;
const LISTS_KEPT = 8;
/** So many entries that change are put into the sorted ones by themselves. */
const FEW = 16;

interface OwnVerdict {
  status: BackupEntry['status'];
  reason: string | null;
  /** The state document that it was found beside; once the owner writes another one, that one counts. */
  beside: BackupState | null;
}

type LoadedManifest = {
  manifest: Manifest | null;
  error: CairnError | null;
  sha256: string | null;
};
interface LoadedState {
  /** null: unreadable, see error. */
  state: BackupState | null;
  error: string | null;
}

/** A state whose manifest is not there. */
export interface OrphanState {
  id: number;
  /** null: unreadable. */
  state: BackupState | null;
}

export class Catalog {
  readonly #store: Store;
  readonly #log: Log;
  readonly #manifests: Documents<LoadedManifest>;
  readonly #states: Documents<LoadedState>;
  readonly #entries = new Map<number, BackupEntry>();
  /** What entries() answered, until something changes. */
  #sorted: readonly BackupEntry[] | null = null;
  readonly #lists = new Map<string, FileList>();
  #index = new ListIndex();
  /** Verdicts of a server that may not write to the repository. */
  readonly #ownVerdicts = new Map<number, OwnVerdict>();
  #running: Promise<void> | null = null;
  #queued: Promise<void> | null = null;
  #stateWrites: Promise<unknown> = Promise.resolve();
  /** Being removed: there for nobody any more, though memory may still have them. */
  readonly #going = new Set<number>();

  constructor(store: Store, log: Log) {
    this.#store = store;
    this.#log = log;
    this.#manifests = new Documents({
      store,
      prefix: 'backups/',
      keyOf: manifestKey,
      idOf: parseManifestKey,
      maxBytes: MAX_MANIFEST_BYTES,
      read: (id, bytes) => this.#readManifest(id, bytes),
    });
    this.#states = new Documents({
      store,
      prefix: 'states/',
      keyOf: stateKey,
      idOf: parseStateKey,
      maxBytes: MAX_STATE_BYTES,
      read: (id, bytes) => this.#readState(id, bytes),
    });
  }

  /** Brings memory up to the files. A call made while one runs starts another after it, so that it sees what the caller did. */
  refresh(): Promise<void> {
    if (this.#running === null) {
      this.#running = this.#refresh().finally(() => {
        this.#running = null;
      });
      return this.#running;
    }
    this.#queued ??= this.#running
      .catch(() => undefined)
      .then(() => {
        this.#queued = null;
        return this.refresh();
      });
    return this.#queued;
  }

  /** The same for one backup, after its documents were written: nothing else is looked at. */
  async reload(id: number): Promise<void> {
    while (this.#running !== null) await this.#running.catch(() => undefined);
    this.#running = this.#reload(id).finally(() => {
      this.#running = null;
    });
    await this.#running;
  }

  /** Oldest first. */
  entries(): readonly BackupEntry[] {
    this.#sorted ??= [...this.#entries.values()].sort((a, b) => a.id - b.id);
    if (this.#going.size === 0) return this.#sorted;
    return this.#sorted.filter(({ id }) => !this.#going.has(id));
  }

  get(id: number): BackupEntry | null {
    return this.#going.has(id) ? null : (this.#entries.get(id) ?? null);
  }

  latestComplete(): BackupEntry | null {
    return this.entries().findLast((entry) => entry.status === 'complete') ?? null;
  }

  /** The highest id that any document bears. */
  highestId(): number {
    let highest = 0;
    for (const { id } of this.#manifests.all()) highest = Math.max(highest, id);
    for (const { id } of this.#states.all()) highest = Math.max(highest, id);
    return highest;
  }

  /** Ids of manifests that somebody lost: their states are there, and neither a create nor a delete accounts for that. */
  lostManifests(): number[] {
    return this.orphanStates().flatMap(({ id, state }) => (state?.transient === true ? [] : [id]));
  }

  /** States without a manifest: what an interrupted create or delete leaves, or what is left when somebody lost manifests. */
  orphanStates(): OrphanState[] {
    const orphans: OrphanState[] = [];
    for (const { id, value } of this.#states.all()) {
      if (!this.#entries.has(id)) orphans.push({ id, state: value.state });
    }
    return orphans;
  }

  /** The file list of a backup, read anew where `fresh` (memory may know what the disk has lost meanwhile); errors are BACKUPINCOMPLETE (missing) or BACKUPMANIFEST (does not match its name). */
  async fileList(entry: BackupEntry, options: { fresh?: boolean } = {}): Promise<FileList> {
    const hash = listHash(entry);
    if (hash === null) {
      throw new CairnError(
        'BACKUPMANIFEST',
        `backup ${entry.id}: neither its manifest nor its state says which files it has`,
      );
    }
    return this.readList(hash, entry.id, options);
  }

  async readList(hash: string, id: number, { fresh = false }: { fresh?: boolean } = {}): Promise<FileList> {
    const known = this.#lists.get(hash);
    if (known !== undefined && !fresh) return known;
    this.#lists.delete(hash);
    const bytes = await this.#store.get(listKey(hash), MAX_LIST_BYTES).catch((error: Error) => error);
    // Bytes of the same hash say the same.
    const list = listOf(hash, id, bytes, known);
    this.#lists.set(hash, list);
    for (const oldest of this.#lists.keys()) {
      if (this.#lists.size <= LISTS_KEPT) break;
      this.#lists.delete(oldest);
    }
    return list;
  }

  forgetList(hash: string): void {
    this.#lists.delete(hash);
    this.#index.forget(hash);
  }

  /**
   * What many lists name: hashes of lists, each with a backup that has it. Memory may know what the disk has lost meanwhile. Of those that
   * cannot be read: why.
   */
  async listIndex(
    wanted: Iterable<readonly [hash: string, id: number]>,
  ): Promise<{ index: ListIndex; unreadable: Map<string, unknown> }> {
    const index = this.#index;
    const unreadable = new Map<string, unknown>();
    const lacking = new Map<string, number>();
    for (const [hash, id] of wanted) if (!index.has(hash)) lacking.set(hash, id);
    const unknown = [...lacking];
    const keys = unknown.map(([hash]) => listKey(hash));
    let nth = 0;
    for await (const batch of this.#store.getMany(keys, MAX_LIST_BYTES)) {
      for (const { bytes, error } of batch) {
        const [hash, id] = unknown[nth++] as [string, number];
        try {
          index.add(hash, listOf(hash, id, error ?? bytes));
        } catch (thrown) {
          unreadable.set(hash, thrown);
        }
      }
    }
    if (index.isLarge) this.#index = new ListIndex();
    return { index, unreadable };
  }

  /**
   * Changes a backup's state document. `writable` false keeps the verdict in memory alone (another database's
   * repository: it is read, never written).
   */
  async updateState(id: number, writable: boolean, change: (state: BackupState) => BackupState): Promise<void> {
    const write = async (): Promise<void> => {
      const entry = this.get(id);
      if (entry === null) return;
      const next = change(entry.state);
      if (!writable) {
        const beside = this.#states.get(id)?.state ?? null;
        this.#ownVerdicts.set(id, { status: next.status, reason: next.reason, beside });
        return;
      }
      this.#ownVerdicts.delete(id);
      // A state that was lost is written anew, with the manifest as it is now; the careful default (pinned) stays.
      const { transient: _, ...settled } = next;
      await this.#store.put(stateKey(id), encodeState(settled));
    };
    // The next one in turn changes what this one wrote, not what memory had before it.
    await this.#inTurn(() => write().finally(() => this.reload(id)));
  }

  /**
   * Removes a backup's manifest. From when this is called nobody begins to read the backup, and nobody writes its state again:
   * without a manifest that would look as if somebody had lost it. Where the manifest stays, so does the backup.
   */
  async removeManifest(id: number): Promise<void> {
    this.#going.add(id);
    try {
      await this.#inTurn(async () => {
        await this.#markGoing(id);
        await this.#store.delete(manifestKey(id));
      });
    } catch (error) {
      this.#going.delete(id);
      await this.refresh();
      // It stays: should its manifest be lost some day, its state must not say that this was meant.
      if (this.get(id) !== null) await this.updateState(id, true, (state) => state).catch(() => undefined);
      throw error;
    }
  }

  /** A crash after its manifest went leaves a state that may go as well. One whose state cannot be changed stays. */
  async #markGoing(id: number): Promise<void> {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    try {
      await this.#store.put(stateKey(id), encodeState({ ...entry.state, transient: true }));
    } catch (error) {
      if (!(error instanceof CairnError && error.code === 'NOSPACE')) throw error;
      // On a full disk it cannot be said that the manifest goes; it goes all the same.
      this.#log.warn('that a backup goes could not be noted in its state', { id, error });
    }
  }

  async #inTurn(write: () => Promise<void>): Promise<void> {
    const turn = this.#stateWrites.then(write, write);
    this.#stateWrites = turn.catch(() => undefined);
    await turn;
  }

  async #refresh(): Promise<void> {
    const [manifests, states] = await Promise.all([this.#manifests.look(), this.#states.look()]);
    // Together: a manifest without its state, or the other way round, means something.
    this.#setEntries([...new Set([...this.#manifests.take(manifests), ...this.#states.take(states)])]);
    for (const id of this.#going) if (!this.#entries.has(id)) this.#going.delete(id);
  }

  async #reload(id: number): Promise<void> {
    const manifest = await this.#manifests.lookAt(id);
    const state = await this.#states.lookAt(id);
    this.#manifests.takeOne(id, manifest);
    this.#states.takeOne(id, state);
    this.#setEntries([id]);
    if (manifest === null) this.#going.delete(id);
  }

  /** Makes anew what is known of these backups, from their documents. */
  #setEntries(ids: readonly number[]): void {
    for (const id of ids) {
      const manifest = this.#manifests.get(id);
      if (manifest === undefined) this.#entries.delete(id);
      else this.#entries.set(id, this.#entry(id, manifest, this.#states.get(id)));
    }
    if (this.#sorted === null || ids.length === 0) return;
    this.#sorted = ids.length > FEW ? null : ids.reduce(withEntry(this.#entries), this.#sorted);
  }

  #readManifest(id: number, bytes: Buffer | Error): LoadedManifest {
    if (bytes instanceof Error) return { manifest: null, sha256: null, error: unreadable(id, bytes.message) };
    try {
      return { manifest: decodeManifest(bytes, id), sha256: sha256(bytes), error: null };
    } catch (error) {
      const reason = (error as Error).message;
      this.#log.warn('manifest unreadable', { id, key: manifestKey(id), reason });
      return { manifest: null, sha256: sha256(bytes), error: unreadable(id, reason) };
    }
  }

  #readState(id: number, bytes: Buffer | Error): LoadedState {
    try {
      if (bytes instanceof Error) throw bytes;
      return { state: decodeState(bytes, id), error: null };
    } catch (error) {
      const reason = (error as Error).message;
      this.#log.warn('state unreadable: the backup counts as pinned', { id, key: stateKey(id), reason });
      return { state: null, error: reason };
    }
  }

  #entry(id: number, loaded: LoadedManifest, found: LoadedState | undefined): BackupEntry {
    const state = found?.state ?? null;
    let { manifest, error } = loaded;
    if (state !== null && manifest !== null && state.manifest_sha256 !== loaded.sha256) {
      error = unreadable(
        id,
        `it has SHA-256 ${loaded.sha256}, but ${state.manifest_sha256} was recorded when it was written`,
      );
      manifest = null;
    }
    const usable =
      state ??
      newState(id, loaded.sha256 ?? '0'.repeat(64), {
        pinned: true,
        list_sha256: manifest?.list.sha256 ?? null,
      });
    const verdict = this.#ownVerdicts.get(id);
    const own = verdict?.beside === state ? verdict : undefined;
    const status = manifest === null ? 'corrupt' : (own?.status ?? usable.status);
    return {
      id,
      manifest,
      manifestError: error,
      manifestSha256: loaded.sha256,
      state: usable,
      stateKnown: state !== null,
      stateError: found?.error ?? null,
      status,
    };
  }
}

/** Sorted entries as they are with the present one of this id, or without it; those that were handed out stay as they are. */
function withEntry(entries: ReadonlyMap<number, BackupEntry>) {
  return (sorted: readonly BackupEntry[], id: number): readonly BackupEntry[] => {
    let [from, to] = [0, sorted.length];
    while (from < to) {
      const middle = (from + to) >>> 1;
      if ((sorted[middle] as BackupEntry).id < id) from = middle + 1;
      else to = middle;
    }
    const entry = entries.get(id);
    const next = sorted.slice();
    next.splice(from, sorted[from]?.id === id ? 1 : 0, ...(entry === undefined ? [] : [entry]));
    return next;
  };
}

/** Which file list a backup has, as its manifest or else its state says; null: nobody knows. */
export function listHash({ manifest, state }: BackupEntry): string | null {
  return manifest?.list.sha256 ?? state.list_sha256;
}

/** A list from what was got for it; errors are BACKUPINCOMPLETE (missing), BACKUPCORRUPT or BACKUPMANIFEST. */
function listOf(hash: string, id: number, bytes: Buffer | Error, known?: FileList): FileList {
  if (bytes instanceof StoreObjectMissing) {
    throw new CairnError('BACKUPINCOMPLETE', `backup ${id}: its file list ${listKey(hash)} is missing`, {
      hint: 'Bring the object back from a copy of the repository, or delete the backup.',
      details: { id, missing: [listKey(hash)] },
    });
  }
  if (bytes instanceof Error) throw bytes;
  const actual = sha256(bytes);
  if (actual !== hash) {
    throw new CairnError('BACKUPCORRUPT', `backup ${id}: its file list ${listKey(hash)} has SHA-256 ${actual}`, {
      hint: 'Bring the object back from a copy of the repository, or delete the backup.',
      details: { id, corrupt: [listKey(hash)], expected: hash, actual },
    });
  }
  try {
    return known ?? decodeFileList(bytes);
  } catch (error) {
    throw new CairnError(
      'BACKUPMANIFEST',
      `backup ${id}: its file list ${listKey(hash)} is not one (${(error as Error).message})`,
      { cause: error },
    );
  }
}

function unreadable(id: number, reason: string): CairnError {
  return new CairnError(
    'BACKUPMANIFEST',
    `backup ${id}: its manifest ${manifestKey(id)} cannot be trusted: ${reason}`,
    {
      hint: 'Bring the manifest back from a copy of the repository, or use another backup.',
      details: { id, key: manifestKey(id) },
    },
  );
}
