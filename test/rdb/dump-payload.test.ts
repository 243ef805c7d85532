/** The bytes of dumps: known vectors, there and back for every string, and hostile ones that are refused without harm. */
import fc from 'fast-check';
import t from 'tap';
import { crc64 } from '../../src/rdb/crc64.js';
import { decodeDump, encodeDump } from '../../src/rdb/dump-payload.js';
import { compress, decompress } from '../../src/rdb/lzf.js';
import { propertyRuns } from '../support/property-runs.js';

const MAX = 1 << 20;
const bytes = fc.uint8Array({ maxLength: 200 }).map((value) => Buffer.from(value));
/** Few letters and repeated parts: what LZF finds something in. */
const repetitive = fc
  .array(
    fc.oneof(
      fc.uint8Array({ maxLength: 12, max: 3 }),
      fc
        .tuple(fc.uint8Array({ minLength: 1, maxLength: 9, max: 9 }), fc.nat(400))
        .map(([part, times]) => Buffer.concat(Array.from({ length: times }, () => part))),
    ),
    { maxLength: 12 },
  )
  .map((parts) => Buffer.concat(parts));
const value = fc.oneof(
  bytes,
  repetitive,
  fc.bigInt().map((number) => Buffer.from(String(number))),
);

/** A payload with these bytes as its value, and a right footer. */
function sealed(body: Buffer, version = 10): Buffer {
  const payload = Buffer.concat([body, Buffer.alloc(10)]);
  payload.writeUInt16LE(version, body.length);
  payload.writeBigUInt64LE(crc64(payload, body.length + 2), body.length + 2);
  return payload;
}

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');

t.test('the checksum is CRC-64 (Jones)', async (t) => {
  t.equal(crc64(Buffer.from('123456789')), 0xe9c6d914c4b8d9can);
  t.equal(crc64(Buffer.alloc(0)), 0n);
  t.equal(crc64(Buffer.from('abc'), 0), 0n);
});

t.test('the checksum of any bytes is the one that bit by bit gives', async (t) => {
  const slow = (input: Uint8Array): bigint => {
    let crc = 0n;
    for (const byte of input) {
      crc ^= BigInt(byte);
      for (let bit = 0; bit < 8; bit++) crc = (crc >> 1n) ^ ((crc & 1n) === 1n ? 0x95ac9329ac4bc9b5n : 0n);
    }
    return crc;
  };
  fc.assert(
    fc.property(bytes, (input) => crc64(input) === slow(input)),
    propertyRuns(200),
  );
  t.pass();
});

t.test('known strings have the bytes that redis-server 7.0 gives them', async (t) => {
  const known: [text: string, dump: string][] = [
    ['', '0000 0a00 5d9b5c400f7fa2da'],
    ['hello', '000568656c6c6f 0a00 6372df766534200a'],
    ['ab'.repeat(50), '00c30a4064 02616261e05601016162 0a00 17383d942096d863'],
  ];
  for (const [text, dump] of known) t.same(encodeDump(Buffer.from(text)), hex(dump), text.slice(0, 12));
  const starts: [text: string, start: string][] = [
    ['5', '00c005 0a00'],
    ['-129', '00c17fff 0a00'],
    ['2147483647', '00c2ffffff7f 0a00'],
    ['2147483648', '000a32313437343833363438 0a00'],
    ['a'.repeat(20), `0014${'61'.repeat(20)} 0a00`],
  ];
  for (const [text, start] of starts)
    t.same(encodeDump(Buffer.from(text)).subarray(0, -8), hex(start), text.slice(0, 12));
});

t.test('every string comes back from its dump', async (t) => {
  fc.assert(
    fc.property(value, (input) => {
      const decoded = decodeDump(encodeDump(input), MAX);
      return Buffer.isBuffer(decoded) && decoded.equals(input);
    }),
    propertyRuns(500),
  );
  t.pass();
});

t.test('LZF gives back what it was given, at every limit it says yes to', async (t) => {
  fc.assert(
    fc.property(repetitive, fc.nat(4000), (input, limit) => {
      const compressed = compress(input, limit);
      if (compressed === null) return true;
      return compressed.length <= limit && decompress(compressed, input.length)?.equals(input) === true;
    }),
    propertyRuns(500),
  );
  t.ok((compress(Buffer.alloc(100_000), 100_000)?.length ?? 1e6) < 1300);
  t.equal(compress(Buffer.from('abcdefghijklmnopqrstuvwxyz'), 22), null);
});

t.test('a bit flipped anywhere is a wrong checksum, never another value', async (t) => {
  const payload = encodeDump(Buffer.from('x'.repeat(100)));
  for (let at = 0; at < payload.length; at++) {
    for (let bit = 0; bit < 8; bit++) {
      const spoilt = Buffer.from(payload);
      spoilt[at] = (spoilt[at] as number) ^ (1 << bit);
      t.equal(decodeDump(spoilt, MAX), 'checksum');
    }
  }
  for (let length = 0; length < payload.length; length++)
    t.equal(decodeDump(payload.subarray(0, length), MAX), 'checksum');
});

t.test('lengths that lie, other types and newer versions are refused', async (t) => {
  const cases: [what: string, body: string][] = [
    ['nothing', ''],
    ['a type alone', '00'],
    ['a length beyond the end', '00 05 68'],
    ['a length that ends in the footer', '00 06 68656c6c6f'],
    ['half a 14-bit length', '00 41'],
    ['half a 32-bit length', '00 80 0000'],
    ['4 GiB', '00 80 ffffffff 00'],
    ['2^63 bytes', '00 81 8000000000000000 00'],
    ['2^53 bytes', '00 81 0020000000000000 00'],
    ['half a number', '00 c1 01'],
    ['an unknown number', '00 c4 01'],
    ['an unknown length', '00 82 00000001 61'],
    ['a hash', '10 00'],
    ['a list', '01 01 0161'],
    ['a module value', '07 00'],
    ['LZF of nothing', '00 c3 00 00'],
    ['LZF that gives more than it says', '00 c3 03 01 016162'],
    ['LZF that gives less', '00 c3 02 05 0061'],
    ['LZF that points before its beginning', '00 c3 04 05 0061 2005'],
    ['LZF cut in a literal', '00 c3 02 08 0761'],
    ['LZF cut in a reference', '00 c3 03 05 0061 20'],
    ['LZF with a length above what is allowed', '00 c3 02 80 40000000 0061'],
  ];
  for (const [what, body] of cases) t.equal(decodeDump(sealed(hex(body)), MAX), 'format', what);
  t.equal(decodeDump(sealed(hex('00 01 61'), 11), MAX), 'checksum', 'RDB version 11');
  t.same(decodeDump(sealed(hex('00 01 61'), 1), MAX), Buffer.from('a'), 'RDB version 1');
  t.same(decodeDump(sealed(hex('00 01 61 ffff')), MAX), Buffer.from('a'), 'what follows is passed over, as in Redis');
  t.same(decodeDump(sealed(hex('00 80 00000001 61')), MAX), Buffer.from('a'), 'a longer form of a short length');
  t.same(decodeDump(sealed(hex('00 81 0000000000000001 61')), MAX), Buffer.from('a'), 'the longest form');
});

t.test('a decompression bomb takes no memory: it is measured before it is unpacked', async (t) => {
  // 264 bytes for three, again and again: 45 MB of stream for 4 GB.
  const bomb = Buffer.concat([Buffer.of(0, 0x61), Buffer.alloc(3 * 100_000, Buffer.of(0xe0, 0xff, 0x00))]);
  const length = 1 + 100_000 * 264;
  const head = Buffer.alloc(12);
  head.set([0x00, 0xc3, 0x80], 0);
  head.writeUInt32BE(bomb.length, 3);
  head[7] = 0x80;
  head.writeUInt32BE(length, 8);
  const before = process.memoryUsage().arrayBuffers;
  t.equal(decodeDump(sealed(Buffer.concat([head, bomb])), MAX), 'format', 'longer than allowed');
  head.writeUInt32BE(MAX, 8);
  t.equal(decodeDump(sealed(Buffer.concat([head, bomb])), MAX), 'format', 'says less than it gives');
  t.ok(process.memoryUsage().arrayBuffers - before < 8 << 20);
});

t.test('no bytes with a right footer make it fail otherwise than by saying so', async (t) => {
  const start = fc.constantFrom('00', '00c3', '00c0', '00c1', '00c2', '0080', '0081', '0040', '');
  fc.assert(
    fc.property(start, fc.uint8Array({ maxLength: 40 }), (head, rest) => {
      const decoded = decodeDump(sealed(Buffer.concat([hex(head), rest])), 1000);
      return decoded === 'format' || (Buffer.isBuffer(decoded) && decoded.length <= 1000);
    }),
    propertyRuns(5000),
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (rest) => decodeDump(Buffer.from(rest), 1000) === 'checksum'),
    propertyRuns(1000),
  );
  t.pass();
});
