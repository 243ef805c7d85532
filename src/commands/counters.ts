/** INCR DECR INCRBY DECRBY: strings that hold a 64-bit integer. */
import { CairnError } from '../base/errors.js';
import type { Transaction } from '../keyspace/transaction.js';
import type { Reply } from '../resp/reply.js';
import type { DataCommand } from './command.js';
import { INT64_MAX, INT64_MIN, integer } from './integers.js';

const incr: DataCommand = {
  name: 'incr',
  kind: 'data',
  run: (tx, args, { database }) => add(tx, database, args[0] as Buffer, 1),
};

const decr: DataCommand = {
  name: 'decr',
  kind: 'data',
  run: (tx, args, { database }) => add(tx, database, args[0] as Buffer, -1),
};

const incrby: DataCommand = {
  name: 'incrby',
  kind: 'data',
  run: (tx, args, { database }) => add(tx, database, args[0] as Buffer, integer(args[1] as Buffer)),
};

const decrby: DataCommand = {
  name: 'decrby',
  kind: 'data',
  run(tx, args, { database }) {
    const amount = integer(args[1] as Buffer);
    if (amount === INT64_MIN) throw new CairnError('ERR', 'decrement would overflow');
    return add(tx, database, args[0] as Buffer, -amount);
  },
};

function add(tx: Transaction, database: number, key: Buffer, amount: number | bigint): Reply {
  const old = tx.get(database, key);
  const before = old === undefined ? 0 : integer(old.bytes);
  const sum = plus(before, amount);
  tx.put(database, key, { type: 'string', bytes: Buffer.from(String(sum)), expiresAtMs: old?.expiresAtMs ?? null });
  return sum;
}

function plus(a: number | bigint, b: number | bigint): number | bigint {
  if (typeof a === 'number' && typeof b === 'number' && Number.isSafeInteger(a + b)) return a + b;
  const sum = BigInt(a) + BigInt(b);
  if (sum > INT64_MAX || sum < INT64_MIN) throw new CairnError('ERR', 'increment or decrement would overflow');
  return sum;
}

export const counterCommands: readonly DataCommand[] = [incr, decr, incrby, decrby];
