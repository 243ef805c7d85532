/**
 * `<dir>/repository.json`: which repository this data directory's backups are in, and where it was found last. A start that
 * finds an empty directory there looks at a mount point, as a rule: a new repository in it would hide that the real one
 * is missing, and let go of logs that the real one lacks.
 */
import { join } from 'node:path';
import { z } from 'zod';
import { CairnError } from '../base/errors.js';
import { atomicWriteFile, ignoreMissing, readFileBounded } from '../base/fs.js';
import { decodeDocument, encodeDocument } from '../format/document.js';

const MAX_BYTES = 64 << 10;

const schema = z.object({
  format: z.literal(1),
  repository_id: z.string().min(1).max(64),
  location: z.string().min(1),
});

export interface KnownRepository {
  repositoryId: string;
  location: string;
}

export interface RepositoryMemory {
  readonly path: string;
  /** null: none was ever attached. Throws where it cannot be read. */
  recall(): Promise<KnownRepository | null>;
  keep(known: KnownRepository): Promise<void>;
}

export function repositoryMemory(directory: string): RepositoryMemory {
  const path = join(directory, 'repository.json');
  return {
    path,
    async recall() {
      const bytes = await ignoreMissing(readFileBounded(path, MAX_BYTES));
      if (bytes === undefined) return null;
      try {
        const known = decodeDocument(bytes, { kind: 'repository.json', schema, maxBytes: MAX_BYTES });
        return { repositoryId: known.repository_id, location: known.location };
      } catch (error) {
        throw new CairnError(
          'BACKUPFAILED',
          `${path}, which says where the backups are, cannot be read: ${(error as Error).message}`,
          {
            hint: 'If backup.dir is the right place, remove that file: it is written anew.',
          },
        );
      }
    },
    keep: ({ repositoryId, location }) =>
      atomicWriteFile(path, encodeDocument({ format: 1, repository_id: repositoryId, location })),
  };
}
