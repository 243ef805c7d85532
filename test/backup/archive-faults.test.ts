/**
 * Rows B1 to B9 of what the archive must survive, on a real database and a real repository: what was lost is said, what
 * was not is there to the microsecond, and never does one sequence mean two things.
 */
import { cpSync, existsSync, readdirSync, renameSync, rmSync, truncateSync, utimesSync } from 'node:fs';
import { basename, join } from 'node:path';
import t, { type Test } from 'tap';
import { type Fixture, type FixtureOptions, openFixture } from '../support/backup-fixture.js';
import { capturingLog } from '../support/log.js';
import { flipBit, objectKeys } from '../support/repository-files.js';
import { scratch } from '../support/scratch.js';
import { waitFor } from '../support/wait.js';

async function fixture(t: Test, options: FixtureOptions = {}): Promise<Fixture> {
  const opened = await openFixture(scratch(t), { archive: () => true, ...options });
  t.teardown(() => opened.close());
  return opened;
}

interface Moment {
  value: string;
  sequence: number;
  us: number;
}

/** Writes `n` = from … to, one commit each, and remembers each as a moment. */
async function count(f: Fixture, from: number, to: number): Promise<Moment[]> {
  const moments: Moment[] = [];
  for (let i = from; i <= to; i += 1) {
    await f.set('n', String(i));
    const { sequence, lastCommitUs } = f.keyspace.position;
    moments.push({ value: String(i), sequence, us: lastCommitUs });
  }
  return moments;
}

/** What `n` is in the state at a moment, restored beside the live data. */
async function valueAt(f: Fixture, target: { at: string } | { seq: number }, timeline: number | null = null) {
  await f.restore({ target, timeline });
  const value = await f.get('n');
  await f.restore({ backup: 'PREVIOUS' });
  return value;
}

const segments = (f: Fixture): string[] => objectKeys(f.repository, 'wal/');

t.test(
  'B1, B5: the store is away until the spool is full: the window closes loudly, then goes on without a hole',
  async (t) => {
    const { log, records } = capturingLog();
    const f = await fixture(t, { intervalMs: 20, spoolMaxBytes: () => 600_000, writeBufferBytes: 128 << 10, log });
    const before = await count(f, 1, 5);
    const full = await f.create();
    const early = await count(f, 6, 10);
    await f.backup.window();
    const away = `${f.repository}.away`;
    renameSync(f.repository, away);
    const lost = await count(f, 11, 12);
    const big = 'x'.repeat(20_000);
    for (let i = 0; i < 150; i += 1) await f.set(`filler:${i}`, `${i}${big}`);
    await waitFor(() => records.some(({ event }) => event.startsWith('wal.spool_max is reached')), {
      what: 'the spool to be cut',
    });
    renameSync(away, f.repository);
    await waitFor(() => records.some(({ event }) => event.startsWith('the recovery window is closed')), {
      what: 'the window to close',
    });
    const later = await count(f, 21, 25);
    // A moment in the hole is refused, and says so; those before it are not.
    for (const { us } of lost) {
      await t.rejects(f.restore({ target: { at: String(us) } }), { code: /^(PITRRANGE|WALGAP)$/ });
    }
    const kept = early.at(-1) as Moment;
    t.equal(await valueAt(f, { at: String(kept.us) }, 1), kept.value);
    const live = await f.get('n');
    t.equal(live, '25');
    const next = await f.backup.create({
      ...{ type: 'incremental', parent: full, strict: false, label: null, verify: false, pin: false },
      trigger: { command: 'test', user: null, address: null },
    }).done;
    t.match(next, { type: 'full' });
    t.match(next.promoted, /timeline|not in the log/);
    const after = await count(f, 31, 33);
    for (const { us, value } of after) t.equal(await valueAt(f, { at: String(us) }, next.timeline), value);
    t.ok(before.length > 0 && later.length > 0);
  },
);

t.test('B2: FLUSHALL, expiry and renames in the delta come back as they were at each commit', async (t) => {
  const f = await fixture(t);
  await f.set('a', '1');
  await f.set('other', 'x', 3);
  await f.create();
  const put =
    (key: string, value: string, expiresAtMs: number | null = null) =>
    (tx: import('../../src/keyspace/transaction.js').Transaction) =>
      tx.put(0, Buffer.from(key), { type: 'string', bytes: Buffer.from(value), expiresAtMs });
  const run = async (body: (tx: import('../../src/keyspace/transaction.js').Transaction) => void) => {
    await (await f.keyspace.execute(body)).durable;
    return f.keyspace.position.lastCommitUs;
  };
  const farMs = 4_102_444_800_000;
  const expiring = await run(put('e', 'soon', farMs));
  const renamed = await run((tx) => {
    tx.delete(0, Buffer.from('a'));
    put('b', '1')(tx);
  });
  const flushed = await run((tx) => {
    for (let database = 0; database < 16; database += 1) tx.flush(database);
  });
  const again = await run(put('z', 'new'));
  const at = async (us: number) => {
    await f.restore({ target: { at: String(us) }, timeline: 1 });
    const keys = await Promise.all(['a', 'b', 'e', 'z'].map((key) => f.get(key)));
    return [...keys, await f.get('other', 3), f.keyspace.position.keyCounts.join(',').replace(/(,0)+$/, '')];
  };
  t.same(await at(expiring), ['1', null, 'soon', null, 'x', '2,0,0,1']);
  const kept = await f.keyspace.execute((tx) => tx.get(0, Buffer.from('e')));
  t.equal(kept.value?.expiresAtMs, farMs);
  t.same(await at(renamed), [null, '1', 'soon', null, 'x', '2,0,0,1']);
  t.same(await at(flushed), [null, null, null, null, null, '0']);
  t.same(await at(again), [null, null, null, 'new', null, '1']);
});

t.test(
  'B3: the torn tail of the last segment is cut to its whole commits, and the log gives the rest again',
  async (t) => {
    const dir = scratch(t);
    const open = () => openFixture(dir, { archive: () => true });
    const first = await open();
    await first.create();
    const moments = await count(first, 1, 9);
    await first.backup.window();
    await first.close();
    const last = join(first.repository, objectKeys(first.repository, 'wal/').at(-1) as string);
    truncateSync(last, 400);
    const second = await open();
    t.teardown(() => second.close());
    t.notOk(existsSync(last), 'the torn one is gone');
    for (const { us, value } of moments) t.equal(await valueAt(second, { at: String(us) }, 1), value);
    await (await second.backup.verifyAll('FULL')).done;
  },
);

for (const damage of ['torn', 'missing', 'swapped', 'flipped', 'other line'] as const) {
  t.test(`B3, B4: a segment in the middle is ${damage}: corruption, nothing is restored across it`, async (t) => {
    const f = await fixture(t);
    await f.create();
    const moments: Moment[] = [];
    for (let i = 1; i <= 5; i += 1) {
      moments.push(...(await count(f, i, i)));
      await f.backup.window();
    }
    const increment = await f.create({ type: 'incremental' });
    const keys = segments(f);
    const [second, third] = [join(f.repository, keys[2] as string), join(f.repository, keys[3] as string)];
    if (damage === 'torn') truncateSync(second, 200);
    if (damage === 'missing') rmSync(second);
    if (damage === 'flipped') flipBit(second, 200);
    if (damage === 'swapped') {
      renameSync(second, `${second}.x`);
      renameSync(third, second);
      renameSync(`${second}.x`, third);
    }
    if (damage === 'other line') {
      cpSync(third, join(f.repository, 'wal', '7', basename(third)), { recursive: true });
      rmSync(second);
    }
    const code = /^(BACKUPCORRUPT|BACKUPINCOMPLETE|WALGAP|PITRRANGE)$/;
    await t.rejects(
      f.backup.verify(increment, 'FULL').then(({ done }) => done),
      { code },
      `${damage}: VERIFY`,
    );
    await t.rejects(f.restore({ backup: increment }), { code }, `${damage}: RESTORE of the increment`);
    const last = moments.at(-1) as Moment;
    await t.rejects(f.restore({ target: { at: String(last.us) } }), { code }, `${damage}: RESTORE across`);
    t.equal(await f.get('n'), '5', `${damage}: the live data is as it was`);
    const early = moments[0] as Moment;
    t.equal(await valueAt(f, { at: String(early.us) }, 1), early.value, `${damage}: before it`);
    const { latest } = await f.backup.list({});
    t.not(latest, increment, `${damage}: LATEST is another`);
  });
}

t.test('B4: the same commits in two segments harm nobody, and what is surplus goes', async (t) => {
  const f = await fixture(t);
  await f.create();
  const moments: Moment[] = [];
  for (let i = 1; i <= 40; i += 1) {
    moments.push(...(await count(f, i, i)));
    await f.backup.window();
  }
  const kept = join(f.dir, 'kept');
  cpSync(join(f.repository, 'wal'), kept, { recursive: true });
  await f.backup.tidyArchive();
  const merged = segments(f).length;
  t.ok(merged < 10, `${merged} segments after merging`);
  cpSync(kept, join(f.repository, 'wal'), { recursive: true });
  t.ok(segments(f).length > 40, 'an interrupted merge leaves both');
  for (const at of [0, 17, 39]) {
    const { us, value } = moments[at] as Moment;
    t.equal(await valueAt(f, { at: String(us) }, 1), value);
  }
  await (await f.backup.verifyAll('FULL')).done;
  await f.backup.window();
  await f.backup.tidyArchive();
  t.ok(segments(f).filter((key) => key.startsWith('wal/1/')).length < 10, 'the parts went');
});

t.test(
  'B6: restore, write, back up again: both futures stay reachable, and their sequences are never confused',
  async (t) => {
    const f = await fixture(t);
    await f.create();
    const one = await count(f, 1, 6);
    const fork = one[2] as Moment;
    await f.restore({ target: { at: String(fork.us) } });
    const two = await count(f, 101, 106);
    await f.create();
    await f.restore({ target: { seq: (two[1] as Moment).sequence } });
    const three = await count(f, 201, 206);
    t.equal((one[4] as Moment).sequence, (two[1] as Moment).sequence, 'the same sequence on two lines');
    const windows = await f.backup.window();
    t.same(
      windows.map(({ timeline, parent, current, gaps }) => [timeline, parent, current, gaps.length]),
      [
        [1, null, 0, 0],
        [2, 1, 0, 0],
        [3, 2, 1, 0],
      ],
    );
    for (const [timeline, moments] of [
      [1, one],
      [2, two],
      [3, three],
    ] as const) {
      for (const { us, value, sequence } of moments) {
        t.equal(await valueAt(f, { at: String(us) }, timeline), value, `${value} by time on ${timeline}`);
        t.equal(await valueAt(f, { seq: sequence }, timeline), value, `${value} by sequence on ${timeline}`);
      }
    }
    // Without TIMELINE an abandoned moment is named, not replaced.
    await t.rejects(f.restore({ target: { at: String((one[5] as Moment).us) }, timeline: 3 }), {
      code: 'PITRRANGE',
      message: /timeline 1/,
    });
  },
);

t.test(
  'B7: the clock steps back an hour between two commits: order and recovery stay exact; logs of the future purge nothing',
  async (t) => {
    let offsetUs = 0;
    const clock = { nowUs: () => Date.now() * 1000 + offsetUs };
    const f = await fixture(t, { clock, writeBufferBytes: 64 << 10 });
    await f.create();
    const before = await count(f, 1, 5);
    offsetUs = -3_600_000_000;
    const after = await count(f, 6, 10);
    const all = [...before, ...after];
    for (const [i, { us }] of all.entries()) t.ok(i === 0 || us > (all[i - 1] as Moment).us, 'times rise');
    // Logs that RocksDB archived, dated ten years ahead, and a log roll after the step back.
    await f.keyspace.database?.flush();
    const archive = join(f.directory.livePath as string, 'archive');
    for (const name of existsSync(archive) ? readdirSync(archive) : []) {
      utimesSync(join(archive, name), new Date(), new Date(Date.now() + 3.15e11));
    }
    const later = await count(f, 11, 12);
    await f.keyspace.database?.flush();
    for (const { us, value, sequence } of [...all, ...later]) {
      t.equal(await valueAt(f, { at: String(us) }, 1), value);
      t.equal(await valueAt(f, { seq: sequence }, 1), value);
    }
  },
);

t.test(
  'B8: an older copy of the data disk goes on under a new timeline, and no sequence means two things',
  async (t) => {
    const dir = scratch(t);
    const repository = `${dir}-repository`;
    t.teardown(() => rmSync(repository, { recursive: true, force: true }));
    const open = (log = capturingLog().log) => openFixture(dir, { archive: () => true, repository, log });
    const first = await open();
    await first.create();
    const common = await count(first, 1, 3);
    await first.close();
    const copy = `${dir}-copy`;
    t.teardown(() => rmSync(copy, { recursive: true, force: true }));
    cpSync(dir, copy, { recursive: true });
    const second = await open();
    const abandoned = await count(second, 4, 8);
    await second.close();
    rmSync(dir, { recursive: true });
    cpSync(copy, dir, { recursive: true });

    const { log, records } = capturingLog();
    const third = await open(log);
    t.teardown(() => third.close());
    t.ok(
      records.some(({ event }) => event.startsWith('the live database is not what its archive has')),
      'it is said',
    );
    t.equal(third.keyspace.position.timeline, 2);
    t.equal(await third.get('n'), '3');
    const other = await count(third, 104, 108);
    for (const { us, value } of common) t.equal(await valueAt(third, { at: String(us) }, 1), value);
    for (const { us, value } of abandoned) t.equal(await valueAt(third, { at: String(us) }, 1), value);
    for (const { us, value } of other) t.equal(await valueAt(third, { at: String(us) }, 2), value);
  },
);

t.test(
  'B9: a flipped byte in the live log is found, the window closes there, and a full goes on from memory',
  async (t) => {
    const { log, records } = capturingLog();
    const f = await fixture(t, { log });
    await f.create();
    const before = await count(f, 1, 5);
    await f.backup.window();
    await count(f, 6, 10);
    const live = f.directory.livePath as string;
    const name = readdirSync(live)
      .filter((file) => file.endsWith('.log'))
      .sort()
      .at(-1) as string;
    flipBit(join(live, name), -200);
    await f.backup.window();
    t.ok(
      records.some(({ event }) => event.startsWith('the recovery window is closed')),
      'it is said',
    );
    const kept = before.at(-1) as Moment;
    t.equal(await f.get('n'), '10', 'memory has what the log lost');
    const full = await f.backup.create({
      ...{ type: 'auto', parent: null, strict: false, label: null, verify: true, pin: false },
      trigger: { command: 'test', user: null, address: null },
    }).done;
    t.equal(full.type, 'full');
    t.type(full.promoted, 'string');
    const after = await count(f, 11, 13);
    for (const { us, value } of [kept, ...after]) t.equal(await valueAt(f, { at: String(us) }, 1), value);
  },
);
