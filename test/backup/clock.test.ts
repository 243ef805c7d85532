/** A15: clocks that jump. Recovery points never go back, nothing is pruned because of a clock, ids and order are untouched. */
import { readdirSync } from 'node:fs';
import t from 'tap';
import { parseTime } from '../../src/base/time.js';
import { openFixture } from '../support/backup-fixture.js';

const DAY_US = 86_400_000_000;
const START_US = parseTime('2026-03-28T12:00:00Z').us;

function movableClock(): { nowUs(): number; move(us: number): void } {
  let us = START_US;
  const move = (by: number): void => {
    us += by;
  };
  return {
    nowUs: () => {
      move(1000);
      return us;
    },
    move,
  };
}

const at = (info: Record<string, unknown>, name = 'timestamp'): number => parseTime(info[name] as string).us;

t.test('A15: a clock that is set back a day between two backups: recovery points rise, both restore', async (t) => {
  const clock = movableClock();
  const f = await openFixture(t.testdir(), { clock });
  t.teardown(() => f.close());
  await f.set('a', '1');
  const one = await f.backup.info(await f.create());
  clock.move(-DAY_US);
  await f.set('a', '2');
  const two = await f.backup.info(await f.create());
  t.ok(at(two) > at(one), `${two.timestamp} after ${one.timestamp}`);
  t.ok((two.duration_ms as number) >= 0);
  t.ok(at(two, 'finished_at') >= at(two, 'started_at'));
  t.same(
    (await f.backup.list({})).backups.map(({ id }) => id),
    [2, 1],
    'order is by id',
  );
  for (const [id, value] of [
    [1, '1'],
    [2, '2'],
  ] as [number, string][]) {
    await (await f.backup.restore({ backup: id, target: null, timeline: null, to: null, ifTimeline: null })).done;
    t.equal(await f.get('a'), value);
  }
});

t.test('A15: set back while a backup runs, and over a restart', async (t) => {
  const dir = t.testdir();
  const clock = movableClock();
  const first = await openFixture(dir, { clock });
  await first.set('a', '1');
  const one = await first.backup.info(await first.create());
  await first.close();
  clock.move(-DAY_US);
  const f = await openFixture(dir, { clock });
  t.teardown(() => f.close());
  const trigger = { command: 'test', user: null, address: null };
  const { begun, done } = f.backup.create({
    type: 'full',
    parent: null,
    strict: false,
    label: null,
    verify: true,
    pin: false,
    trigger,
  });
  await begun;
  clock.move(-DAY_US);
  const record = await done;
  t.match(record, { status: 'complete' });
  t.ok((record.duration_ms as number) >= 0 && parseTime(record.timestamp as string).us > at(one));
  await (await f.backup.verify(2, 'DEEP')).done;
});

t.test(
  'A15: ten years forward and back: max_age takes no backup that is the newest, and none dated in the future',
  async (t) => {
    const clock = movableClock();
    let maxAgeUs = 0;
    const f = await openFixture(t.testdir(), { clock, maxAgeUs: () => maxAgeUs });
    t.teardown(() => f.close());
    await f.set('a', '1');
    await f.create();
    clock.move(3650 * DAY_US);
    const future = await f.create();
    clock.move(-3650 * DAY_US);
    maxAgeUs = 7 * DAY_US;
    const present = await f.create();
    t.same(
      (await f.backup.list({})).backups.map(({ id }) => id),
      [present, future, 1],
      'nothing is old by this clock',
    );
    clock.move(30 * DAY_US);
    const later = await f.create();
    const left = (await f.backup.list({})).backups.map(({ id }) => id);
    t.same(left, [later, future], 'what is a month old went, what is dated in the future stays');
  },
);

t.test('A15: a replaced database is kept however the clock jumps', async (t) => {
  const dir = t.testdir();
  const clock = movableClock();
  const f = await openFixture(dir, { clock, keepPreviousUs: () => DAY_US });
  t.teardown(() => f.close());
  await f.set('a', 'backed up');
  const id = await f.create();
  await f.set('a', 'present');
  await (await f.backup.restore({ backup: id, target: null, timeline: null, to: null, ifTimeline: null })).done;
  clock.move(3650 * DAY_US);
  t.same(await f.backup.removeOldDatabases(), undefined);
  clock.move(-7300 * DAY_US);
  await f.backup.removeOldDatabases();
  t.same(
    readdirSync(dir).filter((name) => name.startsWith('db-')),
    ['db-000001', 'db-000002'],
  );
  await (await f.backup.restore({ backup: 'PREVIOUS', target: null, timeline: null, to: null, ifTimeline: null })).done;
  t.equal(await f.get('a'), 'present', 'PREVIOUS is the one that was replaced last, by any clock');
});

t.test('A15: times are UTC, whatever time zone and daylight saving the machine has', async (t) => {
  const before = process.env.TZ;
  process.env.TZ = 'Europe/Berlin'; // 2026-03-29 02:30 does not exist there
  t.teardown(() => {
    if (before === undefined) delete process.env.TZ;
    else process.env.TZ = before;
  });
  const clock = movableClock();
  clock.move(parseTime('2026-03-29T01:30:00Z').us - START_US);
  const f = await openFixture(t.testdir(), { clock });
  t.teardown(() => f.close());
  await f.set('a', '1');
  const info = await f.backup.info(await f.create());
  t.match(info.timestamp as string, /^2026-03-29T01:30:/);
  t.equal(parseTime('2026-03-29 02:30:00').us, parseTime('2026-03-29T02:30:00Z').us);
});
