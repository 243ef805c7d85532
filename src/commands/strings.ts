/** Strings: GET SET GETDEL MGET MSET SETNX SETEX APPEND STRLEN. */
import { CairnError } from '../base/errors.js';
import type { Transaction } from '../keyspace/transaction.js';
import { OK, type Reply } from '../resp/reply.js';
import type { DataCommand } from './command.js';
import { expiresAt } from './expire-time.js';
import type { Session } from './session.js';
import { parseSetOptions } from './set-options.js';

/** Redis's proto-max-bulk-len. */
const MAX_STRING_BYTES = 512 * 1024 * 1024;

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

const setex: DataCommand = {
  name: 'setex',
  kind: 'data',
  run(tx, args, { database }) {
    const [key, seconds, bytes] = args as [Buffer, Buffer, Buffer];
    const expiresAtMs = expiresAt(seconds, { seconds: true, absolute: false }, tx.nowMs, 'setex');
    tx.put(database, key, { type: 'string', bytes, expiresAtMs });
    return OK;
  },
};

const append: DataCommand = {
  name: 'append',
  kind: 'data',
  run(tx, args, { database }) {
    const [key, more] = args as [Buffer, Buffer];
    const old = tx.get(database, key);
    const length = (old?.bytes.length ?? 0) + more.length;
    if (length > MAX_STRING_BYTES) {
      throw new CairnError('ERR', 'string exceeds maximum allowed size (proto-max-bulk-len)');
    }
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

export const stringCommands: readonly DataCommand[] = [get, set, getdel, mget, mset, setnx, setex, append, strlen];
