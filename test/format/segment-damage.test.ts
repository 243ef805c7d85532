/** Segments that are not what was written: rotten, torn, or made by an enemy. Found, cut, or refused; never believed. */
import fc from 'fast-check';
import t from 'tap';
import {
  cutTorn,
  decodeSegmentHeader,
  encodeSegment,
  iterateRecords,
  type SegmentHeader,
  verifySegment,
} from '../../src/format/index.js';
import {
  anyHistory,
  framed,
  goldenSegment,
  refusal,
  reseal,
  segmentOf,
  segmentsOf,
  smallHistory,
} from './segment-samples.js';

type Tap = Pick<typeof t, 'ok' | 'equal'>;

const small = segmentOf(smallHistory);
const header = decodeSegmentHeader(small);
/** Where the n-th record ends. */
const ends = framed(smallHistory).map((_, i, all) => 160 + Buffer.concat(all.slice(0, i + 1)).length);

t.test('every single flipped bit is found', async (t) => {
  const missed: string[] = [];
  for (const whole of [small, goldenSegment()]) {
    for (let bit = 0; bit < whole.length * 8; bit += 1) {
      const error = refusal(() => verifySegment(flip(whole, bit)));
      if (error?.reason !== 'damaged') missed.push(`bit ${bit}: ${error?.reason}`);
    }
  }
  t.same(missed, []);
});

t.test('a flipped bit in a record is found by whoever reads the record alone', async (t) => {
  for (let bit = 160 * 8; bit < header.indexOffset * 8; bit += 1) {
    const error = refusal(() => [...iterateRecords(flip(small, bit), 160, header.indexOffset)]);
    if (error === null || !/offset \d+/.test(error.message)) t.fail(`bit ${bit}: ${error?.message}`);
  }
});

t.test('every truncation is cut to the whole commits that are left', async (t) => {
  for (let length = 0; length < small.length; length += 1) {
    const torn = small.subarray(0, length);
    t.equal(refusal(() => verifySegment(torn))?.reason, 'damaged');
    if (length < 160) {
      t.equal(refusal(() => cutTorn(torn))?.reason, 'damaged');
      continue;
    }
    requirePrefix(t, torn, ends.filter((end) => end <= length).length);
  }
  requirePrefix(t, small, 5);
  requirePrefix(t, Buffer.concat([small, Buffer.from('more')]), 5);
});

t.test('whatever is wrong behind the header, what is cut out is a true beginning', async (t) => {
  for (let bit = 160 * 8; bit < small.length * 8; bit += 1) {
    requirePrefix(t, flip(small, bit), ends.filter((end) => end * 8 <= bit).length);
  }
  // A disk that lost the last pages, or that never had them written.
  for (let from = 160; from < small.length; from += 7) {
    for (const fill of [0x00, 0xff]) {
      const lost = Buffer.from(small).fill(fill, from);
      const cut = cutTorn(lost);
      t.ok(cut.content === null || small.subarray(160).indexOf(cut.content.records) === 0);
      const before = ends.filter((end) => end <= from).length;
      // A last record whose end is zeros anyhow may be whole although it was not meant to be.
      t.ok([before, before + 1].includes(cut.content?.commits ?? 0), `${fill} from ${from}`);
    }
  }
});

t.test('a torn segment of any history is cut at the last whole commit', async (t) => {
  fc.assert(
    fc.property(anyHistory(60, 12), fc.double({ min: 0, max: 1, noNaN: true }), (history, part) => {
      const bytes = segmentOf(history);
      const length = 160 + Math.floor(part * (bytes.length - 160));
      let end = 160;
      const whole = framed(history).filter((record) => {
        end += record.length;
        return end <= length;
      }).length;
      const { content } = cutTorn(bytes.subarray(0, length));
      if (whole === 0) return content === null;
      const first = segmentsOf(history, [whole])[0] as Buffer;
      return content !== null && encodeSegment(content).equals(first);
    }),
    { numRuns: 300 },
  );
  t.pass();
});

t.test('a header that lies is refused, with every checksum right', async (t) => {
  const lies: [string, (bytes: Buffer) => void][] = [
    ['another timeline', (b) => b.writeUInt32LE(4, 12)],
    ['timeline 0', (b) => b.writeUInt32LE(0, 12)],
    ['a beginning before', (b) => b.writeUInt32LE(98, 16)],
    ['a beginning after', (b) => b.writeUInt32LE(100, 16)],
    ['an end before', (b) => b.writeUInt32LE(107, 24)],
    ['an end after', (b) => b.writeUInt32LE(109, 24)],
    ['an end before the beginning', (b) => b.writeUInt32LE(1, 24)],
    ['a sequence above 2^53', (b) => b.fill(0xff, 24, 32)],
    ['an earlier first time', (b) => b.writeUInt32LE(999, 32)],
    ['a later first time', (b) => b.writeUInt32LE(1001, 32)],
    ['a first time after the last', (b) => b.writeUInt32LE(6000, 32)],
    ['a later last time', (b) => b.writeUInt32LE(5002, 40)],
    ['fewer commits', (b) => b.writeUInt32LE(4, 48)],
    ['more commits', (b) => b.writeUInt32LE(6, 48)],
    ['no commits', (b) => b.writeUInt32LE(0, 48)],
    ['2^53 - 1 commits', (b) => b.writeBigUInt64LE(2n ** 53n - 1n, 48)],
    ['2^64 - 1 commits', (b) => b.fill(0xff, 48, 56)],
    ['more commits before than can be counted', (b) => b.writeBigUInt64LE(2n ** 53n - 1n, 56)],
    ['another digest before', (b) => b.writeUInt8((b[64] as number) ^ 1, 64)],
    ['another digest after', (b) => b.writeUInt8((b[96] as number) ^ 1, 96)],
    ['fewer records', (b) => b.writeUInt32LE(header.recordsBytes - 1, 128)],
    ['2^53 - 1 bytes of records', (b) => b.writeBigUInt64LE(2n ** 53n - 1n, 128)],
    ['an index inside the records', (b) => b.writeUInt32LE(header.indexOffset - 32, 136)],
    ['an index outside the file', (b) => b.writeBigUInt64LE(2n ** 50n, 136)],
    [
      'records and index outside the file',
      (b) => {
        b.writeBigUInt64LE(2n ** 50n, 128);
        b.writeBigUInt64LE(2n ** 50n + 160n, 136);
      },
    ],
    ['no index', (b) => b.writeUInt32LE(0, 144)],
    ['two index entries', (b) => b.writeUInt32LE(2, 144)],
    ['2^32 - 1 index entries', (b) => b.writeUInt32LE(0xffff_ffff, 144)],
    ['something reserved', (b) => b.writeUInt8(1, 148)],
    ['version 0', (b) => b.writeUInt16LE(0, 8)],
    ['an index entry of another sequence', (b) => b.writeUInt32LE(101, header.indexOffset)],
    ['an index entry of another time', (b) => b.writeUInt32LE(1001, header.indexOffset + 8)],
    ['an index entry inside a record', (b) => b.writeUInt32LE(161, header.indexOffset + 16)],
    ['an index entry outside the file', (b) => b.fill(0xff, header.indexOffset + 16, header.indexOffset + 22)],
    ['an index entry with another digest', (b) => b.fill(7, header.indexOffset + 24, header.indexOffset + 56)],
  ];
  for (const [name, lie] of lies) {
    const bytes = Buffer.from(small);
    lie(bytes);
    const error = refusal(() => verifySegment(reseal(bytes, header.indexOffset)));
    t.not(error, null, `${name}: ${error?.message}`);
    // Torn as well: cut to something that the records prove, or refused.
    refusal(() => cutTorn(bytes));
    refusal(() => cutTorn(bytes.subarray(0, ends[2])));
  }
});

t.test('a newer version is told from damage', async (t) => {
  const newer = Buffer.from(small);
  newer.writeUInt16LE(2, 8);
  t.equal(refusal(() => decodeSegmentHeader(newer))?.reason, 'damaged', 'its checksum does not fit');
  reseal(newer, header.indexOffset);
  t.match(
    refusal(() => decodeSegmentHeader(newer)),
    { reason: 'version', message: /version 2.* reads version 1/ },
  );
  t.equal(refusal(() => verifySegment(newer))?.reason, 'version');
  t.equal(refusal(() => cutTorn(newer))?.reason, 'version');
  const longer = Buffer.from(newer);
  longer.writeUInt16LE(256, 10);
  t.equal(
    refusal(() => decodeSegmentHeader(longer.subarray(0, 160)))?.reason,
    'version',
    'its checksum lies further on',
  );
  const other = Buffer.from(small);
  other.writeUInt16LE(164, 10);
  t.equal(refusal(() => decodeSegmentHeader(other))?.reason, 'damaged');
});

t.test('nothing but FormatError is thrown, and nothing is allocated for what a header promises', async (t) => {
  const before = process.memoryUsage();
  const anyByte = fc.record({ at: fc.nat(small.length - 1), value: fc.nat(255) });
  const anyField = fc.record({
    at: fc.constantFrom(12, 16, 24, 32, 40, 48, 56, 128, 136, 144, 160, 168, 176, 184, header.indexOffset + 16),
    value: fc.constantFrom(
      0n,
      1n,
      27n,
      2n ** 31n,
      2n ** 32n - 1n,
      2n ** 40n,
      2n ** 53n - 1n,
      2n ** 53n,
      2n ** 64n - 1n,
    ),
  });
  fc.assert(
    fc.property(
      fc.array(anyByte, { maxLength: 3 }),
      fc.array(anyField, { maxLength: 3 }),
      fc.nat(300),
      (bytes, fields, cut) => {
        const hostile = Buffer.from(small);
        for (const { at, value } of fields) hostile.writeBigUInt64LE(value, at);
        for (const { at, value } of bytes) hostile[at] = value;
        reseal(hostile, header.indexOffset);
        feed(hostile);
        feed(hostile.subarray(0, hostile.length - cut));
        return true;
      },
    ),
    { numRuns: 2000 },
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
      feed(bytes);
      const framedAnyhow = Buffer.concat([small.subarray(0, 160), bytes, small.subarray(-48)]);
      feed(framedAnyhow);
      return true;
    }),
    { numRuns: 500 },
  );
  const after = process.memoryUsage();
  t.ok(after.arrayBuffers - before.arrayBuffers < 64 * 1024 * 1024, 'no buffer of a promised size');
});

t.test('a small file that promises much is refused without memory for it', async (t) => {
  const bytes = Buffer.from(small);
  bytes.writeBigUInt64LE(2n ** 40n, 128);
  bytes.writeBigUInt64LE(2n ** 40n + 160n, 136);
  bytes.writeBigUInt64LE(2n ** 40n, 24);
  bytes.writeBigUInt64LE(2n ** 33n, 48);
  bytes.writeUInt32LE(0xffff_ff, 144);
  reseal(bytes, header.indexOffset);
  const before = process.memoryUsage().arrayBuffers;
  const stated: SegmentHeader = decodeSegmentHeader(bytes);
  t.equal(stated.commits, 2 ** 33);
  t.match(refusal(() => verifySegment(bytes))?.message, /bytes, its header says 1\d{12}/);
  t.match(refusal(() => [...iterateRecords(bytes, 160, stated.indexOffset)])?.message, /inside its records/);
  t.equal(cutTorn(bytes).content?.commits, 5, 'its records are true all the same');
  t.ok(process.memoryUsage().arrayBuffers - before < 1024 * 1024);
});

function feed(bytes: Uint8Array): void {
  refusal(() => verifySegment(bytes));
  refusal(() => decodeSegmentHeader(bytes));
  refusal(() => [...iterateRecords(bytes, Math.min(160, bytes.length))]);
  const torn = { cut: null as ReturnType<typeof cutTorn> | null };
  refusal(() => {
    torn.cut = cutTorn(bytes);
  });
  // What was cut out is a segment that holds.
  if (torn.cut?.content) verifySegment(encodeSegment(torn.cut.content));
}

/** The cut has exactly these commits of smallHistory, and is the segment that they alone would have been. */
function requirePrefix(t: Tap, bytes: Buffer, commits: number): void {
  const { content, droppedBytes, header: stated } = cutTorn(bytes);
  const end = commits === 0 ? 160 : (ends[commits - 1] as number);
  if (commits === 0) t.equal(content, null);
  else t.ok(content !== null && encodeSegment(content).equals(segmentsOf(smallHistory, [commits])[0] as Buffer));
  t.equal(droppedBytes, bytes.length - end);
  t.equal(stated.commits - (content?.commits ?? 0), 5 - commits);
}

function flip(bytes: Buffer, bit: number): Buffer {
  const flipped = Buffer.from(bytes);
  flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7));
  return flipped;
}
