import { createRequire } from 'node:module';
import fc from 'fast-check';
import t from 'tap';
import { CairnError } from '../../src/base/errors.js';
import { encodeReply, ReplyWriter } from '../../src/resp/encode.js';
import {
  Double,
  Encoded,
  Fields,
  MapReply,
  nullArray,
  OK,
  type Reply,
  record,
  SetReply,
  Simple,
  Verbatim,
} from '../../src/resp/reply.js';
import { readAllWire, type Wire } from '../support/resp.js';

/** ioredis' own parser, not the one that decode.ts imports. */
const IoredisParser = createRequire(createRequire(import.meta.url).resolve('ioredis'))(
  'redis-parser',
) as new (options: {
  returnBuffers: boolean;
  stringNumbers: boolean;
  returnReply(reply: unknown): void;
  returnError(error: Error): void;
}) => { execute(bytes: Buffer): void };

const inTwo = (reply: Reply) => encodeReply(reply, 2).toString('latin1');
const inThree = (reply: Reply) => encodeReply(reply, 3).toString('latin1');

t.test('every kind of reply has its form in RESP2 and in RESP3', async (t) => {
  const cases: [Reply, string, string][] = [
    [null, '$-1\r\n', '_\r\n'],
    [nullArray, '*-1\r\n', '_\r\n'],
    [0, ':0\r\n', ':0\r\n'],
    [-7, ':-7\r\n', ':-7\r\n'],
    [1023, ':1023\r\n', ':1023\r\n'],
    [Number.MAX_SAFE_INTEGER, ':9007199254740991\r\n', ':9007199254740991\r\n'],
    [2n ** 63n - 1n, ':9223372036854775807\r\n', ':9223372036854775807\r\n'],
    ['', '$0\r\n\r\n', '$0\r\n\r\n'],
    ['é', '$2\r\n\xc3\xa9\r\n', '$2\r\n\xc3\xa9\r\n'],
    [Buffer.from([0, 13, 10, 255]), '$4\r\n\0\r\n\xff\r\n', '$4\r\n\0\r\n\xff\r\n'],
    [true, ':1\r\n', '#t\r\n'],
    [false, ':0\r\n', '#f\r\n'],
    [[], '*0\r\n', '*0\r\n'],
    [[1, [null, 'a']], '*2\r\n:1\r\n*2\r\n$-1\r\n$1\r\na\r\n', '*2\r\n:1\r\n*2\r\n_\r\n$1\r\na\r\n'],
    [new Simple('PONG'), '+PONG\r\n', '+PONG\r\n'],
    [new Simple('a\r\nb'), '+a b\r\n', '+a b\r\n'],
    [OK, '+OK\r\n', '+OK\r\n'],
    [new MapReply([['a', 1]]), '*2\r\n$1\r\na\r\n:1\r\n', '%1\r\n$1\r\na\r\n:1\r\n'],
    [
      new Fields({ a: 1, b: null, é: 'é' }),
      '*6\r\n$1\r\na\r\n:1\r\n$1\r\nb\r\n$-1\r\n$2\r\n\xc3\xa9\r\n$2\r\n\xc3\xa9\r\n',
      '%3\r\n$1\r\na\r\n:1\r\n$1\r\nb\r\n_\r\n$2\r\n\xc3\xa9\r\n$2\r\n\xc3\xa9\r\n',
    ],
    [record({ a: undefined }), '*2\r\n$1\r\na\r\n$-1\r\n', '%1\r\n$1\r\na\r\n_\r\n'],
    [new SetReply(['a']), '*1\r\n$1\r\na\r\n', '~1\r\n$1\r\na\r\n'],
    [new Verbatim('txt', 'é'), '$2\r\n\xc3\xa9\r\n', '=6\r\ntxt:\xc3\xa9\r\n'],
    [new Double(1.5), '$3\r\n1.5\r\n', ',1.5\r\n'],
    [new Double(Number.POSITIVE_INFINITY), '$3\r\ninf\r\n', ',inf\r\n'],
    [new Double(Number.NEGATIVE_INFINITY), '$4\r\n-inf\r\n', ',-inf\r\n'],
    [new Double(Number.NaN), '$3\r\nnan\r\n', ',nan\r\n'],
    [
      new CairnError('ERR', 'bad\r\nthing', { hint: 'Do it.' }),
      '-ERR bad thing. Do it.\r\n',
      '-ERR bad thing. Do it.\r\n',
    ],
  ];
  for (const [reply, two, three] of cases) {
    t.equal(inTwo(reply), two);
    t.equal(inThree(reply), three);
  }
});

t.test('counts and lengths of every width are written right', async (t) => {
  for (const length of [0, 1, 9, 10, 11, 99, 100, 101, 999, 1000, 16383, 16384, 16385, 65536, 1_000_000]) {
    const value = Buffer.alloc(length, 'x');
    t.ok(encodeReply(value, 2).equals(Buffer.from(`$${length}\r\n${value}\r\n`)), String(length));
    t.ok(encodeReply(value.toString(), 2).equals(Buffer.from(`$${length}\r\n${value}\r\n`)), `text of ${length}`);
  }
});

t.test('long values are passed on, not copied, and stay in order', async (t) => {
  const writer = new ReplyWriter();
  const long = Buffer.alloc(100_000, 'y');
  writer.write([1, long, 'after'], 2);
  t.equal(writer.pendingBytes, Buffer.byteLength(`*3\r\n:1\r\n$100000\r\n\r\n$5\r\nafter\r\n`) + long.length);
  const pieces = writer.take();
  t.ok(pieces.includes(long), 'the very same buffer');
  t.equal(Buffer.concat(pieces).toString('latin1'), `*3\r\n:1\r\n$100000\r\n${long}\r\n$5\r\nafter\r\n`);
  t.same(writer.take(), []);
  t.equal(writer.pendingBytes, 0);
});

t.test('rewinding gives back the last turn alone: what another socket still has is not overwritten', async (t) => {
  const writer = new ReplyWriter();
  writer.write(new Simple('first'), 2);
  const first = Buffer.concat(writer.take().map((piece) => piece));
  writer.write(new Simple('slow'), 2);
  const slow = writer.take();
  for (let turn = 0; turn < 20_000; turn++) {
    writer.write(new Simple(`turn ${turn}`), 2);
    const pieces = writer.take();
    if (Buffer.concat(pieces).toString() !== `+turn ${turn}\r\n`) t.fail(`turn ${turn}`);
    writer.rewind();
    writer.rewind();
  }
  t.equal(Buffer.concat(slow).toString(), '+slow\r\n');
  t.equal(first.toString(), '+first\r\n');
});

t.test('a pass that was sent gives back all its turns; one that somebody still reads from, none', async (t) => {
  for (const { kept, sent } of [
    { kept: false, sent: true },
    { kept: false, sent: false },
    { kept: true, sent: true },
  ]) {
    const writer = new ReplyWriter();
    writer.write(new Simple('earlier'), 2);
    const earlier = writer.take();
    const first: Buffer[] = [];
    for (let pass = 0; pass < 3000; pass++) {
      const pieces: Buffer[] = [];
      for (let turn = 0; turn < 5; turn++) {
        writer.write(new Simple(`pass ${pass} turn ${turn}`), 2);
        pieces.push(...writer.take());
        if (turn === 0) writer.beginPass();
      }
      const text = Buffer.concat(pieces).toString();
      if (text !== [0, 1, 2, 3, 4].map((turn) => `+pass ${pass} turn ${turn}\r\n`).join('')) t.fail(text);
      if (pass === 0) first.push(...pieces);
      if (kept) writer.keep();
      writer.endPass(sent);
    }
    t.equal(Buffer.concat(earlier).toString(), '+earlier\r\n', 'what was taken before the pass stays');
    if (kept || !sent) t.equal(first[4]?.toString(), '+pass 0 turn 4\r\n', 'what is kept stays');
    else t.not(first[4]?.toString(), '+pass 0 turn 4\r\n', 'its place was used again');
  }
});

t.test('many turns that are not rewound go through slab after slab', async (t) => {
  const writer = new ReplyWriter();
  const taken: Buffer[] = [];
  let expected = '';
  for (let turn = 0; turn < 3000; turn++) {
    const value = 'z'.repeat(turn % 300);
    writer.write(value, 2);
    expected += `$${value.length}\r\n${value}\r\n`;
    taken.push(...writer.take());
  }
  t.equal(Buffer.concat(taken).toString(), expected);
});

const scalar: fc.Arbitrary<Reply> = fc.oneof(
  fc.constant(null),
  fc.maxSafeInteger(),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  fc.boolean(),
  fc.string({ unit: 'binary' }),
  fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
  fc.string().map((text) => new Simple(text)),
  fc.string({ unit: 'binary' }).map((text) => new Verbatim('txt', text)),
  fc.double().map((value) => new Double(value)),
  fc.string().map((text) => new CairnError('ERR', text)),
  fc.constant(nullArray),
  fc.constant(new Encoded(Buffer.from('+raw\r\n'))),
);
const reply: fc.Arbitrary<Reply> = fc.letrec<{ reply: Reply }>((tie) => ({
  reply: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    scalar,
    fc.array(tie('reply'), { maxLength: 5 }),
    fc.array(tie('reply'), { maxLength: 5 }).map((items) => new SetReply(items)),
    fc.array(fc.tuple(tie('reply'), tie('reply')), { maxLength: 4 }).map((entries) => new MapReply(entries)),
    fc
      .dictionary(fc.string(), fc.oneof(fc.string(), fc.integer(), fc.constant(null)))
      .map((members) => new Fields(members)),
  ),
})).reply;

t.test('RESP3: whatever is encoded is read back by a reader of its own', async () => {
  fc.assert(
    fc.property(fc.array(reply, { maxLength: 5 }), (replies) => {
      const writer = new ReplyWriter();
      for (const each of replies) writer.write(each, 3);
      const read = readAllWire(Buffer.concat(writer.take()));
      const expected = replies.map(wire3);
      if (JSON.stringify(read) !== JSON.stringify(expected)) {
        throw new Error(`${JSON.stringify(read)}\n${JSON.stringify(expected)}`);
      }
    }),
    { numRuns: 1500 },
  );
});

t.test('RESP2: whatever is encoded is read back by the parser of ioredis', async () => {
  fc.assert(
    fc.property(fc.array(reply, { maxLength: 5 }), (replies) => {
      const read: unknown[] = [];
      const parser = new IoredisParser({
        returnBuffers: true,
        stringNumbers: true,
        returnReply: (value) => read.push(value),
        returnError: (error) => read.push(error),
      });
      const writer = new ReplyWriter();
      for (const each of replies) writer.write(each, 2);
      parser.execute(Buffer.concat(writer.take()));
      const shown = JSON.stringify(read.map(plain));
      const expected = JSON.stringify(replies.map(plain2));
      if (shown !== expected) throw new Error(`${shown}\n${expected}`);
    }),
    { numRuns: 1500 },
  );
});

const latin1 = (text: string) => Buffer.from(text).toString('latin1');
// biome-ignore lint/suspicious/noControlCharactersInRegex: what CairnError and Simple replace
const line = (text: string) => text.replace(/[\u0000-\u001f\u007f]+/g, ' ');
const digits = ({ value }: Double) =>
  Number.isNaN(value) ? 'nan' : Object.is(value, -0) ? '-0' : String(value).replace('Infinity', 'inf');

function wire3(reply: Reply): Wire {
  if (reply === null || reply === nullArray) return { type: 'null' };
  if (typeof reply === 'number' || typeof reply === 'bigint') return { type: 'integer', text: String(reply) };
  if (typeof reply === 'boolean') return { type: 'boolean', value: reply };
  if (typeof reply === 'string') return { type: 'bulk', text: latin1(reply) };
  if (Buffer.isBuffer(reply)) return { type: 'bulk', text: reply.toString('latin1') };
  if (reply instanceof Simple) return { type: 'simple', text: latin1(line(reply.text)) };
  if (reply instanceof Encoded) return { type: 'simple', text: 'raw' };
  if (reply instanceof Verbatim) return { type: 'verbatim', text: `txt:${latin1(reply.text)}` };
  if (reply instanceof Double) return { type: 'double', text: digits(reply) };
  if (reply instanceof CairnError) return { type: 'error', text: latin1(reply.line) };
  if (reply instanceof SetReply) return { type: 'set', items: reply.items.map(wire3) };
  if (reply instanceof Fields) return { type: 'map', items: Object.entries(reply.members).flat().map(wire3) };
  if (reply instanceof MapReply) return { type: 'map', items: reply.entries.flat().map(wire3) };
  return { type: 'array', items: (reply as Reply[]).map(wire3) };
}

/** As redis-parser gives it, printable. */
function plain2(reply: Reply): unknown {
  if (reply === null || reply === nullArray) return null;
  if (typeof reply === 'number' || typeof reply === 'bigint') return String(reply);
  if (typeof reply === 'boolean') return reply ? '1' : '0';
  if (typeof reply === 'string') return latin1(reply);
  if (Buffer.isBuffer(reply)) return reply.toString('latin1');
  if (reply instanceof Simple) return latin1(line(reply.text));
  if (reply instanceof Encoded) return 'raw';
  if (reply instanceof Verbatim) return latin1(reply.text);
  if (reply instanceof Double) return digits(reply);
  if (reply instanceof CairnError) return `error: ${reply.line}`;
  if (reply instanceof SetReply) return reply.items.map(plain2);
  if (reply instanceof Fields) return Object.entries(reply.members).flat().map(plain2);
  if (reply instanceof MapReply) return reply.entries.flat().map(plain2);
  return (reply as Reply[]).map(plain2);
}

function plain(value: unknown): unknown {
  if (Buffer.isBuffer(value)) return value.toString('latin1');
  if (value instanceof Error) return `error: ${value.message}`;
  if (Array.isArray(value)) return value.map(plain);
  return value;
}
