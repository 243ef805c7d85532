/**
 * KEYS and SCAN. Both read off the event loop, in byte order; inside EXEC they read on the calling thread.
 *
 * A SCAN returns every key that is there from its beginning to its end, once: pages follow each other by key. Its cursor
 * stands for the last key of the page before (keyspace/scan-cursors.ts); one that is no longer known is an error, never
 * a silent new beginning.
 */
import { CairnError } from '../base/errors.js';
import { globMatch, literalPrefix, matchesEverything } from '../base/glob.js';
import type { ScanCursors } from '../keyspace/scan-cursors.js';
import type { ScanPage, ScanRequest } from '../keyspace/transaction.js';
import type { Reply } from '../resp/reply.js';
import type { ServerCommand } from './command.js';
import { integer } from './integers.js';
import { syntaxError, word } from './words.js';

const DEFAULT_COUNT = 10;
const EVERYTHING = Buffer.from('*');

const keys: ServerCommand = {
  name: 'keys',
  kind: 'server',
  async run({ session, services, args }) {
    return (await services.keyspace.scan(keysRequest(session.database, args))).keys;
  },
  runQueued: (tx, { session, args }) => tx.scan(keysRequest(session.database, args)).keys,
};

const scan: ServerCommand = {
  name: 'scan',
  kind: 'server',
  async run({ session, services, args }) {
    const { keyspace } = services;
    const request = scanRequest(keyspace.cursors, session.database, args);
    return scanReply(keyspace.cursors, session.database, await keyspace.scan(request));
  },
  runQueued(tx, { session, services, args }) {
    const { cursors } = services.keyspace;
    const request = scanRequest(cursors, session.database, args);
    return scanReply(cursors, session.database, tx.scan(request));
  },
};

function keysRequest(database: number, args: readonly Buffer[]): ScanRequest {
  return matching(args[0] as Buffer, { database, after: null, limit: Number.MAX_SAFE_INTEGER });
}

function scanRequest(cursors: ScanCursors, database: number, args: readonly Buffer[]): ScanRequest {
  const after = placeOf(cursors, database, args[0] as Buffer);
  let limit = DEFAULT_COUNT;
  let pattern: Buffer = EVERYTHING;
  let type: string | null = null;
  for (let at = 1; at < args.length; at += 2) {
    const option = word(args[at] as Buffer);
    const value = args[at + 1];
    if (value === undefined) throw syntaxError();
    if (option === 'COUNT') limit = countOf(value);
    else if (option === 'MATCH') pattern = value;
    else if (option === 'TYPE') type = value.toString('latin1').toLowerCase();
    else throw syntaxError();
  }
  return matching(pattern, { database, after, limit }, type);
}

function matching(
  pattern: Buffer,
  request: Pick<ScanRequest, 'database' | 'after' | 'limit'>,
  type: string | null = null,
): ScanRequest {
  const everything = matchesEverything(pattern);
  return {
    ...request,
    prefix: literalPrefix(pattern),
    accept: (key, keyType) => (type === null || type === keyType) && (everything || globMatch(pattern, key)),
  };
}

function placeOf(cursors: ScanCursors, database: number, text: Buffer): Buffer | null {
  const digits = text.toString('latin1');
  if (/^0{0,20}$/.test(digits)) return null;
  const place = /^\d{1,20}$/.test(digits) ? cursors.find(Number(digits)) : undefined;
  if (place === undefined || place.database !== database) throw new CairnError('ERR', 'invalid cursor');
  return place.after;
}

function countOf(text: Buffer): number {
  const count = Number(integer(text));
  if (count < 1) throw syntaxError();
  return Math.min(count, Number.MAX_SAFE_INTEGER);
}

function scanReply(cursors: ScanCursors, database: number, page: ScanPage): Reply {
  const cursor = page.next === null ? '0' : String(cursors.add(database, page.next));
  return [cursor, page.keys];
}

export const scanCommands: readonly ServerCommand[] = [keys, scan];
