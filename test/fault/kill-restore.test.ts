/**
 * C2, C19: SIGKILL at each step of a restore in place. Afterwards the server serves the old state or the new one, whole, and which of the
 * two is decided by one file.
 */
import { readdir } from 'node:fs/promises';
import t from 'tap';
import { admin, dump } from '../support/admin.js';
import { startServer } from '../support/built-server.js';
import { scratch } from '../support/scratch.js';

const points: [string, 'old' | 'new'][] = [
  ['files-staged', 'old'],
  ['replayed', 'old'],
  ['proven', 'old'],
  ['timeline-recorded', 'old'],
  ['pointer-written', 'new'],
  ['reopened', 'new'],
  ['old-kept', 'new'],
];

for (const [point, expected] of points) {
  t.test(`C2: killed at ${point} of a restore in place, the ${expected} state is served whole`, async (t) => {
    const dir = scratch(t);
    const first = await startServer(t, { dir });
    const before = await first.client();
    for (let i = 0; i < 300; i += 1) await before.set(`key:${i}`, `old:${i}`);
    const backedUp = await dump(before);
    await admin(before, 'CREATE');
    for (let i = 0; i < 300; i += 1) await before.set(`key:${i}`, `new:${i}`);
    await before.del('key:7');
    await before.set('more', 'yes');
    const present = await dump(before);
    await first.stop();

    const armed = await startServer(t, { dir, env: { CAIRN_FAULT_POINTS: `${point}=kill` } });
    const client = await armed.client();
    await t.rejects(client.call('ADMIN.BACKUP', 'RESTORE', '1'), 'the connection breaks');
    t.equal((await armed.process.ended).signal, 'SIGKILL');

    const again = await startServer(t, { dir });
    const after = await again.client();
    t.same(await dump(after), expected === 'old' ? present : backedUp);
    t.equal(await after.dbsize(), (expected === 'old' ? present : backedUp).size);
    const databases = (await readdir(dir)).filter((name) => name.startsWith('db-'));
    t.same(
      databases.sort(),
      expected === 'old' ? ['db-000001'] : ['db-000001', 'db-000002'],
      'what was half-built is gone, what was replaced is kept',
    );
    await admin(after, 'VERIFY', 1, 'DEEP');
    const restored = await admin<{ timeline_new: number }>(after, 'RESTORE', 1);
    t.ok(restored.timeline_new >= 2);
    t.same(await dump(after), backedUp);
    await admin(after, 'RESTORE', 'PREVIOUS');
    t.same(await dump(after), expected === 'old' ? present : backedUp);
    await after.set('goes', 'on');
    await admin(after, 'CREATE');
    await again.stop();
  });
}

for (const point of ['files-staged', 'replayed', 'proven']) {
  t.test(`C19: killed at ${point} of RESTORE TO, no directory is there and nothing is left behind`, async (t) => {
    const dir = scratch(t);
    const armed = await startServer(t, { dir, env: { CAIRN_FAULT_POINTS: `${point}=kill` } });
    const client = await armed.client();
    await client.set('a', '1');
    await admin(client, 'CREATE');
    await t.rejects(client.call('ADMIN.BACKUP', 'RESTORE', '1', 'TO', 'drill'));
    await armed.process.ended;
    const again = await startServer(t, { dir });
    const after = await again.client();
    t.same(await readdir(`${dir}/restores`), []);
    t.equal(await after.get('a'), '1');
    const { target } = await admin<{ target: string }>(after, 'RESTORE', 1, 'TO', 'drill');
    t.equal(target, `${dir}/restores/drill`);
    await again.stop();
  });
}

t.test('C19: a start that is killed before it removed what RESTORE TO left leaves that to the next one', async (t) => {
  const dir = scratch(t);
  const armed = await startServer(t, { dir, env: { CAIRN_FAULT_POINTS: 'files-staged=kill' } });
  const client = await armed.client();
  await client.set('a', '1');
  await admin(client, 'CREATE');
  await t.rejects(client.call('ADMIN.BACKUP', 'RESTORE', '1', 'TO', 'drill'));
  await armed.process.ended;
  t.equal((await readdir(`${dir}/restores`)).length, 1);
  await t.rejects(startServer(t, { dir, env: { CAIRN_FAULT_POINTS: 'interrupted-found=kill' } }));
  t.equal((await readdir(`${dir}/restores`)).length, 1);
  const again = await startServer(t, { dir });
  t.same(await readdir(`${dir}/restores`), []);
  await again.stop();
});
