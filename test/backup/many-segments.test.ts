/** A second-by-second archive that was never merged: segment after segment, each of one commit. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { BatchBuilder } from '../../src/engine/index.js';
import { chainAnchor, describeRecords, encodeSegment, frameRecord, keyOfSegment } from '../../src/format/index.js';
import { type Fixture, openFixture } from '../support/backup-fixture.js';
import { night } from '../support/night.js';
import { objectKeys } from '../support/repository-files.js';
import { scratch } from '../support/scratch.js';

/** By night a day and more; by day what a noisy machine gets through. */
const SECONDS = night(0).long ? 100_000 : 20_000;

t.setTimeout(night(0).long ? 1_800_000 : 175_000);

interface Archive {
  f: Fixture;
  full: number;
  /** Sequence and time of the commit before the first of the archive's. */
  sequence: number;
  startUs: number;
}

/** A database with a full, and what an archive would hold that went on for `n` seconds, a commit each. */
async function archiveOf(t: Test, n: number): Promise<Archive> {
  const dir = scratch(t);
  let archive = false;
  const options = { archive: () => archive };
  const first = await openFixture(dir, options);
  await first.set('n', '0');
  const full = await first.create();
  const { sequence, lastCommitUs: startUs, commitCount } = first.keyspace.position;
  await first.close();
  mkdirSync(join(first.repository, 'wal', '1'), { recursive: true });
  let digestFrom = chainAnchor(1, sequence);
  for (let i = 0; i < n; i += 1) {
    const batch = new BatchBuilder();
    batch.put(Buffer.from(`zzz:${i % 1000}`), Buffer.from(String(i)));
    const record = frameRecord({
      sequence: sequence + i + 1,
      timeUs: startUs + (i + 1) * 1_000_000,
      count: 1,
      body: batch.finish().subarray(12),
    });
    const start = { timeline: 1, sequenceFrom: sequence + i, commitsBefore: commitCount + i, digestFrom };
    const content = describeRecords(start, record);
    digestFrom = content.digestTo;
    writeFileSync(join(first.repository, keyOfSegment(content)), encodeSegment(content));
  }
  // To the server that comes back its data disk is an older copy: it goes on under a timeline of its own.
  archive = true;
  const f = await openFixture(dir, options);
  t.teardown(() => f.close());
  return { f, full, sequence, startUs };
}

t.test(`${SECONDS} segments: the window, a listing, a plan and restores across them`, async (t) => {
  const n = SECONDS;
  const middle = Math.round(n / 2) + 321;
  const { f, full, sequence, startUs } = await archiveOf(t, n);
  const windows = await f.backup.window();
  t.match(windows[0], { timeline: 1, sequence_from: sequence, sequence_to: sequence + n, gaps: [] });
  t.match(windows[1], { timeline: 2, parent: 1, current: 1, sequence_from: sequence });
  t.equal((await f.backup.list({})).total, 1);
  const target = { target: { at: String(startUs + middle * 1_000_000 + 500_000) }, timeline: 1 };
  const planned = await f.backup.restoreDryRun({ ...target, backup: full, to: null, ifTimeline: null });
  t.match(planned, { sequence: sequence + middle, commits_replayed: middle });
  const early = { target: { at: String(startUs + 2_000_500_000) }, timeline: 1 };
  t.match(await f.restore(early), { sequence: sequence + 2000, commits_replayed: 2000 });
  t.equal((await f.keyspace.database?.get(Buffer.from('zzz:999')))?.toString(), '1999');
  t.equal((await f.keyspace.database?.get(Buffer.from('zzz:0')))?.toString(), '1000');
});

t.test('merging leaves a few segments, and every commit in them', async (t) => {
  const n = 3000;
  const { f, sequence, startUs } = await archiveOf(t, n);
  await f.backup.tidyArchive();
  const left = objectKeys(f.repository, 'wal/1');
  t.ok(left.length < 20, `${left.length} segments are left`);
  await (await f.backup.verifyAll('FULL')).done;
  for (const i of [1, 1234, n]) {
    const at = String(startUs + i * 1_000_000);
    t.match(await f.restore({ target: { at }, timeline: 1 }), { sequence: sequence + i, commits_replayed: i });
  }
  // Nothing is left to merge: another round changes nothing.
  await f.backup.tidyArchive();
  t.same(objectKeys(f.repository, 'wal/1'), left);
});
