/** Recovery at the edges of lines: clocks that lag, ends that nobody archived, copies that are older than they say. */
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { Timelines } from '../../src/backup/timelines.js';
import { parseTime } from '../../src/base/time.js';
import { nativeFiles } from '../../src/engine/index.js';
import { encodeSegment, verifySegment } from '../../src/format/index.js';
import { openLocalStore } from '../../src/storage/index.js';
import { type Fixture, type FixtureOptions, openFixture } from '../support/backup-fixture.js';
import { silentLog } from '../support/log.js';
import { objectKeys } from '../support/repository-files.js';
import { scratch } from '../support/scratch.js';

const HOUR_US = 3_600_000_000;

async function fixture(t: Test, options: FixtureOptions = {}): Promise<Fixture> {
  const opened = await openFixture(scratch(t), { archive: () => true, ...options });
  t.teardown(() => opened.close());
  return opened;
}

function movableClock() {
  let us = 1_772_000_000_000_000;
  return {
    nowUs: () => (us += 100),
    move(by: number) {
      us += by;
    },
  };
}

/** A server whose data directory can be set back to an older copy; its repository lies elsewhere and stays. */
function machine(t: Test, options: FixtureOptions = {}) {
  const dir = scratch(t);
  const repository = scratch(t);
  const copy = scratch(t);
  const fill = (from: string, to: string): void => {
    rmSync(to, { recursive: true });
    cpSync(from, to, { recursive: true });
  };
  return {
    repository,
    open: () => openFixture(dir, { archive: () => true, repository, ...options }),
    keepCopy: () => fill(dir, copy),
    putCopyBack: () => fill(copy, dir),
  };
}

t.test(
  'PREVIOUS: the way back forks after the last commit of the kept line, whatever the wall clock said',
  async (t) => {
    const clock = movableClock();
    const f = await fixture(t, { clock });
    await f.set('n', '1');
    const full = await f.create();
    clock.move(-HOUR_US);
    await f.set('n', '2');
    const us = f.keyspace.position.lastCommitUs;
    await f.set('n', '3');
    const lastUs = f.keyspace.position.lastCommitUs;
    await f.restore({ backup: full });
    const back = await f.restore({ backup: 'PREVIOUS' });
    t.ok(
      (back.last_commit_at ?? '') <= (back.timestamp ?? ''),
      `${back.last_commit_at} is not after ${back.timestamp}`,
    );
    await f.restore({ target: { at: String(lastUs) }, to: 'last' });
    await f.restore({ target: { at: String(us) } });
    t.equal(await f.get('n'), '2', 'what the live database has in its past is there');
  },
);

t.test('WINDOW and RESTORE with a target plan with what their own capture found, whatever runs beside', async (t) => {
  const f = await fixture(t, { archive: () => false, intervalMs: 1 });
  await f.set('n', '0');
  await f.create();
  for (let i = 1; i <= 40; i += 1) {
    await f.set('n', String(i));
    const us = f.keyspace.written().throughUs;
    const to = (await f.backup.window()).at(-1)?.to ?? '';
    t.ok(parseTime(to).us > us, `the line is known through ${to}`);
    const target = { at: to };
    const asked = { backup: 'LATEST', target, timeline: null, to: null, ifTimeline: null } as const;
    t.equal((await f.backup.restoreDryRun(asked)).sequence, f.keyspace.position.sequence);
  }
});

t.test('a sequence at which lines part is reached from a backup of the child where the parent is lost', async (t) => {
  const f = await fixture(t);
  await f.set('n', '1');
  const ofParent = await f.create();
  await f.set('n', '2');
  await f.restore({ backup: ofParent });
  const { sequence } = f.keyspace.position;
  await f.create();
  await f.set('n', '3');
  await f.backup.delete(ofParent, true);
  const window = (await f.backup.window()).at(-1);
  t.match(window, { timeline: 2, sequence_from: sequence }, 'WINDOW claims it');
  const restored = await f.restore({ target: { seq: sequence } });
  t.match(restored, { sequence, timeline: 2 });
  t.equal(await f.get('n'), '1');
});

t.test('a moment inside the very first write group is reached from a backup of nothing', async (t) => {
  const f = await fixture(t);
  await f.create();
  const put = (value: string) =>
    f.keyspace.execute((tx) => {
      tx.put(0, Buffer.from('n'), { type: 'string', bytes: Buffer.from(value), expiresAtMs: null });
      tx.put(1, Buffer.from(`key:${value}`), { type: 'string', bytes: Buffer.from(value), expiresAtMs: null });
    });
  for (const { durable } of await Promise.all(['1', '2', '3'].map(put))) await durable;
  for (const [seq, value] of [
    [2, '1'],
    [4, '2'],
  ] as const) {
    const restored = await f.restore({ target: { seq }, timeline: 1 });
    t.match(restored, { sequence: seq, commits_replayed: Number(value) });
    t.equal(await f.get('n'), value);
    t.same(f.keyspace.position.keyCounts.slice(0, 2), [1, Number(value)]);
    await f.restore({ target: { seq }, timeline: 1, to: `beside-${value}` });
  }
});

t.test('a line that an older copy of the data left is known as far as its backups and tags are', async (t) => {
  const m = machine(t);
  const first = await m.open();
  await first.create();
  await first.set('n', '1');
  await first.close();
  m.keepCopy();
  const second = await m.open();
  await second.set('n', '2');
  const backup = await second.backup.info(await second.create({ type: 'incremental' }));
  const tag = await second.backup.tag('later');
  await second.close();
  m.putCopyBack();
  const third = await m.open();
  t.teardown(() => third.close());
  t.equal(third.keyspace.position.timeline, 2);
  t.equal((await third.backup.window())[0]?.to, tag.timestamp, 'WINDOW claims it');
  for (const at of [backup.timestamp as string, tag.timestamp]) {
    await third.restore({ target: { at }, timeline: 1 });
    t.equal(await third.get('n'), '2', at);
  }
});

t.test('a second record of how a line was left does not lower its known end', async (t) => {
  const store = await openLocalStore(scratch(t), { files: nativeFiles });
  t.teardown(() => store.close());
  const timelines = new Timelines(store, silentLog());
  const at = (second: number): string => `2026-03-01T00:00:0${second}.000000Z`;
  const line = { fork_sequence: 0, fork_at: null, fork_commit_count: 0, backup: null };
  await timelines.put({ ...line, timeline: 1, parent: null, created_at: at(0), reason: 'created' });
  for (const [timeline, sequence, second] of [
    [2, 10, 5],
    [3, 7, 4],
    [4, 10, 6],
    [5, 10, 5],
  ] as const) {
    const left = { timeline: 1, sequence, commit_count: sequence, at: at(second) };
    await timelines.put({ ...line, timeline, parent: 1, created_at: at(7), reason: 'diverged', left });
  }
  const known = timelines.lines(null).find(({ timeline }) => timeline === 1);
  t.match(known, { endSequence: 10, endedUs: parseTime(at(6)).us });
});

t.test('a tag keeps the number of its timeline, and tells that an older copy was put back', async (t) => {
  const m = machine(t);
  const first = await m.open();
  await first.set('n', 'tagged');
  const full = await first.create();
  await first.set('n', 'left');
  await first.close();
  m.keepCopy();
  const second = await m.open();
  await second.restore({ backup: full });
  const tag = await second.backup.tag('kept');
  t.equal(tag.timeline, 2);
  await second.close();
  m.putCopyBack();
  const third = await m.open();
  t.teardown(() => third.close());
  t.equal(third.keyspace.position.timeline, 3, 'the older copy goes on under a number of its own');
  await third.set('n', 'other');
  const { timeline_new: timeline } = await third.restore({ target: { seq: third.keyspace.position.sequence } });
  t.equal(timeline, 4);
  await third.set('n', 'more');
  await third.create();
  t.match(await third.backup.tags(), [{ name: 'kept', timeline: 2, reachable: 1 }]);
  await third.restore({ target: { tag: 'kept' } });
  t.equal(await third.get('n'), 'tagged');
});

t.test('a tag beyond the end of an older copy never names what the copy does later', async (t) => {
  const m = machine(t, { archive: () => false });
  const first = await m.open();
  await first.set('n', '1');
  await first.close();
  m.keepCopy();
  const second = await m.open();
  await second.set('n', '2');
  const { sequence } = await second.backup.tag('lost');
  await second.close();
  m.putCopyBack();
  const third = await m.open();
  t.teardown(() => third.close());
  await third.set('n', 'other');
  t.equal(third.keyspace.position.sequence, sequence, 'the same sequence');
  await third.create();
  t.match(await third.backup.tags(), [{ name: 'lost', reachable: 0 }]);
  await t.rejects(third.restore({ target: { tag: 'lost' } }), { code: /^(PITRRANGE|WALGAP)$/ });
});

t.test('after an older copy was put back the commit clock begins after every line that is archived', async (t) => {
  const clock = movableClock();
  const m = machine(t, { clock });
  const first = await m.open();
  await first.set('n', '1');
  const full = await first.create();
  await first.close();
  m.keepCopy();
  const second = await m.open();
  await second.restore({ backup: full });
  clock.move(HOUR_US);
  await second.set('n', '2');
  const us = second.keyspace.position.lastCommitUs;
  await second.close();
  m.putCopyBack();
  clock.move(-2 * HOUR_US);
  const third = await m.open();
  t.teardown(() => third.close());
  await third.set('n', '3');
  t.ok(third.keyspace.position.lastCommitUs > us, `${third.keyspace.position.lastCommitUs} is after ${us}`);
});

t.test('an older copy from before the first archived commit goes on from where it ends', async (t) => {
  const m = machine(t, { archive: () => false });
  const first = await m.open();
  await first.create();
  await first.set('n', '1');
  const { sequence } = first.keyspace.position;
  await first.close();
  m.keepCopy();
  const second = await m.open();
  for (let i = 2; i <= 9; i += 1) await second.set('n', String(i));
  await second.create();
  await second.set('n', '10');
  await second.create({ type: 'incremental' });
  await second.close();
  m.putCopyBack();
  const third = await m.open();
  t.teardown(() => third.close());
  t.equal(third.keyspace.position.timeline, 2);
  await third.set('n', 'a');
  await third.create();
  const seqs: [number, string][] = [];
  for (const value of ['b', 'c', 'd', 'e', 'f', 'g', 'h', 'i']) {
    await third.set('n', value);
    seqs.push([third.keyspace.position.sequence, value]);
  }
  const windows = await third.backup.window();
  t.equal(windows.at(-1)?.sequence_to, third.keyspace.position.sequence);
  t.ok(sequence < (windows.at(-1)?.sequence_from ?? 0));
  for (const [seq, value] of seqs) {
    await third.restore({ target: { seq }, timeline: 2 });
    t.equal(await third.get('n'), value);
  }
});

t.test(
  'a segment whose header says another number of commits than it has is refused, and nothing rests on it',
  async (t) => {
    const f = await fixture(t);
    await f.set('n', '0');
    const id = await f.create();
    for (const n of [1, 2, 3]) await f.set('n', String(n));
    await f.backup.window();
    const { path, key, bytes } = wholeSegment(f, f.keyspace.position.sequence);
    await f.set('n', '4');
    await f.backup.window();
    const { sequence } = f.keyspace.position;
    const content = verifySegment(bytes);
    // Its checksums fit: whoever wrote it was wrong.
    writeFileSync(path, encodeSegment({ ...content, commits: content.commits - 1 }));
    const before = await f.get('n');
    await t.rejects(f.restore({ target: { seq: sequence } }), {
      code: 'BACKUPCORRUPT',
      message: new RegExp(`the segment ${key} is damaged: its header promises the commits`),
    });
    t.equal(await f.get('n'), before);
    await t.rejects(f.restore({ target: { seq: sequence } }), { code: 'WALGAP' }, 'known from then on');
    await f.restore({ backup: id });
    t.equal(await f.get('n'), '0');
  },
);

function wholeSegment(f: Fixture, upTo: number): { path: string; key: string; bytes: Buffer } {
  const key = objectKeys(f.repository).find((key) => key.endsWith(`-${String(upTo).padStart(20, '0')}.seg`));
  if (key === undefined) throw new Error(`no segment ends at ${upTo}`);
  const path = join(f.repository, key);
  return { path, key, bytes: readFileSync(path) };
}
