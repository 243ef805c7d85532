/**
 * Every data command, used rightly and wrongly, beside a real redis-server: arguments of every kind in every place, too few
 * and too many, numbers at their limits, values that are no numbers, bytes that are no text. The same reply to the byte,
 * in RESP2 and RESP3, or a difference that is named in test/support/allowed-differences.ts.
 */
import t from 'tap';
import { allSpecs } from '../../src/commands/spec.js';
import { crc64 } from '../../src/rdb/crc64.js';
import { absentCommands } from '../support/absent-commands.js';
import { allowedDifferences } from '../support/allowed-differences.js';
import { commandsOf, shown, startPair } from '../support/differential.js';

const pair = await startPair(t);

/** Each table begins with these. */
const base = `
  SELECT 0
  FLUSHALL
  MSET text 'Hello, world' num 10 big 9223372036854775807 float 1.5 e '' bin \\x00\\xff\\x0d\\x0a
  SET long ${'abcdefghij'.repeat(30)}
  SET ttl v EXAT 4102444800
  SELECT 1
  SET other 1
  SELECT 0`;
/** And end with what is left. */
const rest = `
  MGET text num big float e bin long ttl none new
  DBSIZE
  EXPIRETIME ttl
  PEXPIRETIME new
  KEYS *`;

const keys = ['text', 'num', 'float', 'e', 'bin', 'ttl', 'none'];
const few = ['text', 'num', 'none'];
const numbers = ['0', '1', '-1', '7', '9223372036854775807', '-9223372036854775808'];
const wrong = ["''", 'x', '1.5', '9223372036854775808', '01', '+1', "'1 '", '\\x00', '1e3'];
const values = ["''", 'v', '12', '-0', "'a b'", '\\x00\\xff'];
const absolute = ['4102444800', '4102444800123'];

/** Every combination of the lists. */
function lines(...parts: (string | readonly string[])[]): string {
  let all = [''];
  for (const part of parts) {
    const words = typeof part === 'string' ? [part] : part;
    all = all.flatMap((line) => words.map((word) => `${line} ${word}`));
  }
  return all.join('\n');
}

const dumps = ['\\x00\\x01a\\x0a\\x00', '\\x00\\xc0\\x05\\x0a\\x00\\x11\\x22\\x33\\x44\\x55\\x66\\x77\\x88', "''", 'x'];

const tables: Record<string, string[]> = {
  'reading strings': [
    lines(['GET', 'STRLEN', 'TYPE', 'DUMP', 'TTL', 'PTTL', 'EXPIRETIME', 'PEXPIRETIME', 'PERSIST'], keys),
    lines(['GETRANGE', 'SUBSTR'], few, ['0', '-3', '100', 'x'], ['-1', '4', '-100', "''"]),
    lines('MGET', few, keys),
    lines('OBJECT', ['ENCODING', 'REFCOUNT', 'FREQ', 'IDLETIME', 'encoding', 'NOPE'], keys),
    lines('MEMORY USAGE', keys, ['', 'SAMPLES 0', 'SAMPLES 5', 'SAMPLES -1', 'SAMPLES x', 'SAMPLES', 'NOPE']),
    lines(
      'LCS',
      ['text', 'long', 'none'],
      ['text', 'num', 'none'],
      ['', 'LEN', 'IDX', 'IDX LEN', 'MINMATCHLEN 3', 'NOPE'],
    ),
    lines(['EXISTS', 'TOUCH'], few, ['', 'text', 'none text']),
    lines(['GETDEL', 'GETDEL'], keys),
  ],
  'writing strings': [
    lines(['SET', 'GETSET', 'SETNX', 'APPEND'], ['new', 'text', 'ttl', 'num', "''"], values),
    lines('SET new v', [
      'NX',
      'XX',
      'GET',
      'NX GET',
      'XX GET',
      'KEEPTTL',
      'NX XX',
      'nope',
      'EX',
      'KEEPTTL EX 1',
      'GET GET',
    ]),
    lines('SET new v', ['EX', 'PX', 'EXAT', 'PXAT', 'ex'], [...numbers, ...wrong]),
    lines(['SETEX', 'PSETEX'], ['new', 'text'], [...numbers, ...wrong], 'v'),
    // What the lines before let expire within milliseconds would be gone on one side and not yet on the other.
    'SET new v\nSET text v',
    lines('GETEX', ['text', 'none'], ['', 'PERSIST', 'EX', 'PERSIST EX 5', 'NOPE', 'EX 5 PX 5']),
    lines('GETEX text', ['EX', 'PX', 'EXAT', 'PXAT'], [...wrong, '-1', '0', '9223372036854775807']),
    lines('SETRANGE', ['new', 'text', 'none'], ['0', '3', '12', '-1', '536870912', ...wrong], ["''", 'xyz']),
    lines(['MSET', 'MSETNX'], ['a 1 b 2', 'text 1 new 2', 'a', 'a 1 b', 'a 1 a 2', "'' ''"]),
  ],
  counters: [
    lines(['INCR', 'DECR'], ['num', 'big', 'text', 'float', 'e', 'bin', 'ttl', 'none']),
    lines(['INCRBY', 'DECRBY'], ['num', 'big', 'none', 'text'], [...numbers, ...wrong]),
    lines(
      'INCRBYFLOAT',
      ['num', 'float', 'none', 'text', 'big'],
      ['0', '1.25', '-3', '1e3', 'x', "''", 'nan', 'inf', '-inf', '1e4932'],
    ),
  ],
  bits: [
    lines('SETBIT', ['new', 'text'], ['0', '7', '100', '-1', '4294967296', ...wrong], ['0', '1', '2', 'x']),
    lines('GETBIT', few, ['0', '7', '100', '-1', '4294967295', '4294967296', ...wrong]),
    lines('BITCOUNT', few, ['', '0 -1', '1 2 BIT', '-5 -2 BYTE', '0', '0 x', '0 1 NOPE', '0 1 BIT x']),
    lines('BITPOS', few, ['0', '1', '2', 'x'], ['', '1', '-2 -1', '0 20 BIT', '1 x', '0 1 NOPE']),
    lines(['BITPOS text 0', 'BITPOS e 1', 'BITCOUNT num'], ['-1', '-2', '-19'], ['-1', '-5', '-20'], ['', 'BIT', 'x']),
    lines('BITOP', ['AND', 'OR', 'XOR', 'NOT', 'NOPE'], 'new', ['text', 'text num', 'none', 'e none', '']),
    lines(
      'BITFIELD',
      ['new', 'text'],
      ['GET', 'SET', 'INCRBY'],
      ['u8', 'i64', 'u63', 'u64', 'x', "''"],
      ['0', '#1', '-1', 'x'],
      ['', '1', 'x'],
    ),
    lines(
      'BITFIELD new OVERFLOW',
      ['WRAP', 'SAT', 'FAIL', 'NOPE', ''],
      'INCRBY',
      ['u2 0', 'i8 3'],
      ['1', '100', '-100'],
    ),
    lines(
      'BITFIELD new OVERFLOW',
      ['WRAP', 'SAT', 'FAIL'],
      'SET',
      ['u8 0', 'i8 0', 'u63 0', 'i64 0', 'i63 0'],
      [...numbers, '-128', '-129', '-9223372036854775681'],
    ),
    lines('BITFIELD_RO', few, ['GET u8 0', 'GET i5 2 GET u1 0', 'SET u8 0 1', 'GET u8', '', 'OVERFLOW SAT']),
  ],
  'keys and their time': [
    lines(
      ['EXPIRE', 'PEXPIRE'],
      ['text', 'none'],
      [...wrong, '-1', '0', '9223372036854775807', '-9223372036854775808'],
    ),
    lines(
      ['EXPIREAT', 'PEXPIREAT'],
      ['num', 'none', 'ttl'],
      [...absolute, '1', '0', '-1', ...wrong],
      ['', 'NX', 'XX', 'GT', 'LT', 'NX GT', 'GT LT', 'nope'],
    ),
    lines('EXPIREAT e', absolute),
    lines(['EXPIRETIME', 'PEXPIRETIME'], ['e', 'num', 'ttl']),
    lines(['DEL', 'UNLINK'], ['none', 'e', 'e num', "''", 'text text']),
    lines(['RENAME', 'RENAMENX'], ['bin', 'none', 'ttl'], ['bin', 'new', 'none', 'long']),
    lines(
      'COPY',
      ['long', 'none', 'new'],
      ['new', 'long', 'copy'],
      ['', 'REPLACE', 'DB 1', 'DB 1 REPLACE', 'DB 99', 'DB x', 'DB', 'NOPE'],
    ),
    lines('MOVE', ['long', 'none', 'other', 'copy'], ['0', '1', '2', '16', '-1', ...wrong]),
    lines('RESTORE', ['new', 'long', 'none'], ['0', '-1', 'x', '100000'], dumps, [
      '',
      'REPLACE',
      'ABSTTL',
      'IDLETIME 5',
      'FREQ 300',
      'NOPE',
    ]),
    lines(['SORT', 'SORT_RO'], few, [
      '',
      'ALPHA DESC',
      'LIMIT 0 1',
      'LIMIT 0',
      'LIMIT x 1',
      'BY x GET # GET y',
      'STORE new',
      'NOPE',
    ]),
  ],
  'keys of a database': [
    lines('KEYS', ['*', 'n*', '?um', '[a-n]*', '[^a-n]*', '\\x5c*', '[', '**', "''", 'e']),
    lines('SCAN 0', [
      '',
      'COUNT 100',
      'MATCH n* COUNT 100',
      'TYPE string COUNT 100',
      'TYPE hash',
      'COUNT 0',
      'COUNT x',
      'NOPE',
      'MATCH',
      'COUNT -1',
    ]),
    lines('SCAN', ['x', '-1', "''", '1.5', '7']),
    lines('SELECT', ['0', '1', '15', '16', '-1', '99999999999', ...wrong]),
    'SELECT 0',
    lines('SWAPDB', ['0', '1', '16', 'x', '-1'], ['0', '1', '16', 'x', '-1']),
    lines(['FLUSHDB', 'FLUSHALL'], ['NOPE', 'SYNC ASYNC', 'SYNC', 'ASYNC', '']),
    lines(['DBSIZE', 'RANDOMKEY', 'TIME']),
  ],
  'what is asked about commands and the connection': [
    lines(['PING', 'ECHO'], ['', 'x', "''", '\\x00\\xff', 'a b']),
    lines('WAIT', ['0', '-1', 'x', "''"], ['0', '10', '-1', 'x']),
    lines('COMMAND', [
      '',
      'COUNT',
      'COUNT x',
      'INFO get nope',
      'DOCS nope',
      'LIST FILTERBY ACLCAT nope',
      'LIST nope',
      'NOPE',
      'HELP',
      'LIST',
    ]),
    lines(
      'COMMAND',
      ['GETKEYS', 'GETKEYSANDFLAGS'],
      ['GET k', 'SET k v GET', 'MSET a 1 b 2', 'COPY a b', 'PING', 'NOPE k', 'GET', ''],
    ),
    lines(['DEBUG', 'debug'], ['', 'SLEEP 0', 'OBJECT k']),
    lines('MEMORY', ['DOCTOR', 'STATS', 'MALLOC-STATS', 'PURGE', 'HELP', 'NOPE', '']),
    lines('OBJECT', ['HELP', '', 'HELP x']),
    lines(['nope', 'no\\x0d\\x0ape', "''", 'get|x'], ['', 'k', "'a b' c"]),
  ],
  'what differs on purpose': [
    lines(['APPEND a 1', 'APPEND a 2', 'SETRANGE b 0 12', 'INCRBYFLOAT c 1', 'SETBIT d 1 1']),
    lines('OBJECT', ['ENCODING', 'REFCOUNT', 'IDLETIME', 'FREQ'], ['a', 'b', 'c', 'd']),
    `RESTORE list 0 ${sealed('01010161')}`,
    `RESTORE bounds 0 ${sealed('00066869')}`,
    lines('PEXPIREAT text', ['9223372036854775807', '9100000000000000']),
    lines(['TTL', 'PTTL', 'PEXPIRETIME', 'EXPIRETIME'], 'text'),
    'PEXPIRE text 100000',
    lines(['PTTL', 'TTL', 'RANDOMKEY', 'TIME'], ['']),
    'PTTL text',
    'FLUSHALL',
  ],
  'commands that are not there': Object.values(absentCommands)
    .flat()
    // Those that would make the connection another one, or wait.
    .filter((name) => !/subscribe|sync|replconf|monitor|^b|failover|replicaof|slaveof|^lolwut/.test(name))
    .map((name) => `${name} k`)
    // Some made a key in Redis.
    .concat('FLUSHALL'),
  'too few and too many arguments': arities(),
};

/** A dump with these bytes as its value, as a word of a script. */
function sealed(body: string): string {
  const bytes = Buffer.from(body, 'hex');
  const payload = Buffer.concat([bytes, Buffer.of(10, 0), Buffer.alloc(8)]);
  payload.writeBigUInt64LE(crc64(payload, bytes.length + 2), bytes.length + 2);
  return payload.toString('hex').replace(/../g, '\\x$&');
}

/** Every shorter command line of every data command, and one that is too long where there is a length. */
function arities(): string[] {
  const groups = new Set(['string', 'bitmap', 'generic']);
  const server = new Set([
    'dbsize',
    'flushdb',
    'flushall',
    'swapdb',
    'time',
    'memory|usage',
    'echo',
    'select',
    'debug',
  ]);
  const found: string[] = [];
  for (const { name, group, arity, container } of allSpecs()) {
    if (!groups.has(group) && !server.has(name)) continue;
    const first = container === undefined ? 1 : 2;
    const lengths = Array.from({ length: Math.abs(arity) - first }, (_, nth) => first + nth);
    if (arity > 0) lengths.push(arity + 1, arity + 2);
    for (const length of lengths) found.push([name.replace('|', ' '), ...Array(length - first).fill('k')].join(' '));
  }
  return found;
}

const distinct = new Set<string>();
for (const [name, parts] of Object.entries(tables)) {
  const script = [base, ...parts, rest].join('\n');
  for (const command of commandsOf(parts.join('\n'))) distinct.add(shown(command));
  await pair.same(t, name, script);
}

t.test('the tables have 1,500 distinct commands and more', async (t) => {
  t.ok(distinct.size >= 1500, `${distinct.size}`);
  t.comment(`${distinct.size} distinct commands`);
});

t.test(
  'every allowed difference was met: none is allowed that there is not',
  { skip: pair.redis === null },
  async (t) => {
    /** What the tables cannot bring about in every run: by its own test. */
    const elsewhere = ['dump-of-another-match', 'two-clocks', 'no-average-of-lifetimes'];
    const names = allowedDifferences.map(({ name }) => name).filter((name) => !elsewhere.includes(name));
    t.same(
      names.filter((name) => !pair.met.has(name)),
      [],
    );
  },
);

t.test('the list of absent commands is what Redis has and Cairn has not', { skip: pair.redis === null }, async (t) => {
  const theirs = (await pair.redis?.ask('COMMAND', 'LIST')) as string[];
  const ours = new Set(allSpecs().map((spec) => spec.name));
  const absent = theirs.filter((name) => !ours.has(name) && !name.includes('|'));
  t.same(Object.values(absentCommands).flat().sort(), absent.sort());
});
