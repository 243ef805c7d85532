/** The archiver between its ticks: who it archives for, from where it goes on, and what it says of itself. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { armFaultPoints } from '../../src/base/fault-points.js';
import { acquireFileLock } from '../../src/engine/index.js';
import { type Fixture, type FixtureOptions, openFixture } from '../support/backup-fixture.js';
import { capturingLog } from '../support/log.js';
import { objectKeys } from '../support/repository-files.js';
import { scratch } from '../support/scratch.js';
import { waitFor } from '../support/wait.js';

async function fixture(t: Test, options: FixtureOptions = {}): Promise<Fixture> {
  const opened = await openFixture(scratch(t), { archive: () => true, ...options });
  t.teardown(() => opened.close());
  return opened;
}

t.test('a database that adopts a repository is archived there from its own commit on', async (t) => {
  const repository = scratch(t);
  const old = await openFixture(scratch(t), { archive: () => true, repository });
  await old.set('old', '1');
  await old.create();
  await old.close();
  const f = await fixture(t, { repository });
  for (let i = 0; i < 10; i += 1) await f.set('n', String(i));
  const { message } = (await f.backup.tag('x').catch((error: Error) => error)) as Error;
  const id = /repository ([0-9a-f-]+) belongs/.exec(message)?.[1] as string;
  await f.backup.adoptRepository(id);
  await f.set('n', 'adopted');
  const full = await f.create();
  await f.set('n', 'later');
  const { lastCommitUs } = f.keyspace.position;
  await f.set('n', 'too late');
  await (await f.backup.verify(await f.create({ type: 'incremental', strict: true }), 'DEEP')).done;
  t.match(await f.restore({ target: { at: String(lastCommitUs) } }), { id: full, commits_replayed: 1 });
  t.equal(await f.get('n'), 'later');
  t.same(
    (await f.backup.verifyAll('FULL').then(({ done }) => done)).length,
    3,
    'those of the one before verify as well',
  );
});

t.test('nothing is archived into the repository of another database, and no log is kept for it', async (t) => {
  const repository = scratch(t);
  const owner = await openFixture(scratch(t), { archive: () => true, repository });
  await owner.create();
  await owner.close();
  const { log, records } = capturingLog();
  const f = await fixture(t, { repository, log, intervalMs: 20, writeBufferBytes: 64 << 10 });
  const before = objectKeys(repository);
  for (let i = 0; i < 50; i += 1) await f.set(`k${i}`, 'x'.repeat(5000));
  await f.keyspace.database?.flush();
  await waitFor(() => records.some(({ event }) => event.startsWith('nothing is archived')), { what: 'it to say so' });
  t.same(objectKeys(repository), before);
  t.match(await f.backup.status(null), { archive_lag_ms: null, archive_error: /^REPOFOREIGN / });
  const live = f.directory.livePath as string;
  await waitFor(() => objectKeys(live, 'archive/').length === 0, { what: 'the archived logs to go' });
});

t.test('an archive that cannot be written to falls behind for all to see, and catches up by itself', async (t) => {
  const repository = scratch(t);
  mkdirSync(repository, { recursive: true });
  const lock = acquireFileLock(join(repository, 'LOCK'));
  const { log, records } = capturingLog();
  const f = await fixture(t, { repository, intervalMs: 20, log });
  await f.set('a', '1');
  const lag = await waitFor(
    async () => {
      const status = await f.backup.status(null);
      return (status.archive_lag_ms ?? 0) > 50 && status;
    },
    { what: 'the lag to grow' },
  );
  t.match(lag, { archive_error: /^REPOLOCKED / });
  t.equal(records.filter(({ event }) => event.startsWith('archiving fails')).length, 1, 'it is logged once');
  lock.release();
  await waitFor(async () => (await f.backup.status(null)).archive_lag_commits === 0, { what: 'it to catch up' });
  t.match(await f.backup.status(null), { archive_error: null, archive_lag_ms: 0 });
  t.ok(records.some(({ event }) => event === 'archiving goes on'));
  t.equal(objectKeys(repository, 'wal/').length, 1);
});

t.test('the interval may be changed while it runs', async (t) => {
  let intervalMs = 3_600_000;
  const options = {
    archive: () => true,
    get intervalMs() {
      return intervalMs;
    },
  };
  const f = await openFixture(scratch(t), options);
  t.teardown(() => f.close());
  await f.set('a', '1');
  intervalMs = 10;
  await waitFor(() => objectKeys(f.repository, 'wal/').length > 0, { what: 'the next tick' });
});

t.test('switched off and on again: the hole is no loss that nobody meant, and a full begins anew', async (t) => {
  let archive = true;
  const { log, records } = capturingLog();
  const f = await fixture(t, { archive: () => archive, log, intervalMs: 20, writeBufferBytes: 64 << 10 });
  await f.set('n', '1');
  await f.create();
  await f.set('n', '2');
  await f.backup.window();
  archive = false;
  for (let i = 0; i < 50; i += 1) await f.set(`k${i}`, 'x'.repeat(5000));
  await f.create();
  await f.keyspace.database?.flush();
  const live = f.directory.livePath as string;
  await waitFor(() => objectKeys(live, 'archive/').length <= 1, { what: 'logs that nothing rests on to go' });
  archive = true;
  await f.set('n', '3');
  await waitFor(async () => (await f.backup.status(null)).archive_lag_commits === 0, { what: 'it to go on' });
  const [window] = await f.backup.window();
  t.equal(window?.gaps.length, 1);
  t.match(
    await f.backup.create({
      ...{ type: 'incremental', parent: null, strict: true, label: null, verify: true, pin: false },
      trigger: { command: 'test', user: null, address: null },
    }).done,
    { type: 'incremental', parent: 2 },
  );
  t.notOk(
    records.some(({ level }) => level === 'error'),
    'nothing was lost that had been promised',
  );
});

t.test('a commit larger than a segment is one segment, and comes back whole', async (t) => {
  const f = await fixture(t);
  await f.create();
  const big = 'x'.repeat(48 << 20);
  await f.set('big', big);
  const { lastCommitUs } = f.keyspace.position;
  for (let i = 0; i < 3; i += 1) await f.set('big', String(i));
  await f.backup.window();
  t.ok(objectKeys(f.repository, 'wal/').length >= 2);
  await f.restore({ target: { at: String(lastCommitUs) } });
  t.equal((await f.get('big'))?.length, big.length);
  await (await f.backup.verifyAll('FULL')).done;
});

t.test('a database that is older than its repository begins at the present, and says no word of loss', async (t) => {
  const { log, records } = capturingLog();
  const dir = scratch(t);
  const first = await openFixture(dir, { archive: () => false });
  for (let i = 0; i < 10; i += 1) await first.set(`k${i}`, 'x');
  await first.keyspace.database?.flush();
  await first.close();
  // As an earlier version left it: no logs, no repository.
  const { rmSync } = await import('node:fs');
  rmSync(first.repository, { recursive: true });
  rmSync(join(dir, 'repository.json'));
  rmSync(join(first.directory.livePath as string, 'archive'), { recursive: true, force: true });
  const f = await openFixture(dir, { archive: () => true, log });
  t.teardown(() => f.close());
  await f.create();
  await f.set('n', '1');
  const { lastCommitUs } = f.keyspace.position;
  await f.set('n', '2');
  await f.restore({ target: { at: String(lastCommitUs) } });
  t.equal(await f.get('n'), '1');
  t.notOk(records.some(({ level }) => level === 'error'));
});

t.test(
  'a segment that cannot be kept while the next one is read leaves no hole: both are written by the next try',
  async (t) => {
    const f = await fixture(t, { intervalMs: 3_600_000 });
    t.teardown(() => armFaultPoints(''));
    const full = await f.create();
    const letters = ['a', 'b', 'c', 'd'];
    for (const letter of letters) await f.set(`key:${letter}`, letter.repeat(7 << 20));
    armFaultPoints('segment-written=throw:ENOSPC:1');
    await t.rejects(f.create({ type: 'incremental', strict: true }), { code: 'NOSPACE' });
    t.same(objectKeys(f.repository, 'wal/'), [], 'the second one did not overtake the first');
    armFaultPoints('');
    const increment = await f.create({ type: 'incremental', strict: true });
    t.ok(objectKeys(f.repository, 'wal/').length >= 2);
    await (await f.backup.verify(increment, 'DEEP')).done;
    await f.restore({ backup: full });
    await f.restore({ backup: increment });
    for (const letter of letters) t.ok((await f.get(`key:${letter}`)) === letter.repeat(7 << 20));
  },
);
