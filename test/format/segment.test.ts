/** Segments: what goes in comes out, from the whole file and from parts of it; and format 1 stays what it was. */
import fc from 'fast-check';
import t from 'tap';
import {
  chainAnchor,
  chainDigest,
  decodeSegmentFooter,
  decodeSegmentHeader,
  decodeSegmentIndex,
  describeRecords,
  encodeSegment,
  entryForSequence,
  entryForTime,
  frameRecord,
  iterateRecords,
  keyOfSegment,
  lastSequence,
  parseSegmentKey,
  requireSegmentName,
  type SegmentRecord,
  segmentBytes,
  segmentKey,
  timelineSegmentPrefix,
  verifySegment,
} from '../../src/format/index.js';
import {
  anyHistory,
  framed,
  goldenSegment,
  type History,
  refusal,
  segmentOf,
  smallHistory,
} from './segment-samples.js';

t.test('what format 1 wrote decodes, and encodes to the same bytes', async (t) => {
  const bytes = goldenSegment();
  const content = verifySegment(bytes);
  t.match(content, {
    timeline: 2,
    sequenceFrom: 4107,
    sequenceTo: 4113,
    firstUs: 1_769_596_204_123_456,
    lastUs: 1_769_596_205_123_456,
    commits: 4,
    commitsBefore: 2054,
    digestFrom: chainAnchor(2, 4107),
  });
  const commits = [...iterateRecords(content.records)];
  t.same(
    commits.map(({ sequence, timeUs, count }) => [sequence, timeUs, count]),
    [
      [4108, 1_769_596_204_123_456, 1],
      [4109, 1_769_596_204_123_457, 3],
      [4112, 1_769_596_205_123_456, 1],
      [4113, 1_769_596_205_123_456, 1],
    ],
  );
  t.equal(commits[0]?.body.toString('latin1'), '\x01\x08\0counter\x017');
  t.ok(encodeSegment(content).equals(bytes));
  const { timeline, sequenceFrom, commitsBefore, digestFrom } = content;
  const again = commits.map((commit) => frameRecord(commit));
  const described = describeRecords({ timeline, sequenceFrom, commitsBefore, digestFrom }, Buffer.concat(again));
  t.ok(encodeSegment(described).equals(bytes));
});

t.test('every history comes back commit by commit', async (t) => {
  fc.assert(
    fc.property(anyHistory(200, 30), (history) => {
      const bytes = segmentOf(history);
      const content = verifySegment(bytes);
      const header = decodeSegmentHeader(bytes.subarray(0, 160));
      t.equal(segmentBytes(header), bytes.length);
      t.equal(header.commits, history.commits.length);
      t.ok(encodeSegment(content).equals(bytes));
      const records = [...iterateRecords(bytes, 160, header.indexOffset)];
      t.same(records.map(plain), expected(history));
      t.same([...iterateRecords(content.records, 0, content.records.length, { fileOffset: 160 })], records);
      return true;
    }),
    { numRuns: 100 },
  );
});

t.test('a reader begins at any index entry, and meets the commits with the digest that the entry states', async (t) => {
  fc.assert(
    fc.property(anyHistory(30_000, 40), fc.nat(1000), (history, seed) => {
      const bytes = segmentOf(history);
      const { header, index } = openParts(bytes);
      const all = [...iterateRecords(bytes, 160, header.indexOffset)];
      t.same(
        index.map((entry) => entry.offset),
        firstOfEachStep(all),
      );
      for (const entry of index) {
        let digest = header.digestFrom;
        for (const record of all) {
          if (record.offset === entry.offset) break;
          digest = chainDigest(digest, header.timeline, record.bytes);
        }
        t.equal(entry.digestBefore, digest);
      }
      const target = all[seed % all.length] as SegmentRecord;
      const bySequence = entryForSequence(index, lastSequence(target));
      t.equal(
        find(bytes, header.indexOffset, bySequence?.offset, (record) => record.sequence <= lastSequence(target)),
        target.offset,
      );
      const byTime = entryForTime(index, target.timeUs);
      const lastAt = all.filter((record) => record.timeUs <= target.timeUs).at(-1);
      t.equal(
        find(bytes, header.indexOffset, byTime?.offset, (record) => record.timeUs <= target.timeUs),
        lastAt?.offset,
      );
      t.equal(entryForSequence(index, header.sequenceFrom), undefined);
      t.equal(entryForTime(index, header.firstUs - 1), undefined);
      return true;
    }),
    { numRuns: 20 },
  );
});

t.test('the running digest depends on the commits and the timeline, not on where segments are cut', async (t) => {
  const records = framed(smallHistory);
  const anchor = chainAnchor(3, 99);
  t.not(anchor, chainAnchor(3, 100));
  t.not(anchor, chainAnchor(4, 99));
  const end = records.reduce((digest, record) => chainDigest(digest, 3, record), anchor);
  t.equal(end, verifySegment(segmentOf(smallHistory)).digestTo);
  t.not(
    end,
    records.reduce((digest, record) => chainDigest(digest, 4, record), anchor),
  );
  const seen: string[] = [];
  verifySegment(segmentOf(smallHistory), (_, before) => seen.push(before.hex));
  t.same(seen.slice(0, 2), [anchor, chainDigest(anchor, 3, records[0] as Buffer)]);
  t.throws(() => chainDigest('short', 3, records[0] as Buffer), { name: 'AssertionFailed' });
});

t.test('records that contradict each other never become a segment', async (t) => {
  const start = { timeline: 1, sequenceFrom: 9, commitsBefore: 0, digestFrom: chainAnchor(1, 9) };
  const at = (sequence: number, timeUs: number) => frameRecord({ sequence, timeUs, count: 2, body: Buffer.from('x') });
  const refused = (records: Buffer[]) => refusal(() => describeRecords(start, Buffer.concat(records)))?.message;
  t.match(refused([at(10, 5), at(13, 5)]), /after sequence 11 begins at 13, at offset 189/);
  t.match(refused([at(10, 5), at(11, 5)]), /after sequence 11 begins at 11/);
  t.match(refused([at(10, 5), at(12, 4)]), /4 µs follows one of 5 µs, at offset 189/);
  t.match(refused([at(11, 5)]), /after sequence 9 begins at 11/);
  t.match(refused([]), /no commits/);
  t.match(refused([at(10, 5).subarray(0, 28)]), /29 bytes has only 28 left/);
  const content = describeRecords(start, at(10, 5));
  t.ok(refusal(() => encodeSegment({ ...content, sequenceTo: 9 })));
  t.ok(refusal(() => encodeSegment({ ...content, commits: 2 })));
  t.ok(refusal(() => encodeSegment({ ...content, index: [] })));
  t.ok(refusal(() => encodeSegment({ ...content, firstUs: 6 })));
  for (const commit of [
    { sequence: 0, timeUs: 1, count: 1 },
    { sequence: 1, timeUs: -1, count: 1 },
    { sequence: 1, timeUs: 1, count: 0 },
    { sequence: Number.MAX_SAFE_INTEGER, timeUs: 1, count: 1 },
  ]) {
    t.throws(() => frameRecord({ ...commit, body: Buffer.from('x') }), { name: 'AssertionFailed' });
  }
});

t.test('keys name a timeline and the sequences, sort as these do, and no other key is one', async (t) => {
  const key = 'wal/2/00000000000000004108-00000000000000004113.seg';
  t.equal(segmentKey(2, 4108, 4113), key);
  t.same(parseSegmentKey(key), { timeline: 2, first: 4108, last: 4113 });
  t.ok(key.startsWith(timelineSegmentPrefix(2)));
  t.same(parseSegmentKey(segmentKey(0xffff_ffff, 1, Number.MAX_SAFE_INTEGER)), {
    timeline: 0xffff_ffff,
    first: 1,
    last: Number.MAX_SAFE_INTEGER,
  });
  t.ok(segmentKey(1, 9, 9) < segmentKey(1, 10, 10));
  for (const other of [
    '',
    'wal/',
    `x${key}`,
    `${key}.zst`,
    key.replace('/2/', '/02/'),
    key.replace('/2/', '/0/'),
    key.replace('/2/', '/4294967296/'),
    key.replace('/2/', '/../'),
    key.replace('-0', '-'),
    key.replace('4113', '4107'),
    'wal/2/00000000000000000000-00000000000000004113.seg',
    'wal/2/00000000000000000001-00009007199254740992.seg',
    'wal/2/00000000000000000001-99999999999999999999.seg',
    `${key}\n`,
  ]) {
    t.equal(parseSegmentKey(other), null, JSON.stringify(other));
  }
  for (const [timeline, first, last] of [
    [0, 1, 1],
    [1, 0, 1],
    [1, 2, 1],
    [1, 1, 2 ** 53],
    [2 ** 32, 1, 1],
  ] as const) {
    t.throws(() => segmentKey(timeline, first, last), { name: 'AssertionFailed' });
  }
});

t.test('a segment lies under the name that its header gives, and under no other', async (t) => {
  const header = decodeSegmentHeader(goldenSegment());
  t.equal(keyOfSegment(header), 'wal/2/00000000000000004108-00000000000000004113.seg');
  const name = { timeline: 2, first: 4108, last: 4113 };
  t.equal(
    refusal(() => requireSegmentName(header, name)),
    null,
  );
  for (const other of [{ timeline: 3 }, { first: 4107 }, { last: 4114 }]) {
    t.match(
      refusal(() => requireSegmentName(header, { ...name, ...other }))?.message,
      /says that it is wal.2.*, its name/,
    );
  }
});

function plain({ sequence, timeUs, count, body }: SegmentRecord): unknown[] {
  return [sequence, timeUs, count, body.toString('hex')];
}

function expected(history: History): unknown[] {
  let sequence = history.sequenceFrom + 1;
  return history.commits.map(({ timeUs, count, body }) => {
    const row = [sequence, timeUs, count, Buffer.from(body).toString('hex')];
    sequence += count;
    return row;
  });
}

/** As a reader of ranges does it: head, tail, index. */
function openParts(bytes: Buffer) {
  const header = decodeSegmentHeader(bytes.subarray(0, 160));
  const footer = decodeSegmentFooter(bytes.subarray(-48));
  return { header, index: decodeSegmentIndex(bytes.subarray(header.indexOffset, -48), header, footer) };
}

/** The rule of the index, said once more. */
function firstOfEachStep(records: SegmentRecord[]): number[] {
  const steps = new Map<number, number>();
  for (const { offset } of records) {
    const step = Math.floor((offset - 160) / 65_536);
    if (!steps.has(step)) steps.set(step, offset);
  }
  return [...steps.values()];
}

/** The offset of the last record that is wanted, walking from an entry on. */
function find(bytes: Buffer, to: number, from: number | undefined, wanted: (record: SegmentRecord) => boolean) {
  let found: number | undefined;
  if (from === undefined) return undefined;
  for (const record of iterateRecords(bytes, from, to)) {
    if (!wanted(record)) break;
    found = record.offset;
  }
  return found;
}
