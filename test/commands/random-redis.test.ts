/**
 * Random commands on a few keys, to Cairn and to redis-server: whatever came before, both answer the same and hold the
 * same. A failure is shrunk to the shortest script that shows it. Goes on by night; CAIRN_SEED repeats a run.
 */
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import t from 'tap';
import { allowedDifference } from '../support/allowed-differences.js';
import { asked, type Exact, shown, startPair } from '../support/differential.js';
import { night } from '../support/night.js';
import { RawClient } from '../support/server.js';

const { seed, long } = night(0);
const limitMs = long ? Number(process.env.CAIRN_MINUTES) * 60_000 : 6_000;

const key = fc.constantFrom('a', 'b', 'c', 'd', 'none', '', '\0\xff');
const small = fc.integer({ min: -20, max: 40 }).map(String);
const number = fc.oneof(
  { weight: 6, arbitrary: small },
  {
    weight: 1,
    arbitrary: fc.constantFrom('9223372036854775807', '-9223372036854775808', '9223372036854775808', '4294967296'),
  },
  { weight: 1, arbitrary: fc.constantFrom('x', '', '1.5', '01', '-0', ' 1', '+2') },
);
const value = fc.oneof(
  number,
  fc.constantFrom('v', 'Hello, world', 'abcabcabcabc', '\0', '3.25', '1e3', '-1.5e-2', 'x'.repeat(60)),
  fc.uint8Array({ maxLength: 12 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
);
/** Far enough that no clock matters, or come already. */
const seconds = fc.constantFrom('1000', '100000', '0', '-1', '9223372036854775', '9223372036854775807', 'x');
const unixTime = fc.constantFrom('4102444800', '4102444801', '1', '0', 'x');
const unixMs = fc.constantFrom('4102444800123', '4102444800999', '1', 'x');
const database = fc.constantFrom('0', '1', '2', '16', 'x');
const bit = fc.constantFrom('0', '1', '2', 'x');
const field = fc.constantFrom('u8', 'i8', 'u1', 'i64', 'u63', 'u64', 'i5', 'x');
const offset = fc.constantFrom('0', '1', '#1', '7', '100', '-1', 'x');

/** One of these. */
const some = (...words: string[]): fc.Arbitrary<string> => fc.constantFrom(...words);
const words = (...parts: (string | fc.Arbitrary<string | string[]>)[]): fc.Arbitrary<string[]> =>
  fc.tuple(...parts.map((part) => (typeof part === 'string' ? fc.constant(part) : part))).map((found) => found.flat());
/** None, or these. */
const maybe = (...parts: (string | fc.Arbitrary<string | string[]>)[]): fc.Arbitrary<string[]> =>
  fc.oneof(fc.constant<string[]>([]), words(...parts));
const times = (part: fc.Arbitrary<string[]>, maxLength: number): fc.Arbitrary<string[]> =>
  fc.array(part, { maxLength }).map((found) => found.flat());
const keysOf = fc.array(key, { minLength: 1, maxLength: 3 });

const setOption = fc.oneof(
  words(some('NX', 'XX', 'GET', 'KEEPTTL', 'nope')),
  words(some('EX', 'PX'), seconds),
  // None that has come: such a key is there until it is met, and counted so long.
  words('EXAT', some('4102444800', '0', 'x')),
  words('PXAT', some('4102444800123', '-1', 'x')),
);
const fieldOperation = fc.oneof(
  words('GET', field, offset),
  words('SET', field, offset, number),
  words('INCRBY', field, offset, number),
  words('OVERFLOW', some('WRAP', 'SAT', 'FAIL', 'x')),
);

const command = fc.oneof(
  { weight: 6, arbitrary: words('SET', key, value, times(setOption, 2)) },
  { weight: 2, arbitrary: words(some('GET', 'STRLEN', 'TYPE', 'EXISTS', 'GETDEL', 'DUMP', 'PERSIST', 'TOUCH'), key) },
  { weight: 2, arbitrary: words(some('EXPIRETIME', 'PEXPIRETIME', 'TTL', 'PTTL', 'INCR', 'DECR'), key) },
  { weight: 2, arbitrary: words(some('APPEND', 'GETSET', 'SETNX', 'INCRBYFLOAT'), key, value) },
  words(some('INCRBY', 'DECRBY'), key, number),
  words(some('SETEX', 'PSETEX'), key, seconds, value),
  words('GETEX', key, times(setOption, 2)),
  words(some('GETRANGE', 'SUBSTR'), key, number, number),
  words('SETRANGE', key, small, value),
  words('SETBIT', key, small, bit),
  words('GETBIT', key, number),
  words('BITCOUNT', key, maybe(number, number, maybe(some('BIT', 'BYTE', 'x')))),
  words('BITPOS', key, bit, maybe(number, maybe(number, maybe(some('BIT', 'BYTE', 'x'))))),
  words('BITOP', some('AND', 'OR', 'XOR', 'NOT', 'x'), key, keysOf),
  words('BITFIELD', key, times(fieldOperation, 3)),
  words('BITFIELD_RO', key, times(fieldOperation, 2)),
  words('LCS', key, key, maybe(some('LEN', 'IDX', 'x')), maybe('MINMATCHLEN', small), maybe('WITHMATCHLEN')),
  words(some('MGET', 'DEL', 'UNLINK', 'EXISTS', 'WATCH'), keysOf),
  words(some('MSET', 'MSETNX'), times(words(key, value), 3)),
  words(some('RENAME', 'RENAMENX'), key, key),
  words('COPY', key, key, maybe('DB', database), maybe('REPLACE')),
  words('MOVE', key, database),
  words('SWAPDB', database, database),
  words('SELECT', database),
  // No GT and LT: which of two relative times is later is a matter of milliseconds.
  words(some('EXPIRE', 'PEXPIRE'), key, seconds, maybe(some('NX', 'XX'))),
  words('EXPIREAT', key, unixTime, maybe(some('NX', 'XX', 'GT', 'LT'))),
  words('PEXPIREAT', key, unixMs, maybe(some('NX', 'XX', 'GT', 'LT'))),
  words(
    some('SORT', 'SORT_RO'),
    key,
    maybe('LIMIT', number, number),
    maybe(some('ALPHA', 'DESC')),
    maybe('STORE', key),
  ),
  words('OBJECT', some('ENCODING', 'REFCOUNT', 'FREQ'), key),
  words('KEYS', some('*', 'a', '[a-c]', '?')),
  words('SCAN', '0', 'COUNT', '1000', maybe('MATCH', some('*', 'a*'))),
  words(some('DBSIZE', 'MULTI', 'MULTI', 'EXEC', 'EXEC', 'DISCARD', 'UNWATCH', 'FLUSHDB', 'NOPE')),
  {
    weight: 1,
    arbitrary: fc
      .tuple(some('GET', 'SET', 'INCRBY', 'COPY', 'BITOP', 'GETEX'), fc.array(value, { maxLength: 5 }))
      .map(([name, rest]) => [name, ...rest]),
  },
);
/** By one of two clients, so that transactions and watches meet. */
const step = fc.record({ client: fc.constantFrom(0, 0, 0, 1), command });

const pair = await startPair(t);
const skip = pair.redis === null ? 'no redis-server is installed' : false;

t.test(
  'any commands in any order have the same replies, and leave the same',
  { skip, timeout: limitMs + 120_000 },
  async (t) => {
    const ports = [pair.port, pair.redis?.port as number];
    let count = 0;
    const property = fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 60, size: 'max' }), async (steps) => {
      const clients = await Promise.all([0, 1].map(() => Promise.all(ports.map((port) => RawClient.connect(port)))));
      const both = async (client: number, line: readonly string[]): Promise<string | null> => {
        const bytes = line.map((word) => Buffer.from(word, 'latin1'));
        const [got, expected] = (await Promise.all(
          (clients[client] as RawClient[]).map((each) => asked(each, bytes)),
        )) as [Exact, Exact];
        count += 1;
        if (isDeepStrictEqual(got, expected) || allowedDifference(bytes, got, expected) !== undefined) return null;
        if (line[0] === 'EXEC' && sameButAllowed(got, expected)) return null;
        return `${client}: ${shown(bytes)}\n  Cairn: ${JSON.stringify(got)}\n  Redis: ${JSON.stringify(expected)}`;
      };
      try {
        await both(0, ['FLUSHALL']);
        for (const { client, command: line } of steps) {
          const difference = await both(client, line);
          if (difference !== null) throw new Error(difference);
        }
        for (const client of [0, 1]) await both(client, ['DISCARD']);
        for (const each of ['0', '1', '2']) {
          const left = [
            ['SELECT', each],
            ['DBSIZE'],
            ['KEYS', '*'],
            ['INFO', 'keyspace'],
            ['MGET', 'a', 'b', 'c', 'd', 'none', '', '\0\xff'],
          ];
          for (const name of ['a', 'b', 'c', 'd', 'none']) left.push(['PEXPIRETIME', name]);
          for (const line of left) {
            const difference = await both(0, line);
            if (difference !== null) throw new Error(`at the end, ${difference}`);
          }
        }
      } finally {
        for (const client of clients.flat()) client.close();
      }
    });
    await fc.assert(property, {
      seed,
      numRuns: long ? 1_000_000_000 : 2000,
      interruptAfterTimeLimit: limitMs,
      endOnFailure: false,
    });
    t.ok(count > 1000, `${count} commands`);
    t.comment(`${count} commands, CAIRN_SEED=${seed}`);
  },
);

/** Replies of EXEC: each place is the same, or of a reply whose value may differ (a time, an encoding, an order). */
function sameButAllowed(ours: Exact, theirs: Exact): boolean {
  if (!Array.isArray(ours) || !Array.isArray(theirs) || ours.length !== theirs.length) return false;
  return ours.every((reply, at) => {
    const other = theirs[at] as Exact;
    if (isDeepStrictEqual(reply, other)) return true;
    if (Array.isArray(reply) && Array.isArray(other)) {
      return (
        isDeepStrictEqual([...reply].sort(), [...other].sort()) || (reply[1] === 'bulk 0' && other[1] === 'bulk 0')
      );
    }
    const [a, b] = [String(reply), String(other)];
    const numbers = [a, b].map((text) => Number(text.replace(/^integer /, '')));
    if (numbers.every((each) => each > 1000))
      return Math.abs((numbers[0] as number) - (numbers[1] as number)) < 10_000 || (numbers[0] as number) > 1e15;
    return /^bulk (int|embstr|raw)$/.test(a) && /^bulk (int|embstr|raw)$/.test(b);
  });
}
