/** Commit counts of a raw keyspace: its database does not say itself how many there were. */
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { adopted } from '../support/adopted.js';
import { type Fixture, openFixture } from '../support/backup-fixture.js';
import { objectKeys } from '../support/repository-files.js';
import { scratch } from '../support/scratch.js';
import { waitFor } from '../support/wait.js';

for (const archive of [true, false]) {
  t.test(`increments of an adopted database restore, archiving ${archive ? 'on' : 'off'}`, async (t) => {
    const dir = adopted(t, 500);
    let f = await openFixture(dir, { archive: () => archive });
    t.teardown(() => f.close());
    await f.set('early', '1');
    // Before there is a backup it may well be started again.
    await f.close();
    f = await openFixture(dir, { archive: () => archive });
    await f.create();
    await f.set('own', '1');
    const { lastCommitUs } = f.keyspace.position;
    const increment = await f.create({ type: 'incremental', strict: true, verify: true });
    await f.set('own', '2');
    await (await f.backup.verify(increment, 'DEEP')).done;
    t.match(await f.restore({ backup: increment }), { commits_replayed: 1 });
    t.equal(await f.get('own'), '1');
    t.equal(await f.get('foreign499'), 'v499');
    t.equal(f.keyspace.position.commitCount, 2);
    if (archive)
      t.match(await f.restore({ target: { at: String(lastCommitUs) }, timeline: 1 }), { commits_replayed: 1 });
  });
}

/** Enough to roll the log several times, then everything archived and the logs gone. */
async function writeAndLoseLogs(f: Fixture): Promise<void> {
  for (let i = 0; i < 60; i += 1) await f.set(`k${i}`, 'x'.repeat(5000));
  await f.keyspace.database?.flush();
  await waitFor(() => objectKeys(f.directory.livePath as string, 'archive/').length <= 1, { what: 'logs to go' });
}

async function proveIncrement(t: Test, f: Fixture): Promise<void> {
  await f.create();
  await f.set('after', '1');
  const { commitCount } = f.keyspace.position;
  const increment = await f.create({ type: 'incremental', strict: true, verify: true });
  await (await f.backup.verify(increment, 'DEEP')).done;
  await f.restore({ backup: increment });
  t.equal(f.keyspace.position.commitCount, commitCount);
}

t.test('after a kill a raw keyspace still knows how many commits it has, also when its logs are gone', async (t) => {
  const options = { archive: () => true, intervalMs: 20, writeBufferBytes: 64 << 10 };
  const dir = adopted(t, 5);
  const first = await openFixture(dir, options);
  t.teardown(() => first.close());
  await first.create();
  await writeAndLoseLogs(first);
  await first.set('last', '1');
  await first.backup.window();
  const { commitCount, lastCommitUs } = first.keyspace.position;
  t.equal(commitCount, 61);
  const image = join(scratch(t), 'image');
  // What a kill leaves: the file beside the database is from the last cut.
  cpSync(dir, image, { recursive: true });
  const killed = JSON.parse(readFileSync(join(image, 'raw-state.json'), 'utf8'));
  writeFileSync(join(image, 'raw-state.json'), JSON.stringify({ ...killed, sequence: 6, commitCount: 1 }));
  const second = await openFixture(image, options);
  t.teardown(() => second.close());
  t.equal(second.keyspace.position.commitCount, commitCount);
  t.equal(second.keyspace.position.lastCommitUs, lastCommitUs);
  await proveIncrement(t, second);
});

t.test('RESTORE PREVIOUS brings a raw keyspace back with its commit count', async (t) => {
  const f = await openFixture(adopted(t, 5), { archive: () => true, intervalMs: 20, writeBufferBytes: 64 << 10 });
  t.teardown(() => f.close());
  await f.create();
  await writeAndLoseLogs(f);
  const { commitCount } = f.keyspace.position;
  await f.restore({});
  await f.restore({ backup: 'PREVIOUS' });
  await f.backup.window();
  t.equal(f.keyspace.position.commitCount, commitCount);
  await proveIncrement(t, f);
});
