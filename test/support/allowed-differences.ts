/**
 * Where Cairn's reply may differ from redis-server's, by name and with the reason: the only such list. The differential
 * tests accept a reply that differs when one of these says why; docs/compatibility.md shows them, and a test holds the
 * page to this list. A difference accepts as little as it can: what is left of the reply is still compared.
 */
import { decodeDump } from '../../src/rdb/dump-payload.js';
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
    name: 'help-in-own-words',
    commands: 'HELP subcommands',
    reason: 'The same form, an array of lines; the sentences are from protocol/.',
    accepts: ([, word], ours, theirs) =>
      word === 'HELP' && Array.isArray(ours) && Array.isArray(theirs) && ours[0] === theirs[0] && ours[1] === theirs[1],
  },
];

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
