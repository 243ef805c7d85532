/** EXPIRE PEXPIRE EXPIREAT PEXPIREAT TTL PTTL EXPIRETIME PEXPIRETIME PERSIST. A time that has come already removes the key at once. */
import { CairnError, oneLine } from '../base/errors.js';
import type { Transaction } from '../keyspace/transaction.js';
import type { DataCommand } from './command.js';
import { expiresAtOrBefore, type TimeUnit } from './expire-time.js';
import { word } from './words.js';

const NO_KEY = -2;
const NO_EXPIRY = -1;

const expire = (name: string, unit: TimeUnit): DataCommand => ({
  name,
  kind: 'data',
  run(tx, args, { database }) {
    const [key, amount, ...options] = args as [Buffer, Buffer, ...Buffer[]];
    const conditions = parseConditions(options);
    const expiresAtMs = expiresAtOrBefore(amount, unit, tx.nowMs, name);
    return expireAt(tx, database, key, expiresAtMs, conditions) ? 1 : 0;
  },
});

const ttl: DataCommand = {
  name: 'ttl',
  kind: 'data',
  run(tx, args, { database }) {
    const left = timeLeft(tx, database, args[0] as Buffer);
    return left < 0 ? left : Math.floor((left + 500) / 1000);
  },
};

const pttl: DataCommand = {
  name: 'pttl',
  kind: 'data',
  run: (tx, args, { database }) => timeLeft(tx, database, args[0] as Buffer),
};

const expireTime = (name: string, perSecond: boolean): DataCommand => ({
  name,
  kind: 'data',
  run(tx, args, { database }) {
    const value = tx.get(database, args[0] as Buffer);
    if (value === undefined) return NO_KEY;
    if (value.expiresAtMs === null) return NO_EXPIRY;
    return perSecond ? Math.floor((value.expiresAtMs + 500) / 1000) : value.expiresAtMs;
  },
});

const persist: DataCommand = {
  name: 'persist',
  kind: 'data',
  run(tx, args, { database }) {
    const key = args[0] as Buffer;
    const value = tx.get(database, key);
    if (value === undefined || value.expiresAtMs === null) return 0;
    tx.put(database, key, { ...value, expiresAtMs: null });
    return 1;
  },
};

function expireAt(
  tx: Transaction,
  database: number,
  key: Buffer,
  expiresAtMs: number,
  conditions: Set<string>,
): boolean {
  const value = tx.get(database, key);
  if (value === undefined || !holds(conditions, value.expiresAtMs, expiresAtMs)) return false;
  if (expiresAtMs <= tx.nowMs) tx.delete(database, key);
  else tx.put(database, key, { ...value, expiresAtMs });
  return true;
}

function holds(conditions: Set<string>, before: number | null, after: number): boolean {
  if (conditions.has('NX') && before !== null) return false;
  if (conditions.has('XX') && before === null) return false;
  // No expiry is one that is infinitely far away.
  if (conditions.has('GT') && (before === null || after <= before)) return false;
  return !(conditions.has('LT') && before !== null && after >= before);
}

function parseConditions(args: readonly Buffer[]): Set<string> {
  const conditions = new Set<string>();
  for (const arg of args) {
    const condition = word(arg);
    if (!['NX', 'XX', 'GT', 'LT'].includes(condition)) {
      throw new CairnError('ERR', `Unsupported option ${oneLine(arg.toString('utf8', 0, 128))}`);
    }
    conditions.add(condition);
  }
  if (conditions.has('NX') && conditions.size > 1) {
    throw new CairnError('ERR', 'NX and XX, GT or LT options at the same time are not compatible');
  }
  if (conditions.has('GT') && conditions.has('LT')) {
    throw new CairnError('ERR', 'GT and LT options at the same time are not compatible');
  }
  return conditions;
}

/** Milliseconds, never negative; or NO_KEY, NO_EXPIRY. */
function timeLeft(tx: Transaction, database: number, key: Buffer): number {
  const value = tx.get(database, key);
  if (value === undefined) return NO_KEY;
  return value.expiresAtMs === null ? NO_EXPIRY : Math.max(0, value.expiresAtMs - tx.nowMs);
}

export const expiryCommands: readonly DataCommand[] = [
  expire('expire', { seconds: true, absolute: false }),
  expire('pexpire', { seconds: false, absolute: false }),
  expire('expireat', { seconds: true, absolute: true }),
  expire('pexpireat', { seconds: false, absolute: true }),
  ttl,
  pttl,
  expireTime('expiretime', true),
  expireTime('pexpiretime', false),
  persist,
];
