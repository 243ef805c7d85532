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
  hand: Handled;
}

export async function open(
  path: string,
  options: Partial<KeyspaceOptions> = {},
  engine: OpenOptions = {},
): Promise<Opened> {
  const database = await openDatabase(path, { createIfMissing: true, walTtlSeconds: 'forever', ...engine });
  const clock = (options.wallClock as TestClock | undefined) ?? new TestClock();
  const hand = handled(database);
  const keyspace = await openKeyspace({
    database: hand.database,
    kind: 'native',
    timeline: 1,
    clockFloorUs: 0,
    durability: () => 'no',
    expire: true,
    log: silentLog(),
    wallClock: clock,
    ...options,
  });
  return { keyspace, database, clock, hand };
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

/**
 * A real database with a hand on its writes: they can be recorded, held back and made to fail. Other methods can be
 * replaced by assignment.
 */
export interface Handled {
  database: Database;
  writes: { sync: boolean; bytes: number }[];
  syncs: number;
  /** Awaited before each write reaches the database; what it throws is what the write fails with. */
  beforeWrite: () => Promise<void>;
  beforeSync: () => Promise<void>;
}

export function handled(database: Database): Handled {
  const hand: Handled = {
    database,
    writes: [],
    syncs: 0,
    beforeWrite: async () => {},
    beforeSync: async () => {},
  };
  const replaced = new Map<PropertyKey, unknown>();
  hand.database = new Proxy(database, {
    set(_target, name, value) {
      replaced.set(name, value);
      return true;
    },
    get(target, name) {
      if (replaced.has(name)) return replaced.get(name);
      if (name === 'write') {
        return async (rep: Buffer, options?: { sync?: boolean }) => {
          hand.writes.push({ sync: options?.sync === true, bytes: rep.length });
          await hand.beforeWrite();
          await target.write(rep, options);
        };
      }
      if (name === 'syncWal') {
        return async () => {
          await hand.beforeSync();
          await target.syncWal();
          hand.syncs += 1;
        };
      }
      const value = Reflect.get(target, name, target) as unknown;
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  return hand;
}

/** A promise and the function that fulfils it. */
export function gate(): { opened: Promise<void>; open: () => void } {
  let open = (): void => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

/** Waits until something holds, looking once per turn of the event loop; gives up after a while. */
export async function until(what: string, holds: () => boolean | Promise<boolean>, timeoutMs = 10_000): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`${what}: not within ${timeoutMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
