/** Keys of any type: DEL UNLINK EXISTS TOUCH TYPE RENAME RENAMENX COPY MOVE RANDOMKEY. */
import { CairnError } from '../base/errors.js';
import type { ScanPage, ScanRequest } from '../keyspace/transaction.js';
import { OK, type Reply, Simple } from '../resp/reply.js';
import type { Command, DataCommand, ServerCommand } from './command.js';
import { databaseIndex } from './database-index.js';
import { syntaxError, word } from './words.js';

/** UNLINK frees memory in the background in Redis; here both are a record in the log. */
const removal = (name: string): DataCommand => ({
  name,
  kind: 'data',
  run: (tx, args, { database }) => count(args, (key) => tx.delete(database, key)),
});

/** TOUCH would note the access as well; Cairn keeps no access times. */
const presence = (name: string): DataCommand => ({
  name,
  kind: 'data',
  run: (tx, args, { database }) => count(args, (key) => tx.get(database, key) !== undefined),
});

const type: DataCommand = {
  name: 'type',
  kind: 'data',
  run: (tx, args, { database }) => new Simple(tx.get(database, args[0] as Buffer)?.type ?? 'none'),
};

const rename: DataCommand = {
  name: 'rename',
  kind: 'data',
  run(tx, args, { database }): Reply {
    const [source, target] = args as [Buffer, Buffer];
    const value = tx.get(database, source);
    if (value === undefined) throw new CairnError('ERR', 'no such key');
    if (source.equals(target)) return OK;
    tx.delete(database, source);
    tx.put(database, target, value);
    return OK;
  },
};

const renamenx: DataCommand = {
  name: 'renamenx',
  kind: 'data',
  run(tx, args, { database }): Reply {
    const [source, target] = args as [Buffer, Buffer];
    const value = tx.get(database, source);
    if (value === undefined) throw new CairnError('ERR', 'no such key');
    if (source.equals(target) || tx.get(database, target) !== undefined) return 0;
    tx.delete(database, source);
    tx.put(database, target, value);
    return 1;
  },
};

const copy: DataCommand = {
  name: 'copy',
  kind: 'data',
  run(tx, args, session): Reply {
    const [source, target, ...words] = args as [Buffer, Buffer, ...Buffer[]];
    let database = session.database;
    let replace = false;
    for (let at = 0; at < words.length; at += 1) {
      const option = word(words[at] as Buffer);
      const value = words[at + 1];
      if (option === 'REPLACE') replace = true;
      else if (option === 'DB' && value !== undefined) {
        database = databaseIndex(value, session.databases);
        at += 1;
      } else throw syntaxError();
    }
    if (database === session.database && source.equals(target)) {
      throw new CairnError('ERR', 'source and destination objects are the same');
    }
    const value = tx.get(session.database, source);
    if (value === undefined || (!replace && tx.get(database, target) !== undefined)) return 0;
    tx.put(database, target, value);
    return 1;
  },
};

const move: DataCommand = {
  name: 'move',
  kind: 'data',
  run(tx, args, session): Reply {
    const [key, databaseText] = args as [Buffer, Buffer];
    const database = databaseIndex(databaseText, session.databases);
    if (database === session.database) {
      throw new CairnError('ERR', 'source and destination objects are the same');
    }
    const value = tx.get(session.database, key);
    if (value === undefined || tx.get(database, key) !== undefined) return 0;
    tx.delete(session.database, key);
    tx.put(database, key, value);
    return 1;
  },
};

/** So many keys are looked at from a random place on. */
const LOOKED_AT = 64;

/**
 * Some key: of those that follow a random place in the order of keys. Not each is as likely as the next one, as in
 * Redis; where keys begin alike, nearly all start from few places.
 */
const randomkey: ServerCommand = {
  name: 'randomkey',
  kind: 'server',
  async run({ session, services }) {
    const { keyspace } = services;
    const after = Buffer.from([Math.floor(Math.random() * 256), Math.floor(Math.random() * 256)]);
    return (
      picked(await keyspace.scan(pageAfter(session.database, after))) ??
      picked(await keyspace.scan(pageAfter(session.database, null)))
    );
  },
  runQueued: (tx, { session }) => picked(tx.scan(pageAfter(session.database, null))),
};

function pageAfter(database: number, after: Buffer | null): ScanRequest {
  return { database, after, prefix: Buffer.alloc(0), limit: LOOKED_AT, accept: () => true };
}

function picked({ keys }: ScanPage): Buffer | null {
  return keys[Math.floor(Math.random() * keys.length)] ?? null;
}

function count(keys: readonly Buffer[], is: (key: Buffer) => boolean): number {
  let n = 0;
  for (const key of keys) if (is(key)) n += 1;
  return n;
}

export const keyCommands: readonly Command[] = [
  removal('del'),
  removal('unlink'),
  presence('exists'),
  presence('touch'),
  type,
  rename,
  renamenx,
  copy,
  move,
  randomkey,
];
