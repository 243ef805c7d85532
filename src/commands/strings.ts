/** Strings: GET SET GETSET GETDEL GETEX MGET MSET MSETNX SETNX SETEX PSETEX APPEND STRLEN. */
import { CairnError } from '../base/errors.js';
import type { Transaction } from '../keyspace/transaction.js';
import { OK, type Reply } from '../resp/reply.js';
import type { DataCommand } from './command.js';
import { expiresAt } from './expire-time.js';
import type { Session } from './session.js';
import { parseGetexOption, parseSetOptions } from './set-options.js';

const get: DataCommand = {
  name: 'get',
  kind: 'data',
  run: (tx, args, session) => tx.get(session.database, args[0] as Buffer)?.bytes ?? null,
};

const set: DataCommand = {
  name: 'set',
  kind: 'data',
  run(tx, args, session) {
    const [key, bytes] = args as [Buffer, Buffer];
    if (args.length > 2) return setWithOptions(tx, args, session);
    tx.put(session.database, key, { type: 'string', bytes, expiresAtMs: null });
    return OK;
  },
};

function setWithOptions(tx: Transaction, args: readonly Buffer[], { database }: Session): Reply {
  const [key, bytes] = args as [Buffer, Buffer];
  const options = parseSetOptions(args.slice(2), tx.nowMs);
  const old = tx.get(database, key);
  const answer = options.get ? (old?.bytes ?? null) : OK;
  if (options.ifExists !== null && options.ifExists !== (old !== undefined)) return options.get ? answer : null;
  const expiresAtMs = options.keepTtl ? (old?.expiresAtMs ?? null) : options.expiresAtMs;
  tx.put(database, key, { type: 'string', bytes, expiresAtMs });
  return answer;
}

const getdel: DataCommand = {
  name: 'getdel',
  kind: 'data',
  run(tx, args, { database }) {
    const key = args[0] as Buffer;
    const value = tx.get(database, key);
    if (value === undefined) return null;
    tx.delete(database, key);
    return value.bytes;
  },
};

const mget: DataCommand = {
  name: 'mget',
  kind: 'data',
  run: (tx, args, { database }) => args.map((key) => tx.get(database, key)?.bytes ?? null),
};

const mset: DataCommand = {
  name: 'mset',
  kind: 'data',
  run(tx, args, { database }) {
    if (args.length % 2 !== 0) throw new CairnError('ERR', "wrong number of arguments for 'mset' command");
    for (let at = 0; at < args.length; at += 2) {
      tx.put(database, args[at] as Buffer, { type: 'string', bytes: args[at + 1] as Buffer, expiresAtMs: null });
    }
    return OK;
  },
};

const setnx: DataCommand = {
  name: 'setnx',
  kind: 'data',
  run(tx, args, { database }) {
    const [key, bytes] = args as [Buffer, Buffer];
    if (tx.get(database, key) !== undefined) return 0;
    tx.put(database, key, { type: 'string', bytes, expiresAtMs: null });
    return 1;
  },
};

const setWithExpiry = (name: string, seconds: boolean): DataCommand => ({
  name,
  kind: 'data',
  run(tx, args, { database }) {
    const [key, amount, bytes] = args as [Buffer, Buffer, Buffer];
    const expiresAtMs = expiresAt(amount, { seconds, absolute: false }, tx.nowMs, name);
    tx.put(database, key, { type: 'string', bytes, expiresAtMs });
    return OK;
  },
});

const getset: DataCommand = {
  name: 'getset',
  kind: 'data',
  run(tx, args, { database }) {
    const [key, bytes] = args as [Buffer, Buffer];
    const old = tx.get(database, key);
    tx.put(database, key, { type: 'string', bytes, expiresAtMs: null });
    return old?.bytes ?? null;
  },
};

const getex: DataCommand = {
  name: 'getex',
  kind: 'data',
  run(tx, args, { database }) {
    const [key, ...words] = args as [Buffer, ...Buffer[]];
    const option = parseGetexOption(words);
    const value = tx.get(database, key);
    if (value === undefined) return null;
    if (option === null) return value.bytes;
    const expiresAtMs = option === 'persist' ? null : expiresAt(option.amount, option.unit, tx.nowMs, 'getex');
    if (expiresAtMs !== null && expiresAtMs <= tx.nowMs) tx.delete(database, key);
    else if (expiresAtMs !== value.expiresAtMs) tx.put(database, key, { ...value, expiresAtMs });
    return value.bytes;
  },
};

const msetnx: DataCommand = {
  name: 'msetnx',
  kind: 'data',
  run(tx, args, { database }) {
    if (args.length % 2 !== 0) throw new CairnError('ERR', "wrong number of arguments for 'msetnx' command");
    const keys = args.filter((_, at) => at % 2 === 0);
    if (keys.some((key) => tx.get(database, key) !== undefined)) return 0;
    for (const [at, key] of keys.entries()) {
      tx.put(database, key, { type: 'string', bytes: args[at * 2 + 1] as Buffer, expiresAtMs: null });
    }
    return 1;
  },
};

/** Throws when a string would be longer than proto_max_bulk_len, as in Redis. */
export function requireStringSize(bytes: number, { maxStringBytes }: Session): void {
  if (bytes <= maxStringBytes) return;
  throw new CairnError('ERR', 'string exceeds maximum allowed size (proto-max-bulk-len)');
}

const append: DataCommand = {
  name: 'append',
  kind: 'data',
  run(tx, args, session) {
    const { database } = session;
    const [key, more] = args as [Buffer, Buffer];
    const old = tx.get(database, key);
    const length = (old?.bytes.length ?? 0) + more.length;
    requireStringSize(length, session);
    const bytes = old === undefined ? more : Buffer.concat([old.bytes, more], length);
    tx.put(database, key, { type: 'string', bytes, expiresAtMs: old?.expiresAtMs ?? null });
    return length;
  },
};

const strlen: DataCommand = {
  name: 'strlen',
  kind: 'data',
  run: (tx, args, { database }) => tx.get(database, args[0] as Buffer)?.bytes.length ?? 0,
};

export const stringCommands: readonly DataCommand[] = [
  get,
  set,
  getset,
  getdel,
  getex,
  mget,
  mset,
  msetnx,
  setnx,
  setWithExpiry('setex', true),
  setWithExpiry('psetex', false),
  append,
  strlen,
];
