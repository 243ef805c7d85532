/** Recovery at the edges of lines: clocks that lag, ends that nobody archived, copies that are older than they say. */
import { cpSync, rmSync } from 'node:fs';
import t, { type Test } from 'tap';
import { Timelines } from '../../src/backup/timelines.js';
import { parseTime } from '../../src/base/time.js';
import { openLocalStore } from '../../src/storage/index.js';
import { type Fixture, type FixtureOptions, openFixture } from '../support/backup-fixture.js';
import { silentLog } from '../support/log.js';
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
