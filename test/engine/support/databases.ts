/** Databases for the engine's tests: in a directory of their own, closed and removed with the test. */
import { join } from 'node:path';
import type { Test } from 'tap';
import { BatchBuilder, decodeBlock, openDatabase } from '../../../src/engine/index.js';
import type { Database, IterateOptions, OpenOptions } from '../../../src/engine/types.js';
import { scratch } from '../../support/scratch.js';

/** A fresh database; it is closed when the test ends, whatever happened. */
export async function database(t: Test, options: OpenOptions = {}): Promise<Database> {
  return reopen(t, join(scratch(t), 'db'), { createIfMissing: true, ...options });
}

export async function reopen(t: Test, path: string, options: OpenOptions = {}): Promise<Database> {
  const db = await openDatabase(path, options);
  t.teardown(() => db.close());
  return db;
}

export function bytes(text: string): Buffer {
  return Buffer.from(text);
}

/** Writes one batch of puts. */
export function put(db: Database, entries: Record<string, string>, options?: { sync?: boolean; disableWal?: boolean }) {
  const batch = new BatchBuilder();
  for (const [key, value] of Object.entries(entries)) batch.put(bytes(key), bytes(value));
  return db.write(batch.finish(), options);
}

/** Writes `count` commits of one key each, `commit-<n>`, with a value of `valueBytes`. */
export async function commits(db: Database, from: number, count: number, valueBytes = 10): Promise<void> {
  for (let n = from; n < from + count; n++) {
    const batch = new BatchBuilder();
    batch.logData(bytes(`mark-${n}`));
    batch.put(bytes(`commit-${n}`), Buffer.alloc(valueBytes, String(n % 10)));
    await db.write(batch.finish());
  }
}

export async function scan(db: Database, options?: IterateOptions): Promise<[string, string][]> {
  const iterator = db.iterate(options);
  const entries: [string, string][] = [];
  for (let block = await iterator.next(); block !== null; block = await iterator.next()) {
    for (const { key, value } of decodeBlock(block)) entries.push([key.toString('latin1'), value.toString('latin1')]);
  }
  await iterator.close();
  return entries;
}

/** The error's code and kind: what callers decide by. */
export async function failure(call: () => unknown): Promise<{ code: unknown; kind: unknown; message: string }> {
  try {
    await call();
  } catch (thrown) {
    const error = thrown as Error & { code?: unknown; details?: { kind?: unknown } };
    return { code: error.code, kind: error.details?.kind, message: error.message };
  }
  return { code: null, kind: null, message: 'did not fail' };
}
