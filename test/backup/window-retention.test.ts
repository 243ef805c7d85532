/** The recovery window against retention: backups are counted and aged, the window's base and its commits stay. */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { formatTime } from '../../src/base/time.js';
import { type Fixture, type FixtureOptions, openFixture } from '../support/backup-fixture.js';
import { flipBit, manifestPath, objectKeys, statePath } from '../support/repository-files.js';
import { scratch } from '../support/scratch.js';

const HOUR_US = 3_600_000_000;
const DAY_US = 24 * HOUR_US;

async function fixture(t: Test, options: FixtureOptions): Promise<Fixture> {
  const opened = await openFixture(scratch(t), { archive: () => true, ...options });
  t.teardown(() => opened.close());
  return opened;
}

t.test('D4: hourly fulls, max_count 3 and a window of 24 h: any moment of the last 24 h can be restored', async (t) => {
  let nowUs = Date.UTC(2026, 0, 5) * 1000;
  const clock = { nowUs: () => nowUs };
  const f = await fixture(t, { clock, maxCount: () => 3, walRetentionUs: () => DAY_US });
  const moments: { us: number; value: string }[] = [];
  for (let hour = 0; hour < 40; hour += 1) {
    await f.create();
    for (const part of [1, 2]) {
      nowUs += HOUR_US / 2 - 1_000_000;
      const value = `${hour}.${part}`;
      await f.set('n', value);
      moments.push({ us: f.keyspace.position.lastCommitUs, value });
    }
    nowUs += 2_000_000;
    await f.backup.window();
  }
  await f.create();
  await f.backup.tidyArchive();
  const { backups } = await f.backup.list({});
  // 26 hours back lies the base; each create spared it for the hour it was needed.
  t.equal(backups.length, 4, `${backups.map(({ id }) => id)}`);
  const { reasons } = await f.backup.prune({ maxCount: 3 }, true);
  t.same(
    reasons.map(({ reason }) => reason),
    ['newest', 'policy', 'policy', 'window'],
  );
  const [window] = await f.backup.window();
  t.same(window?.gaps, []);
  t.ok((window?.from ?? '') <= formatTime(nowUs - DAY_US), `from ${window?.from}, now ${formatTime(nowUs)}`);
  const inside = moments.filter(({ us }) => us >= nowUs - DAY_US);
  t.ok(inside.length >= 47);
  for (const { us, value } of [inside[0], inside[20], inside.at(-1)] as typeof moments) {
    await f.restore({ target: { at: String(us) }, timeline: 1 });
    t.equal(await f.get('n'), value, formatTime(us));
  }
  await (await f.backup.verifyAll('FULL')).done;
});

t.test('D4: with enough fulls kept the base of the window follows, and what lies before it goes', async (t) => {
  let nowUs = Date.UTC(2026, 0, 5) * 1000;
  const f = await fixture(t, { clock: { nowUs: () => nowUs }, maxCount: () => 6, walRetentionUs: () => 4 * HOUR_US });
  const moments: { us: number; value: string }[] = [];
  for (let hour = 0; hour < 14; hour += 1) {
    await f.create();
    nowUs += HOUR_US / 2;
    await f.set('n', String(hour));
    moments.push({ us: f.keyspace.position.lastCommitUs, value: String(hour) });
    nowUs += HOUR_US / 2;
    await f.backup.window();
  }
  await f.create();
  await f.backup.tidyArchive();
  const [window] = await f.backup.window();
  t.ok((window?.from ?? '') <= formatTime(nowUs - 4 * HOUR_US));
  t.ok((window?.from ?? '') > formatTime(nowUs - 7 * HOUR_US), `from ${window?.from}`);
  await t.rejects(f.restore({ target: { at: String(moments[2]?.us) } }), {
    code: 'PITRRANGE',
    message: /Reachable: timeline 1 from/,
  });
  const { us, value } = moments[10] as (typeof moments)[number];
  await f.restore({ target: { at: String(us) } });
  t.equal(await f.get('n'), value);
});

t.test('K3: segments that neither a backup nor the window needs go; those that an increment spans stay', async (t) => {
  let nowUs = Date.UTC(2026, 0, 5) * 1000;
  const f = await fixture(t, { clock: { nowUs: () => nowUs }, walRetentionUs: () => HOUR_US });
  const write = async (value: string) => {
    nowUs += 60_000_000;
    await f.set('n', value);
    await f.backup.window();
  };
  await f.create();
  await write('a');
  await write('b');
  const increment = await f.create({ type: 'incremental' });
  await write('c');
  await write('d');
  nowUs += 3 * HOUR_US;
  await f.create();
  nowUs += 2 * HOUR_US;
  await write('e');
  await f.backup.tidyArchive();
  const [base] = await f.backup.window();
  t.ok(base);
  const sequences = objectKeys(f.repository, 'wal/1').length;
  // a and b are the increment's, e the window's; c and d lie before its base.
  t.equal(sequences, 3, objectKeys(f.repository, 'wal/1').join());
  await f.restore({ backup: increment });
  t.equal(await f.get('n'), 'b');
  await f.backup.delete(increment, false);
  nowUs += 2 * HOUR_US;
  await f.create();
  nowUs += 2 * HOUR_US;
  await f.set('n', 'f');
  await f.backup.window();
  await f.backup.tidyArchive();
  t.notOk(
    objectKeys(f.repository, 'wal/1').some((key) => key.includes('00000000000000000001-')),
    'nobody needs them any more',
  );
});

t.test('0 keeps the window for ever; with archiving off nothing is spared', async (t) => {
  let nowUs = Date.UTC(2026, 0, 5) * 1000;
  let archive = true;
  const f = await fixture(t, { clock: { nowUs: () => nowUs }, archive: () => archive, walRetentionUs: () => 0 });
  const first = await f.create();
  await f.set('n', '1');
  for (let day = 0; day < 5; day += 1) {
    nowUs += DAY_US;
    await f.set('n', String(day));
    await f.create();
  }
  t.match(await f.backup.prune({ maxCount: 2 }, true), {
    reasons: [{}, {}, {}, {}, {}, { id: first, reason: 'window' }],
  });
  await f.backup.tidyArchive();
  const [window] = await f.backup.window();
  t.same(window?.gaps, []);
  archive = false;
  const { deleted } = await f.backup.prune({ maxCount: 2 }, true);
  t.ok(deleted.includes(first));
});

t.test('an unreadable manifest keeps every segment: nobody knows what it spans', async (t) => {
  let nowUs = Date.UTC(2026, 0, 5) * 1000;
  const f = await fixture(t, { clock: { nowUs: () => nowUs }, walRetentionUs: () => HOUR_US });
  await f.create();
  await f.set('n', '1');
  const increment = await f.create({ type: 'incremental' });
  nowUs += 5 * HOUR_US;
  await f.create();
  nowUs += 5 * HOUR_US;
  const before = objectKeys(f.repository, 'wal/');
  flipBit(manifestPath(f.repository, increment), 500);
  await f.backup.list({});
  await f.backup.delete(1, false);
  await f.backup.tidyArchive();
  t.same(objectKeys(f.repository, 'wal/'), before);
  flipBit(manifestPath(f.repository, increment), 500);
  await f.restore({ backup: increment });
  t.equal(await f.get('n'), '1');
});

t.test('lost manifests keep the segments that their backups may span; bringing them back heals', async (t) => {
  let nowUs = Date.UTC(2026, 0, 5) * 1000;
  const f = await fixture(t, { clock: { nowUs: () => nowUs }, walRetentionUs: () => HOUR_US });
  const commit = async (value: string) => {
    nowUs += 60_000_000;
    await f.set('n', value);
    await f.backup.window();
  };
  await f.create();
  await commit('1');
  const increment = await f.create({ type: 'incremental' });
  await commit('2');
  const lost = [increment - 1, increment].map((id) => manifestPath(f.repository, id));
  for (const path of lost) renameSync(path, `${path}.away`);
  nowUs += 5 * HOUR_US;
  await f.create();
  await commit('3');
  nowUs += 5 * HOUR_US;
  await f.create();
  nowUs += 5 * HOUR_US;
  await commit('4');
  await f.backup.tidyArchive();
  const left = objectKeys(f.repository, 'wal/');
  t.equal(left.length, 3, 'what was written after the next backup is spanned by none of them, and went');
  for (const path of lost) renameSync(`${path}.away`, path);
  await f.restore({ backup: increment });
  t.equal(await f.get('n'), '1');
  await (await f.backup.verifyAll('FULL')).done;
});

t.test('tidying looks at the backups that are there now, not at those that were there at the last look', async (t) => {
  let nowUs = Date.UTC(2026, 0, 5) * 1000;
  const f = await fixture(t, { clock: { nowUs: () => nowUs }, walRetentionUs: () => HOUR_US });
  await f.create();
  await f.set('n', '1');
  const increment = await f.create({ type: 'incremental' });
  nowUs += 5 * HOUR_US;
  await f.create();
  nowUs += 5 * HOUR_US;
  const paths = [manifestPath(f.repository, increment), statePath(f.repository, increment)];
  for (const path of paths) renameSync(path, `${path}.away`);
  await f.backup.list({});
  for (const path of paths) renameSync(`${path}.away`, path);
  await f.backup.tidyArchive();
  await f.restore({ backup: increment });
  t.equal(await f.get('n'), '1');
});

t.test('an unreadable timeline is left as it is, the line goes on, and no segment goes meanwhile', async (t) => {
  let nowUs = Date.UTC(2026, 0, 5) * 1000;
  const dir = scratch(t);
  const open = () =>
    openFixture(dir, { archive: () => true, clock: { nowUs: () => nowUs }, walRetentionUs: () => HOUR_US });
  const first = await open();
  const commit = async (f: Fixture, value: string) => {
    nowUs += 60_000_000;
    await f.set('n', value);
    await f.backup.window();
    return String(f.keyspace.position.lastCommitUs);
  };
  await first.create();
  const before = await commit(first, '1');
  await commit(first, '2');
  await first.restore({ target: { at: before } });
  await commit(first, '3');
  await first.close();
  const record = join(first.repository, 'timelines', '2.json');
  const whole = readFileSync(record);
  for (const damaged of [whole.subarray(0, 60), Buffer.alloc(0)]) {
    writeFileSync(record, damaged);
    const f = await open();
    await commit(f, `after ${damaged.length}`);
    nowUs += 5 * HOUR_US;
    const segments = objectKeys(f.repository, 'wal/');
    await f.backup.tidyArchive();
    t.same(objectKeys(f.repository, 'wal/'), segments);
    t.same(readFileSync(record), damaged, 'nothing was written over it');
    await f.close();
  }
  writeFileSync(record, whole);
  const mended = await open();
  t.teardown(() => mended.close());
  t.same(
    (await mended.backup.window()).map(({ timeline, parent, current, gaps }) => [
      timeline,
      parent,
      current,
      gaps.length,
    ]),
    [
      [1, null, 0, 0],
      [2, 1, 1, 0],
    ],
  );
  await mended.restore({ target: { at: before } });
  t.equal(await mended.get('n'), '1');
});

t.test('without any backup what is archived goes by age; a first backup finds the archive whole', async (t) => {
  let nowUs = Date.UTC(2026, 0, 5) * 1000;
  let retentionUs = 0;
  const dir = scratch(t);
  const open = () =>
    openFixture(dir, { archive: () => true, clock: { nowUs: () => nowUs }, walRetentionUs: () => retentionUs });
  let f = await open();
  const commit = async (value: string) => {
    nowUs += HOUR_US / 2;
    await f.set('n', value);
    await f.backup.window();
  };
  for (const value of ['1', '2', '3', '4']) await commit(value);
  nowUs += 5 * HOUR_US;
  await f.backup.tidyArchive();
  const before = objectKeys(f.repository, 'wal/');
  t.equal(before.length, 4, '0 keeps everything');
  retentionUs = HOUR_US;
  await f.backup.tidyArchive();
  const left = objectKeys(f.repository, 'wal/');
  t.equal(left.length, 1, `of ${before.length} the one that says where the archive stands is left`);
  await f.close();
  f = await open();
  await commit('5');
  await f.create();
  await commit('6');
  const { lastCommitUs } = f.keyspace.position;
  await commit('7');
  t.same((await f.backup.window())[0]?.gaps, []);
  await f.restore({ target: { at: String(lastCommitUs) } });
  t.equal(await f.get('n'), '6');
  await f.close();
});

t.test('D4: what age took from a line that was left is not missed once that line is the past again', async (t) => {
  let nowUs = Date.UTC(2026, 0, 5) * 1000;
  const f = await fixture(t, { clock: { nowUs: () => nowUs }, walRetentionUs: () => HOUR_US });
  await f.create();
  for (const value of ['1', '2', '3']) {
    nowUs += 60_000_000;
    await f.set('n', value);
    await f.backup.window();
  }
  const before = objectKeys(f.repository, 'wal/1/').length;
  t.equal(before, 3);
  await f.restore({ backup: 1 });
  await f.set('n', 'elsewhere');
  nowUs += HOUR_US - 30_000_000;
  await f.create();
  await f.backup.tidyArchive();
  t.equal(objectKeys(f.repository, 'wal/1/').length, 1, 'nobody is on that line, and the first two are old');
  await f.restore({ backup: 'PREVIOUS' });
  t.equal(await f.get('n'), '3');
  await (await f.backup.verifyAll('FULL')).done;
  // What is younger than the retention, or spanned, is missed as ever.
  await f.set('n', '4');
  await f.backup.window();
  await f.set('n', '5');
  await f.backup.window();
  const [first = ''] = objectKeys(f.repository, 'wal/3/');
  renameSync(join(f.repository, first), `${join(f.repository, first)}.away`);
  await t.rejects((await f.backup.verifyAll('FULL')).done, { code: 'BACKUPINCOMPLETE' });
});
