import t from 'tap';
import {
  MAX_ARGUMENTS,
  MAX_LINE_BYTES,
  MAX_REQUEST_BYTES,
  RESTRICTED_BULK_BYTES,
  RequestDecoder,
} from '../../src/resp/decode.js';
import { multibulk } from '../support/resp.js';

const MB = 1024 * 1024;
const decoder = (protoMaxBulkLen = 512 * MB) => new RequestDecoder({ protoMaxBulkLen });
const text = (requests: Buffer[][]) => requests.map((request) => request.map((word) => word.toString('latin1')));
const feed = (bytes: string | Buffer, d = decoder()) => ({
  requests: text(d.feed(Buffer.from(bytes as string))),
  failure: d.failure?.line ?? null,
});

t.test('multibulk and inline requests may follow each other in one chunk', async (t) => {
  const { requests, failure } = feed('*1\r\n$4\r\nPING\r\nSET a "b c"\r\n*2\r\n$4\r\nECHO\r\n$0\r\n\r\nPING\n');
  t.same(requests, [['PING'], ['SET', 'a', 'b c'], ['ECHO', ''], ['PING']]);
  t.equal(failure, null);
});

t.test('empty requests are ignored', async (t) => {
  const { requests, failure } = feed('*0\r\n\r\n\n*-1\r\n*-99999\r\n   \r\n*1\r\n$4\r\nPING\r\n');
  t.same(requests, [['PING']]);
  t.equal(failure, null);
});

t.test('binary arguments come through, line ends included', async (t) => {
  const value = Buffer.from([0, 13, 10, 255, 42, 36]);
  t.same(decoder().feed(multibulk('SET', 'k', value))[0]?.[2], value);
});

t.test('what breaks the protocol is named as Redis names it, after the requests before it', async (t) => {
  const cases: [string, string][] = [
    ['*a\r\n', 'invalid multibulk length'],
    ['*1x\r\n', 'invalid multibulk length'],
    ['*+1\r\n', 'invalid multibulk length'],
    ['*01\r\n', 'invalid multibulk length'],
    ['*-0\r\n', 'invalid multibulk length'],
    ['*\r\n', 'invalid multibulk length'],
    [`*${MAX_ARGUMENTS + 1}\r\n`, 'invalid multibulk length'],
    ['*99999999999999999999\r\n', 'invalid multibulk length'],
    ['*1\r\n$-1\r\n', 'invalid bulk length'],
    ['*1\r\n$x\r\n', 'invalid bulk length'],
    ['*1\r\n$\r\n', 'invalid bulk length'],
    ['*1\r\n$01\r\n0\r\n', 'invalid bulk length'],
    [`*1\r\n$${512 * MB + 1}\r\n`, 'invalid bulk length'],
    ['*1\r\n!4\r\nPING\r\n', "expected '$', got '!'"],
    ['*1\r\n\r\n', "expected '$', got ' '"],
    ['SET "a\r\n', 'unbalanced quotes in request'],
    [`${'a'.repeat(MAX_LINE_BYTES + 1)}`, 'too big inline request'],
    [`*${'1'.repeat(MAX_LINE_BYTES + 1)}`, 'too big mbulk count string'],
    [`*1\r\n$${'1'.repeat(MAX_LINE_BYTES + 1)}`, 'too big bulk count string'],
  ];
  for (const [bytes, what] of cases) {
    const { requests, failure } = feed(`PING\r\n*1\r\n$4\r\nECHO\r\n${bytes}`);
    t.same(requests, [['PING'], ['ECHO']], bytes.slice(0, 40));
    t.equal(failure, `ERR Protocol error: ${what}`);
  }
});

t.test('nothing is decoded after a protocol error', async (t) => {
  const d = decoder();
  d.feed(Buffer.from('*x\r\n'));
  t.same(d.feed(Buffer.from('PING\r\n')), []);
  t.equal(d.bufferedBytes, 0);
});

t.test('a lower limit for arguments holds at once', async (t) => {
  const limits = { protoMaxBulkLen: 512 * MB };
  const d = new RequestDecoder(limits);
  t.equal(d.feed(multibulk('SET', 'k', 'x'.repeat(2048))).length, 1);
  limits.protoMaxBulkLen = 1024;
  t.equal(d.feed(multibulk('SET', 'k', 'x'.repeat(2048))).length, 0);
  t.equal(d.failure?.line, 'ERR Protocol error: invalid bulk length');
});

t.test('who is not authenticated may send small requests only', async (t) => {
  const restricted = () => {
    const d = decoder();
    d.restricted = true;
    return d;
  };
  t.equal(feed('*11\r\n', restricted()).failure, 'ERR Protocol error: unauthenticated multibulk length');
  t.equal(
    feed(`*1\r\n$${RESTRICTED_BULK_BYTES + 1}\r\n`, restricted()).failure,
    'ERR Protocol error: unauthenticated bulk length',
  );
  t.equal(feed(multibulk('SET', 'k', 'x'.repeat(RESTRICTED_BULK_BYTES)), restricted()).requests.length, 1);
});

t.test('while restricted, one request at a time: the limits may be lifted by it', async (t) => {
  const d = decoder();
  d.restricted = true;
  const big = ['MSET', ...Array.from({ length: 40 }, (_, n) => `w${n}`)];
  const first = d.feed(Buffer.concat([multibulk('AUTH', 'secret'), multibulk(...big), Buffer.from('PING\r\n')]));
  t.same(text(first), [['AUTH', 'secret']]);
  d.restricted = false;
  t.same(text(d.more()), [big, ['PING']]);
  t.equal(d.failure, null);
  t.same(d.more(), []);
});

t.test('an announced argument costs no memory before it comes', async (t) => {
  const before = process.memoryUsage.rss();
  const decoders = Array.from({ length: 8 }, () => decoder());
  for (const d of decoders) d.feed(Buffer.from(`*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$${256 * MB}\r\nabc`));
  t.ok(process.memoryUsage.rss() - before < 64 * MB);
  t.ok(decoders.every((d) => d.bufferedBytes < 100));
  t.ok(
    decoders.every((d) => d.reservedBytes <= 512),
    'nor address space',
  );
});

t.test('a request is refused before it takes more than the limit of the query buffer', async (t) => {
  const d = decoder(MAX_REQUEST_BYTES * 2);
  t.match(feed(`*2\r\n$3\r\nGET\r\n$${MAX_REQUEST_BYTES}\r\n`, d).failure, /longer than 1073741824 bytes/);
  t.equal(d.bufferedBytes, 0);
});

t.test(
  'a big argument arrives whole in pieces, and is copied once, the parts that came before its room was made once more',
  async (t) => {
    const size = 96 * MB;
    const value = Buffer.alloc(size);
    for (let at = 0; at < size; at += 4096) value.writeUInt32LE(at, at);
    const d = decoder();
    t.same(d.feed(Buffer.from(`PING\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$${size}\r\n`)).length, 1);
    const before = process.memoryUsage().arrayBuffers;
    for (let at = 0; at < size; at += 65536)
      t.same(d.feed(value.subarray(at, at + 65536)), []) || t.bailout('too early');
    const [request] = d.feed(Buffer.from('\r\nPING\r\n'));
    t.ok(process.memoryUsage().arrayBuffers - before < 1.25 * size, 'no second copy was made');
    t.equal(request?.length, 3);
    t.ok(request?.[2]?.equals(value));
  },
);

t.test('many arguments of middling size grow the assembly without bound on copies', async (t) => {
  const value = 'v'.repeat(10_000);
  const pairs = Array.from({ length: 600 }, (_, n) => [`key:${n}`, value]).flat();
  const bytes = multibulk('MSET', ...pairs);
  const d = decoder();
  const requests: Buffer[][] = [];
  for (let at = 0; at < bytes.length; at += 4000) requests.push(...d.feed(bytes.subarray(at, at + 4000)));
  t.same(text(requests), [['MSET', ...pairs]]);
});

t.test('pipelines of 10^5 requests are quick', async (t) => {
  const bytes = Buffer.concat(Array.from({ length: 100_000 }, (_, n) => multibulk('SET', `key:${n}`, 'value')));
  const d = decoder();
  const begin = performance.now();
  let count = 0;
  for (let at = 0; at < bytes.length; at += 65536) count += d.feed(bytes.subarray(at, at + 65536)).length;
  t.equal(count, 100_000);
  t.ok(performance.now() - begin < 2000);
});
