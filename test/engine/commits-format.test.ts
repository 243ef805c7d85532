/** The addon against src/format, the reference of the same bytes: what one writes the other reads. */
import { randomBytes } from 'node:crypto';
import t from 'tap';
import { verifyRecords } from '../../src/engine/index.js';
import type { Database, FramedCommits } from '../../src/engine/types.js';
import { encodeSegment, frameRecord } from '../../src/format/segment.js';
import { chainAnchor, chainDigest } from '../../src/format/segment-chain.js';
import { describeRecords, verifySegment } from '../../src/format/segment-check.js';
import { SEGMENT_HEADER_BYTES } from '../../src/format/segment-layout.js';
import { mergeSegments } from '../../src/format/segment-merge.js';
import {
  anchor,
  EVERYTHING,
  frameAll,
  parseRecords,
  readerFrom,
  START_US,
  TIMELINE,
  writeCommits,
  writeGroup,
} from './support/commits.js';
import { database } from './support/databases.js';

function segment(framed: FramedCommits, commitsBefore = 0): Buffer {
  return encodeSegment({
    timeline: TIMELINE,
    sequenceFrom: framed.sequenceFrom,
    sequenceTo: framed.sequenceTo,
    firstUs: framed.firstTimeUs,
    lastUs: framed.lastTimeUs,
    commits: framed.count,
    commitsBefore,
    digestFrom: framed.digestFrom.toString('hex'),
    digestTo: framed.digest.toString('hex'),
    records: framed.records,
    index: framed.index.map(({ sequence, timeUs, offset, digest }) => ({
      sequence,
      timeUs,
      offset: SEGMENT_HEADER_BYTES + offset,
      digestBefore: digest.toString('hex'),
    })),
  });
}

async function fill(db: Database): Promise<void> {
  for (let n = 0; n < 600; n += 3) {
    await writeGroup(
      db,
      [0, 1, 2].map((i) => ({
        timeUs: START_US + n + i,
        changes: [
          { put: [`key-${n}-${i}`, randomBytes((n * 7) % 900).toString('latin1')] },
          { delete: `key-${n - 3}` },
          { deleteRange: ['x', 'y'] },
        ],
      })),
    );
  }
}

t.test('what the addon frames is a segment that the format proves, to the last byte of its index', async (t) => {
  const db = await database(t, { walTtlSeconds: 'forever' });
  await fill(db);
  const reader = readerFrom(db, 0);
  const framed = await frameAll(reader);
  await reader.close();
  const content = verifySegment(segment(framed));
  t.equal(content.commits, 600);
  t.ok(content.index.length > 3);
  const start = { timeline: TIMELINE, sequenceFrom: 0, commitsBefore: 0, digestFrom: chainAnchor(TIMELINE, 0) };
  t.same(encodeSegment(describeRecords(start, framed.records)), segment(framed));
  t.equal(anchor().toString('hex'), chainAnchor(TIMELINE, 0));
});

t.test('segments of any size merge to the same one, by the addon and by the format', async (t) => {
  const db = await database(t, { walTtlSeconds: 'forever' });
  await fill(db);
  const whole = readerFrom(db, 0);
  const one = segment(await frameAll(whole));
  await whole.close();
  const reader = readerFrom(db, 0);
  const parts: Buffer[] = [];
  let commits = 0;
  for (let framed = await reader.next(1, EVERYTHING); framed.count > 0; ) {
    parts.push(segment(framed, commits));
    commits += framed.count;
    framed = await reader.next(10_000 * parts.length, EVERYTHING);
  }
  await reader.close();
  t.ok(parts.length > 3);
  t.same(mergeSegments(parts), one);
});

t.test('what the format frames, the addon proves, with the same digest', async (t) => {
  const db = await database(t, { walTtlSeconds: 'forever' });
  await writeCommits(db, 0, 20);
  const reader = readerFrom(db, 0);
  const framed = await frameAll(reader);
  await reader.close();
  let digest = chainAnchor(TIMELINE, 0);
  const records = parseRecords(framed.records, anchor()).map(({ sequence, lastSequence, timeUs, bytes }) => {
    const count = lastSequence - sequence + 1;
    const record = frameRecord({ sequence, timeUs, count, body: bytes.subarray(28) });
    digest = chainDigest(digest, TIMELINE, record);
    return record;
  });
  const expectedDigest = Buffer.from(digest, 'hex');
  const range = { timeline: TIMELINE, digest: anchor(), expectedSequence: 0, expectedDigest };
  t.same(Buffer.concat(records), framed.records);
  t.match(await verifyRecords(Buffer.concat(records), range), { commits: 20, sequence: 20 });
});
