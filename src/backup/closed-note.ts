/**
 * `<dir>/closed.json`: where the live database stood when a server last closed it cleanly. RocksDB opens a database whose last
 * log was lost, or whose MANIFEST lost its end, as if what was in them had never been; the sequence of what it finds
 * tells. It is a lower bound: a server that was killed since leaves an older note, and that holds as well.
 */
import { join } from 'node:path';
import { z } from 'zod';
import { CairnError } from '../base/errors.js';
import { atomicWriteFile, ignoreMissing, readFileBounded } from '../base/fs.js';
import { decodeDocument, encodeDocument } from '../format/document.js';
import type { Log } from '../observability/log.js';

const MAX_BYTES = 64 << 10;

const schema = z.object({
  format: z.literal(1),
  database: z.string().min(1).max(255),
  sequence: z.number().int().min(0),
});

export interface ClosedNote {
  /** Throws MISCONF where the database that is about to be served has lost commits since it was closed. */
  require(database: string, sequence: number): Promise<void>;
  keep(database: string, sequence: number): Promise<void>;
}

export function closedNote(directory: string, log: Log): ClosedNote {
  const path = join(directory, 'closed.json');
  const recall = async (): Promise<{ database: string; sequence: number } | null> => {
    try {
      const bytes = await ignoreMissing(readFileBounded(path, MAX_BYTES));
      return bytes === undefined ? null : decodeDocument(bytes, { kind: 'closed.json', schema, maxBytes: MAX_BYTES });
    } catch (error) {
      log.warn('where the database was closed cannot be read: it is not compared', { path, error });
      return null;
    }
  };
  return {
    async require(database, sequence) {
      const known = await recall();
      if (known === null || known.database !== database || sequence >= known.sequence) return;
      throw new CairnError(
        'MISCONF',
        `${database} in ${directory} ends at sequence ${sequence}, but was closed at ${known.sequence}: it lost its last log, or the end of its MANIFEST`,
        {
          hint: `Bring the files back, or restore: RESTORE LATEST with a target has what was archived. To serve what is left, remove ${path} and restart.`,
          details: { kind: 'lost', path, expected: known.sequence, actual: sequence },
        },
      );
    },
    keep: (database, sequence) => atomicWriteFile(path, encodeDocument({ format: 1, database, sequence })),
  };
}
