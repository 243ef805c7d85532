/** Segments to start from, arbitrary ones for properties, and the seal that a hostile writer would put on others. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { crc32c } from '../../src/base/crc32c.js';
import { chainAnchor, describeRecords, encodeSegment, FormatError, frameRecord } from '../../src/format/index.js';

export interface Commit {
  timeUs: number;
  count: number;
  body: Uint8Array;
}

export interface History {
  timeline: number;
  sequenceFrom: number;
  commitsBefore: number;
  commits: Commit[];
}

/** Times as steps from the commit before: 0 is a tie. */
const anyCommit = (maxBody: number) =>
  fc.record({
    step: fc.nat(2_000_000),
    count: fc.integer({ min: 1, max: 40 }),
    body: fc.uint8Array({ maxLength: maxBody }),
  });

export function anyHistory(maxBody: number, maxCommits: number): fc.Arbitrary<History> {
  return fc
    .record({
      timeline: fc.integer({ min: 1, max: 0xffff_ffff }),
      sequenceFrom: fc.nat(2 ** 40),
      commitsBefore: fc.nat(2 ** 30),
      start: fc.constantFrom(0, 1_769_596_204_123_456, 2 ** 52),
      commits: fc.array(anyCommit(maxBody), { minLength: 1, maxLength: maxCommits }),
    })
    .map(({ start, commits, ...rest }) => {
      let timeUs = start;
      const dated = commits.map(({ step, count, body }) => {
        timeUs += step;
        return { timeUs, count, body };
      });
      return { ...rest, commits: dated };
    });
}

/** The framed records of a history, each by itself. */
export function framed(history: History): Buffer[] {
  let sequence = history.sequenceFrom + 1;
  return history.commits.map((commit) => {
    const record = frameRecord({ ...commit, sequence });
    sequence += commit.count;
    return record;
  });
}

/** A history as segments, cut before the commits at `cuts`. */
export function segmentsOf(history: History, cuts: number[] = []): Buffer[] {
  const { timeline } = history;
  const records = framed(history);
  const ends = [...new Set(cuts.filter((cut) => cut > 0 && cut < records.length))].sort((a, b) => a - b);
  let { sequenceFrom, commitsBefore } = history;
  let digestFrom = chainAnchor(timeline, sequenceFrom);
  let from = 0;
  return [...ends, records.length].map((to) => {
    const part = Buffer.concat(records.slice(from, to));
    const content = describeRecords({ timeline, sequenceFrom, commitsBefore, digestFrom }, part);
    sequenceFrom = content.sequenceTo;
    digestFrom = content.digestTo;
    commitsBefore += content.commits;
    from = to;
    return encodeSegment(content);
  });
}

export function segmentOf(history: History): Buffer {
  return segmentsOf(history)[0] as Buffer;
}

/** Five commits, with a tie and an empty body. */
export const smallHistory: History = {
  timeline: 3,
  sequenceFrom: 99,
  commitsBefore: 70,
  commits: [
    { timeUs: 1000, count: 1, body: Buffer.from('first') },
    { timeUs: 1001, count: 4, body: Buffer.from('second, of four') },
    { timeUs: 1001, count: 1, body: Buffer.alloc(0) },
    { timeUs: 5000, count: 2, body: Buffer.from([0, 0, 0, 0]) },
    { timeUs: 5001, count: 1, body: Buffer.from('last') },
  ],
};

/** Puts every checksum right, as somebody who knows the format could; the parts are where the true header has them. */
export function reseal(bytes: Buffer, indexOffset: number): Buffer {
  const footer = bytes.length - 48;
  bytes.writeUInt32LE(crc32c(bytes, 0, 156), 156);
  createHash('sha256').update(bytes.subarray(0, footer)).digest().copy(bytes, footer);
  bytes.writeUInt32LE(crc32c(bytes, indexOffset, footer), footer + 32);
  bytes.writeUInt32LE(crc32c(bytes, footer, footer + 36), footer + 36);
  return bytes;
}

/** What was thrown; null: nothing. Anything but a FormatError of a segment is passed on. */
export function refusal(run: () => unknown): FormatError | null {
  try {
    run();
    return null;
  } catch (error) {
    if (error instanceof FormatError && error.kind === 'segment') return error;
    throw error;
  }
}

/** The golden segment: hex text, lines that begin with # are for people. */
export function goldenSegment(): Buffer {
  const lines = readFileSync('test/fixtures/segment-v1.hex', 'latin1').split('\n');
  return Buffer.from(lines.filter((line) => !line.startsWith('#')).join(''), 'hex');
}
