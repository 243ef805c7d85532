/**
 * An append-only file of JSON lines, one record a line. A torn last line (a crash while appending) is dropped; a line
 * that does not parse is skipped, because what the journal holds is a record of the past and never decides over data.
 */
import { constants } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import { atomicWriteFile, FILE_MODE } from '../base/fs.js';

/** Through no link. */
const APPEND = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW;

export interface Journal<T> {
  read(): Promise<T[]>;
  /** `durable`: a power cut must not lose it either. */
  append(record: T, durable?: boolean): Promise<void>;
  rewrite(records: T[]): Promise<void>;
  /** Waits for appends in flight. */
  close(): Promise<void>;
}

export function fileJournal<T>(path: string, isRecord: (value: unknown) => value is T): Journal<T> {
  let tail: Promise<unknown> = Promise.resolve();
  /** The last append failed and may have left a part of a line. */
  let torn = false;
  /** Appends run one after the other, so that lines never interleave. */
  const inTurn = <R>(work: () => Promise<R>): Promise<R> => {
    const next = tail.then(work, work);
    tail = next.catch(() => undefined);
    return next;
  };
  return {
    async read() {
      const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return '';
        throw error;
      });
      return text.split('\n').flatMap((line) => {
        const value = parseLine(line);
        return isRecord(value) ? [value] : [];
      });
    },
    append: (record, durable = false) =>
      inTurn(async () => {
        const file = await open(path, APPEND, FILE_MODE);
        try {
          const line = `${torn ? '\n' : ''}${JSON.stringify(record)}\n`;
          torn = true;
          await file.appendFile(line);
          torn = false;
          if (durable) await file.datasync();
        } finally {
          await file.close();
        }
      }),
    rewrite: (records) =>
      inTurn(() => atomicWriteFile(path, Buffer.from(records.map((record) => `${JSON.stringify(record)}\n`).join('')))),
    close: async () => {
      await tail;
    },
  };
}

/** A journal whose writes never fail: a full disk must not keep anybody from starting, pruning or restoring. `failed` is told. */
export function lenientJournal<T>(journal: Journal<T>, failed: (error: unknown) => void): Journal<T> {
  return {
    ...journal,
    append: (record, durable) => journal.append(record, durable).catch(failed),
    rewrite: (records) => journal.rewrite(records).catch(failed),
  };
}

/** For a server without a data directory of its own (serve --data-dir): nothing outlives it. */
export function memoryJournal<T>(): Journal<T> {
  return {
    read: async () => [],
    append: async () => {},
    rewrite: async () => {},
    close: async () => {},
  };
}

function parseLine(line: string): unknown {
  if (line === '') return undefined;
  try {
    return JSON.parse(line) as unknown;
  } catch {
    return undefined;
  }
}
