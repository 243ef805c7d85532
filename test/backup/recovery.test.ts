/** Point-in-time recovery on a real database and a real repository: every moment that was archived comes back exactly. */
import t, { type Test } from 'tap';
import { type Fixture, openFixture } from '../support/backup-fixture.js';
import { scratch } from '../support/scratch.js';

async function fixture(t: Test, options: Parameters<typeof openFixture>[1] = {}): Promise<Fixture> {
  const opened = await openFixture(scratch(t), { archive: () => true, ...options });
  t.teardown(() => opened.close());
  return opened;
}

t.test('every commit since the full is a moment that can be restored, to the microsecond', async (t) => {
  const f = await fixture(t);
  await f.set('n', '0');
  await f.create();
  const times: number[] = [];
  for (let i = 1; i <= 20; i += 1) {
    await f.set('n', String(i));
    times.push(f.keyspace.position.lastCommitUs);
  }
  for (const at of [0, 7, 19]) {
    const us = times[at] as number;
    const exact = await f.restore({ target: { at: String(us) }, timeline: 1 });
    t.equal(await f.get('n'), String(at + 1), `at commit ${at + 1}`);
    t.match(exact, { commits_replayed: at + 1, timeline: 1, base: 1, id: 1 });
    await f.restore({ target: { at: String(us - 1) }, timeline: 1 });
    t.equal(await f.get('n'), String(at), `one microsecond before commit ${at + 1}`);
  }
});

t.test('an increment restores by itself, its parent gone', async (t) => {
  const f = await fixture(t);
  await f.set('a', '1');
  const full = await f.create();
  await f.set('b', '2');
  const first = await f.create({ type: 'incremental' });
  await f.set('c', '3');
  const second = await f.create({ type: 'incremental' });
  const info = await f.backup.info(second);
  t.match(info, { type: 'incremental', parent: first, base: full, status: 'complete' });
  t.same(info.promoted, undefined);
  await f.backup.delete(first, false);
  await f.backup.delete(full, false);
  await (await f.backup.verify(second, 'FULL')).done;
  await (await f.backup.verify(second, 'DEEP')).done;
  await f.set('c', 'lost');
  await f.restore({ backup: second });
  t.equal(await f.get('b'), '2');
  t.equal(await f.get('c'), '3');
});
