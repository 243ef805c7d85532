/** A keyspace on a real database in a directory of its own, with a clock that the test moves. */
import type { WallClock } from '../../src/base/clock.js';
import { openDatabase } from '../../src/engine/index.js';
import type { Database, OpenOptions } from '../../src/engine/types.js';
import type { Keyspace, Outcome } from '../../src/keyspace/keyspace.js';
import { type KeyspaceOptions, openKeyspace } from '../../src/keyspace/open.js';
import type { Transaction } from '../../src/keyspace/transaction.js';
import { silentLog } from '../support/log.js';

export class TestClock implements WallClock {
  constructor(public us = Date.now() * 1000) {}

  nowUs(): number {
    return this.us;
  }

  advanceMs(ms: number): void {
    this.us += ms * 1000;
  }
}

export interface Opened {
  keyspace: Keyspace;
  database: Database;
  clock: TestClock;
}

export async function open(
  path: string,
  options: Partial<KeyspaceOptions> = {},
  engine: OpenOptions = {},
): Promise<Opened> {
  const database = await openDatabase(path, { createIfMissing: true, walTtlSeconds: 'forever', ...engine });
  const clock = (options.wallClock as TestClock | undefined) ?? new TestClock();
  const keyspace = await openKeyspace({
    database,
    kind: 'native',
    timeline: 1,
    clockFloorUs: 0,
    durability: () => 'no',
    expire: true,
    log: silentLog(),
    wallClock: clock,
    ...options,
  });
  return { keyspace, database, clock };
}

/** Runs the body and waits until it is durable. */
export async function commit<T>(keyspace: Keyspace, body: (tx: Transaction) => T): Promise<T> {
  const outcome: Outcome<T> = await keyspace.execute(body);
  await outcome.durable;
  return outcome.value;
}

export const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');

export function set(keyspace: Keyspace, key: string, value: string, expiresAtMs: number | null = null, database = 0) {
  return commit(keyspace, (tx) => tx.put(database, bytes(key), { type: 'string', bytes: bytes(value), expiresAtMs }));
}

export function get(keyspace: Keyspace, key: string, database = 0): Promise<string | null> {
  return commit(keyspace, (tx) => tx.get(database, bytes(key))?.bytes.toString('latin1') ?? null);
}

export function remove(keyspace: Keyspace, key: string, database = 0): Promise<boolean> {
  return commit(keyspace, (tx) => tx.delete(database, bytes(key)));
}

/** Every key of a database, by one scan. */
export async function allKeys(keyspace: Keyspace, database = 0): Promise<string[]> {
  const request = {
    database,
    after: null,
    prefix: Buffer.alloc(0),
    limit: Number.MAX_SAFE_INTEGER,
    accept: () => true,
  };
  return (await keyspace.scan(request)).keys.map((key) => key.toString('latin1'));
}
