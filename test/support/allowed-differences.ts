/**
 * Where Cairn's reply may differ from redis-server's, by name and with the reason: the only such list. The differential
 * tests accept a reply that differs when one of these says why; docs/compatibility.md shows them, and a test holds the
 * page to this list. A difference accepts as little as it can: what is left of the reply is still compared.
 */
import { isDeepStrictEqual } from 'node:util';
import { decodeDump } from '../../src/rdb/dump-payload.js';
import { absentCommands } from './absent-commands.js';
import type { Exact } from './differential.js';

export interface AllowedDifference {
  readonly name: string;
  /** What a reader of the page looks for. */
  readonly commands: string;
  readonly reason: string;
  /** words: the command, its name and subcommand in capitals. */
  accepts(words: readonly string[], ours: Exact, theirs: Exact): boolean;
}

export const allowedDifferences: readonly AllowedDifference[] = [
  {
    name: 'encoding-by-content',
    commands: 'OBJECT ENCODING',
    reason:
      'Redis says `raw` of a short string that was changed in place (APPEND, SETRANGE, SETBIT, BITOP …) and `embstr` ' +
      'of a number that INCRBYFLOAT made. Cairn keeps bytes and no history: it says what the same bytes are when they are set.',
    accepts: ([name, word], ours, theirs) =>
      name === 'OBJECT' && word === 'ENCODING' && oneOf(ours, encodings) && oneOf(theirs, encodings),
  },
  {
    name: 'refcount-by-content',
    commands: 'OBJECT REFCOUNT',
    reason: 'For the same reason: a small integer that was made by APPEND or SETRANGE is not shared in Redis.',
    accepts: ([name, word], ours, theirs) =>
      name === 'OBJECT' && word === 'REFCOUNT' && ours === 'integer 2147483647' && theirs === 'integer 1',
  },
  {
    name: 'no-access-times',
    commands: 'OBJECT IDLETIME',
    reason: 'Cairn keeps no access times. It says so with an error, where a number could be taken for one.',
    accepts: ([name, word], ours, theirs) =>
      name === 'OBJECT' && word === 'IDLETIME' && isError(ours, 'access times are not kept') && isInteger(theirs),
  },
  {
    name: 'memory-of-another-kind',
    commands: 'MEMORY USAGE, STATS, DOCTOR, MALLOC-STATS',
    reason:
      'The values are in a database, not in an allocator. USAGE tells the bytes of the records, STATS has the fields ' +
      'that mean something here, DOCTOR is refused, MALLOC-STATS answers as Redis does without jemalloc.',
    accepts([name, word], ours, theirs) {
      if (name !== 'MEMORY') return false;
      if (word === 'USAGE') return isInteger(ours) && isInteger(theirs);
      if (word === 'STATS') return Array.isArray(ours) && Array.isArray(theirs) && ours[0] === theirs[0];
      if (word === 'DOCTOR') return isError(ours, 'MEMORY DOCTOR is not available');
      return word === 'MALLOC-STATS' && String(ours).endsWith('Stats not supported for the current allocator');
    },
  },
  {
    name: 'dump-of-another-match',
    commands: 'DUMP',
    reason:
      'Redis does not clear the table of its LZF between two strings, so now and then it compresses a string otherwise ' +
      'than the last time. Cairn makes the bytes of a cleared table; RESTORE of either gives the same value.',
    accepts: ([name], ours, theirs) => name === 'DUMP' && sameDump(ours, theirs),
  },
  {
    name: 'restore-of-strings-alone',
    commands: 'RESTORE',
    reason: 'A payload with a hash, list, set, sorted set or stream is `Bad data format`: these types are not there.',
    accepts: ([name, , , payload], ours, theirs) =>
      name === 'RESTORE' &&
      theirs === 'simple OK' &&
      isError(ours, 'Bad data format') &&
      (payload ?? '').charCodeAt(0) !== 0,
  },
  {
    name: 'restore-within-its-bounds',
    commands: 'RESTORE',
    reason:
      "Redis takes a string whose length reaches into the payload's own checksum, and LZF of length 0. No DUMP makes " +
      'either; Cairn answers `Bad data format`.',
    accepts: ([name, , , payload], ours, theirs) =>
      name === 'RESTORE' &&
      theirs === 'simple OK' &&
      isError(ours, 'Bad data format') &&
      outOfBounds(Buffer.from(payload ?? '', 'latin1')),
  },
  {
    name: 'keys-in-order',
    commands: 'KEYS, SCAN',
    reason:
      'Keys come in the order of their bytes, each once. A cursor stands for a place in that order, so its number and the ' +
      'size of a page are not those of a hash table; a cursor that nobody was given is an error, not a new beginning.',
    accepts([name], ours, theirs) {
      if (name === 'KEYS') return isDeepStrictEqual(sorted(ours), sorted(theirs));
      if (name !== 'SCAN' || !Array.isArray(theirs)) return false;
      if (isError(ours, 'invalid cursor')) return true;
      const [[, cursor, keys], [, theirCursor, theirKeys]] = [ours as Exact[], theirs];
      const whole = cursor === 'bulk 0' && theirCursor === 'bulk 0';
      return Array.isArray(keys) && (!whole || isDeepStrictEqual(sorted(keys), sorted(theirKeys ?? [])));
    },
  },
  {
    name: 'a-random-key',
    commands: 'RANDOMKEY',
    reason: 'Another one than in Redis, and in a database whose keys begin alike not each as likely.',
    accepts: ([name], ours, theirs) =>
      name === 'RANDOMKEY' && [ours, theirs].every((key) => String(key).startsWith('bulk ')),
  },
  {
    name: 'no-average-of-lifetimes',
    commands: 'INFO keyspace',
    reason:
      'Redis estimates avg_ttl from the keys that its expiry happens to look at, and says 0 before it did. Cairn takes ' +
      'no such samples and goes on saying 0; keys and expires are exact.',
    accepts: ([name, word, ...more], ours, theirs) =>
      name === 'INFO' &&
      word === 'KEYSPACE' &&
      more.length === 0 &&
      withoutLifetimes(ours) === withoutLifetimes(theirs) &&
      /\r\n$/.test(String(ours)) &&
      !/avg_ttl=[^0]/.test(String(ours)),
  },
  {
    name: 'two-clocks',
    commands: 'TIME, TTL, PTTL, EXPIRETIME, PEXPIRETIME',
    reason: 'No difference of the servers: those of the test do not look at the clock in the same millisecond.',
    accepts([name = ''], ours, theirs) {
      if (name === 'TIME') return Array.isArray(ours) && Array.isArray(theirs) && ours.length === theirs.length;
      const [a, b] = [numberOf(ours), numberOf(theirs)];
      const tolerated = name.startsWith('P') ? 10_000 : 10;
      return clockCommands.has(name) && a >= 0 && b >= 0 && Math.abs(a - b) <= tolerated;
    },
  },
  {
    name: 'the-end-of-time',
    commands: 'TTL, PTTL, EXPIRETIME, PEXPIRETIME',
    reason:
      'An expiry after the year 287396 is kept as one in that year: times have 53 bits here, 63 in Redis, which answers ' +
      'PTTL of the last ones with a negative number.',
    accepts: ([name], ours) =>
      /^P?(TTL|EXPIRETIME)$/.test(name ?? '') &&
      Math.abs(numberOf(ours) * ((name ?? '').startsWith('P') ? 1 : 1000)) > 2 ** 53 - 1e14,
  },
  {
    name: 'absent-commands',
    commands: 'those below',
    reason: 'There are strings alone, one server, and no scripts: these commands are unknown.',
    accepts: ([name], ours) => absent.has((name ?? '').toLowerCase()) && isError(ours, 'ERR unknown command'),
  },
  {
    name: 'another-command-table',
    commands: 'COMMAND, COMMAND COUNT, LIST, DOCS, INFO',
    reason:
      'They tell of the commands that are there; sentences are from protocol/, and ADMIN commands are among them.',
    accepts: ([name, word = ''], ours, theirs) =>
      name === 'COMMAND' && ['', 'COUNT', 'LIST', 'DOCS', 'INFO'].includes(word) && kindOf(ours) === kindOf(theirs),
  },
  {
    name: 'help-in-own-words',
    commands: 'HELP subcommands',
    reason: 'The same form, an array of lines; the sentences are from protocol/.',
    accepts: ([, word], ours, theirs) =>
      word === 'HELP' && Array.isArray(ours) && Array.isArray(theirs) && ours[0] === theirs[0] && ours[1] === theirs[1],
  },
];

const clockCommands = new Set(['TTL', 'PTTL', 'EXPIRETIME', 'PEXPIRETIME']);
const absent = new Set(Object.values(absentCommands).flat());

function sorted(reply: Exact): Exact {
  return Array.isArray(reply) ? [...reply].sort() : reply;
}

function withoutLifetimes(reply: Exact): string {
  return String(reply).replace(/,avg_ttl=\d+(?=\r\n)/g, '');
}

function numberOf(reply: Exact): number {
  return isInteger(reply) ? Number(String(reply).slice('integer '.length)) : Number.NaN;
}

/** 'array', 'map', 'integer' … */
function kindOf(reply: Exact): string {
  return Array.isArray(reply) ? String(reply[0]) : (reply.split(' ')[0] ?? '');
}

/** Both are compressed, and hold the same value. */
function sameDump(ours: Exact, theirs: Exact): boolean {
  const values = [ours, theirs].map((reply) => {
    const payload = Buffer.from(String(reply).replace(/^bulk /, ''), 'latin1');
    return payload[1] === 0xc3 ? decodeDump(payload, 1 << 29) : null;
  });
  const [a, b] = values;
  return Buffer.isBuffer(a) && Buffer.isBuffer(b) && a.equals(b);
}

/** A string with a short length that ends in the footer, or LZF with a length of 0. */
function outOfBounds(payload: Buffer): boolean {
  const [type, first = 0] = payload;
  if (type !== 0) return false;
  if (first === 0xc3) return payload[3] === 0;
  return first < 0x40 && 2 + first > payload.length - 10;
}

const encodings = ['int', 'embstr', 'raw'];

function oneOf(reply: Exact, words: readonly string[]): boolean {
  return words.some((word) => reply === `bulk ${word}`);
}

function isInteger(reply: Exact): boolean {
  return typeof reply === 'string' && /^integer -?\d+$/.test(reply);
}

function isError(reply: Exact, text: string): boolean {
  return typeof reply === 'string' && reply.startsWith('error ') && reply.includes(text);
}

/** The first that accepts it; its name is counted, so that a test can tell which ones were met. */
export function allowedDifference(
  command: readonly Buffer[],
  ours: Exact,
  theirs: Exact,
): AllowedDifference | undefined {
  const words = command.map((word, at) => (at < 2 ? word.toString('latin1').toUpperCase() : word.toString('latin1')));
  return allowedDifferences.find((difference) => difference.accepts(words, ours, theirs));
}
