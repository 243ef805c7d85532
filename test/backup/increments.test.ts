/** INCREMENTAL, DIFFERENTIAL, AUTO, PARENT and STRICT: what they rest on, what they cost, what they become. */
import { renameSync, rmSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { CreateRecord } from '../../src/backup/records.js';
import type { CreateOptions } from '../../src/backup/service.js';
import { CairnError } from '../../src/base/errors.js';
import { type Fixture, type FixtureOptions, openFixture } from '../support/backup-fixture.js';
import { flipBit, manifestPath, objectKeys } from '../support/repository-files.js';
import { scratch } from '../support/scratch.js';

async function fixture(t: Test, options: FixtureOptions = {}): Promise<Fixture> {
  const opened = await openFixture(scratch(t), { archive: () => true, ...options });
  t.teardown(() => opened.close());
  return opened;
}

function create(f: Fixture, options: Partial<CreateOptions>): Promise<CreateRecord> {
  return f.backup.create({
    ...{ type: 'full', parent: null, strict: false, label: null, verify: false, pin: false },
    ...options,
    trigger: { command: 'test', user: null, address: null },
  }).done;
}

async function fill(f: Fixture, prefix: string, n: number): Promise<void> {
  for (let i = 0; i < n; i += 1) await f.set(`${prefix}:${i}`, `${prefix}-${i}`);
}

for (const archive of [true, false]) {
  t.test(`archiving ${archive ? 'on' : 'off'}: what each kind rests on, and that it restores by itself`, async (t) => {
    const f = await fixture(t, { archive: () => archive });
    await fill(f, 'one', 10);
    const full = await create(f, {});
    await fill(f, 'two', 10);
    const first = await create(f, { type: 'incremental' });
    await fill(f, 'three', 10);
    const second = await create(f, { type: 'auto' });
    await fill(f, 'four', 10);
    const difference = await create(f, { type: 'differential' });
    await fill(f, 'five', 10);
    const chosen = await create(f, { type: 'incremental', parent: first.id });
    t.same(
      [first, second, difference, chosen].map(({ type, parent, base, promoted }) => [type, parent, base, promoted]),
      [
        ['incremental', full.id, full.id, null],
        ['incremental', first.id, full.id, null],
        ['differential', full.id, full.id, null],
        ['incremental', first.id, full.id, null],
      ],
    );
    t.equal(first.sequence_from, full.sequence_to);
    t.equal(second.sequence_from, first.sequence_to);
    t.equal(difference.sequence_from, full.sequence_to);
    t.equal(chosen.sequence_from, first.sequence_to);
    t.ok((difference.stored_size ?? 0) > (first.stored_size ?? 0), 'a differential counts everything since the full');
    for (const { id } of [full, first, second, chosen]) await f.backup.delete(id, false);
    await (await f.backup.verify(difference.id, 'DEEP')).done;
    await f.restore({ backup: difference.id });
    t.equal(await f.get('four:9'), 'four-9');
    t.equal(await f.get('five:0'), null);
    t.equal(f.keyspace.position.keyCounts[0], 40);
  });
}

t.test(
  'A12: a first increment, a parent that is gone, damaged, or of another timeline: a full that says why, or STRICT',
  async (t) => {
    const f = await fixture(t);
    await fill(f, 'a', 5);
    await t.rejects(create(f, { type: 'incremental', strict: true }), {
      code: 'BACKUPTYPE',
      message: /no complete backup/,
    });
    await t.rejects(create(f, { type: 'differential', strict: true }), { code: 'BACKUPTYPE' });
    await t.rejects(create(f, { type: 'incremental', parent: 99 }), { code: 'BACKUPNOTFOUND' });
    t.equal((await f.backup.list({})).total, 0, 'nothing is listed');
    const first = await create(f, { type: 'auto' });
    t.match(first, { type: 'full', promoted: /no complete backup of timeline 1/ });
    await fill(f, 'b', 5);
    const increment = await create(f, { type: 'incremental' });
    // An increment is no base of a differential.
    await t.rejects(create(f, { type: 'differential', parent: increment.id, strict: true }), { code: 'BACKUPTYPE' });
    // A damaged manifest.
    flipBit(manifestPath(f.repository, increment.id), 300);
    await t.rejects(create(f, { type: 'incremental', parent: increment.id, strict: true }), { code: 'BACKUPTYPE' });
    t.match(await create(f, { type: 'incremental' }), { type: 'incremental', parent: first.id });
    flipBit(manifestPath(f.repository, increment.id), 300);
    // A file of its base is missing.
    const files = objectKeys(f.repository, 'files/').map((key) => join(f.repository, key));
    for (const file of files) renameSync(file, `${file}.away`);
    t.match(await create(f, { type: 'incremental' }), { type: 'full', promoted: /lacks files/ });
    for (const file of files) renameSync(`${file}.away`, file);
    // Another timeline.
    await f.restore({ backup: first.id });
    await t.rejects(create(f, { type: 'incremental', strict: true }), { code: 'BACKUPTYPE', message: /timeline 2/ });
    await t.rejects(create(f, { type: 'incremental', parent: first.id, strict: true }), {
      code: 'BACKUPTYPE',
      message: /is of timeline 1, the live one is 2/,
    });
    t.match(await create(f, { type: 'incremental' }), { type: 'full', timeline: 2, promoted: /timeline 2/ });
    t.match(await create(f, { type: 'incremental' }), { type: 'incremental', timeline: 2, promoted: null });
  },
);

t.test('A12: a lost segment makes the next increment a full, and STRICT answers WALGAP', async (t) => {
  const f = await fixture(t);
  await create(f, {});
  await fill(f, 'a', 5);
  await create(f, { type: 'incremental' });
  await fill(f, 'b', 5);
  await f.backup.window();
  rmSync(join(f.repository, objectKeys(f.repository, 'wal/1').at(-2) as string));
  await t.rejects(create(f, { type: 'differential', strict: true }), { code: 'WALGAP' });
  t.match(await create(f, { type: 'differential' }), { type: 'full', promoted: /not in the log any more/ });
  t.match(await create(f, { type: 'incremental', strict: true }), { type: 'incremental' });
});

t.test('A13: an increment of nothing is nearly nothing, and its moment can be restored', async (t) => {
  const f = await fixture(t);
  await fill(f, 'a', 50);
  const full = await create(f, {});
  const before = objectKeys(f.repository);
  const first = await create(f, { type: 'incremental' });
  const second = await create(f, { type: 'differential' });
  t.match(first, {
    type: 'incremental',
    stored_size: 0,
    sequence_from: full.sequence_to,
    sequence_to: full.sequence_to,
  });
  t.match(second, { type: 'differential', stored_size: 0 });
  const added = objectKeys(f.repository).filter((key) => !before.includes(key));
  t.ok(
    added.every((key) => /^(backups|states)\//.test(key)),
    String(added),
  );
  await (await f.backup.verify(second.id, 'DEEP')).done;
  t.match(await f.restore({ backup: second.id, to: 'same' }), { commits_replayed: 0, segments: 0 });
});

t.test('A14: after a restore the names of tables and sequences come again, and are never confused', async (t) => {
  const f = await fixture(t);
  await fill(f, 'a', 20);
  const first = await create(f, {});
  await fill(f, 'left', 20);
  await f.keyspace.database?.flush();
  const left = await create(f, { type: 'incremental' });
  await f.restore({ backup: first.id });
  await fill(f, 'right', 20);
  await f.keyspace.database?.flush();
  const right = await create(f, { type: 'auto' });
  await fill(f, 'more', 5);
  const more = await create(f, { type: 'incremental' });
  t.match([left.timeline, right.timeline, more.timeline], [1, 2, 2]);
  await (await f.backup.verifyAll('DEEP')).done;
  await f.restore({ backup: left.id });
  t.equal(await f.get('left:19'), 'left-19');
  t.equal(await f.get('right:0'), null);
  await f.restore({ backup: more.id });
  t.equal(await f.get('left:0'), null);
  t.equal(await f.get('more:4'), 'more-4');
});

t.test('A15: increments while the clock jumps back a day and forward ten years', async (t) => {
  let offsetUs = 0;
  const f = await fixture(t, { clock: { nowUs: () => Date.now() * 1000 + offsetUs } });
  await f.set('n', '0');
  await create(f, {});
  const made: CreateRecord[] = [];
  for (const [i, offset] of [-86_400_000_000, 315_360_000_000_000, 0].entries()) {
    offsetUs = offset;
    await f.set('n', String(i + 1));
    made.push(await create(f, { type: 'incremental' }));
  }
  const moments = made.map(({ timestamp }) => timestamp as string);
  t.same([...moments].sort(), moments, 'recovery points rise');
  for (const [i, { id, timestamp }] of made.entries()) {
    await f.restore({ backup: id });
    t.equal(await f.get('n'), String(i + 1));
    await f.restore({ target: { at: timestamp as string }, timeline: 1 });
    t.equal(await f.get('n'), String(i + 1));
  }
});

t.test('an increment looks whether the file list that it rests on is still there', async (t) => {
  const f = await fixture(t);
  await fill(f, 'one', 10);
  const full = await create(f, {});
  // Whoever looks at the backup has its list in memory from then on.
  await f.backup.info(full.id);
  await fill(f, 'two', 10);
  renameSync(join(f.repository, 'lists'), join(f.dir, 'lists-away'));
  await t.rejects(create(f, { type: 'incremental', strict: true, verify: true }), {
    code: 'BACKUPTYPE',
    message: /no readable file list/,
  });
  const instead = await create(f, { type: 'incremental', verify: true });
  t.equal(instead.type, 'full');
  await (await f.backup.verify(instead.id, 'DEEP')).done;
});

t.test('CREATE INCREMENTAL VERIFY lists only what verified, PIN and LABEL hold', async (t) => {
  const f = await fixture(t);
  await fill(f, 'a', 5);
  await create(f, {});
  await fill(f, 'b', 5);
  const good = await create(f, { type: 'incremental', verify: true, pin: true, label: 'hourly' });
  t.match(good, { pinned: 1, label: 'hourly', verify_status: 'valid' });
  await f.backup.window();
  await fill(f, 'c', 5);
  flipBit(join(f.repository, objectKeys(f.repository, 'wal/1').at(-1) as string), 200);
  await t.rejects(create(f, { type: 'incremental', verify: true }), { code: 'BACKUPCORRUPT' });
  const { backups } = await f.backup.list({ status: 'all' });
  t.same(
    backups.map(({ id, status }) => [id, status]),
    [
      [good.id, 'complete'],
      [1, 'complete'],
    ],
  );
});

t.test('a manifest of an increment names no segment, and stays small whatever it spans', async (t) => {
  const f = await fixture(t);
  await create(f, {});
  for (let i = 0; i < 50; i += 1) {
    await f.set(`k${i}`, 'v');
    await f.backup.window();
  }
  const { id } = await create(f, { type: 'incremental' });
  const path = manifestPath(f.repository, id);
  t.ok((await stat(path)).size < 4096);
  t.notMatch((await readFile(path)).toString(), /\.seg/);
  t.equal(((await f.backup.info(id)).segments_list as unknown[]).length, 50);
});

t.test('what keeps a database from taking the commits is no verdict on the backup', async (t) => {
  let kind: string | null = 'storage';
  const f = await fixture(t, {
    opened: (database) => {
      const failing = kind;
      if (failing === null) return database;
      database.flush = () => Promise.reject(new CairnError('MISCONF', 'no memory', { details: { kind: failing } }));
      return database;
    },
  });
  await fill(f, 'one', 10);
  await create(f, {});
  await fill(f, 'two', 10);
  const { id } = await create(f, { type: 'incremental' });
  for (const each of ['storage', 'closed']) {
    kind = each;
    await t.rejects((await f.backup.verify(id, 'DEEP')).done, { code: 'MISCONF', details: { kind: each } });
    t.match(
      (await f.backup.list({})).backups.find((one) => one.id === id),
      { status: 'complete' },
      each,
    );
  }
  kind = null;
  await (await f.backup.verify(id, 'DEEP')).done;
  t.match(
    (await f.backup.list({})).backups.find((one) => one.id === id),
    { status: 'complete' },
  );
});
