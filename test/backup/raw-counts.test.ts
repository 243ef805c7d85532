/** Commit counts of a raw keyspace: its database does not say itself how many there were. */
import t from 'tap';
import { adopted } from '../support/adopted.js';
import { openFixture } from '../support/backup-fixture.js';

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
