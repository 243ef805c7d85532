/** Retention through the server: count, age, pins, order of deletion. */
import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import { admin, list } from '../support/admin.js';
import { startServer, withoutArchive } from '../support/built-server.js';
import { waitFor } from '../support/wait.js';

t.test('seven creates with max_count 3 leave exactly three, which all verify', async (t) => {
  const server = await startServer(t, { args: [...withoutArchive, '--set', 'backup.retention.max_count=3'] });
  const client = await server.client();
  const pruned: number[] = [];
  for (let round = 1; round <= 7; round += 1) {
    for (let i = 0; i < 50; i += 1) await client.set(`key:${round}:${i}`, 'x'.repeat(100));
    pruned.push(...(await admin<{ pruned: number[] }>(client, 'CREATE')).pruned);
  }
  t.same(pruned, [1, 2, 3, 4], 'each create says what went');
  t.same(
    (await list(client)).backups.map(({ id }) => id),
    [7, 6, 5],
  );
  const verified = await admin<{ id: number; status: string }[]>(client, 'VERIFY', 'ALL', 'DEEP');
  t.same(
    verified.map(({ id, status }) => [id, status]),
    [
      [5, 'VALID'],
      [6, 'VALID'],
      [7, 'VALID'],
    ],
  );
  await server.stop();
});

t.test('max_age 2s drops what is older at the next create, and never the newest', async (t) => {
  const server = await startServer(t, { args: withoutArchive });
  const client = await server.client();
  await client.set('a', '1');
  await admin(client, 'CREATE');
  const { finished_at: finishedAt } = await admin<{ finished_at: string }>(client, 'INFO', 1);
  await client.call('CONFIG', 'SET', 'backup.retention.max_age', '2s');
  // Age is the subject here: the backup has to be two seconds old by the clock that retention uses.
  await waitFor(() => Date.now() - Date.parse(finishedAt) > 2100, {
    what: 'the backup to be older than two seconds',
    everyMs: 50,
  });
  const { pruned } = await admin<{ pruned: number[] }>(client, 'CREATE');
  t.same(pruned, [1]);
  await delay(0);
  t.same(
    (await admin<{ deleted: number[] }>(client, 'PRUNE', 'MAXAGE', '1s')).deleted,
    [],
    'the newest complete one stays',
  );
  await server.stop();
});

t.test('PRUNE without options and without a policy removes nothing; DRYRUN says what would go', async (t) => {
  const server = await startServer(t);
  const client = await server.client();
  await client.set('a', '1');
  for (let i = 0; i < 4; i += 1) await admin(client, 'CREATE');
  await admin(client, 'PIN', 1);
  t.match(await admin(client, 'PRUNE'), { deleted: [], kept: [1, 2, 3, 4], dry_run: 0 });
  const dry = await admin<{ reasons: unknown }>(client, 'PRUNE', 'MAXCOUNT', 1, 'DRYRUN');
  t.match(dry, { deleted: [2, 3], kept: [1, 4], dry_run: 1 });
  t.same(dry.reasons, [
    { id: 4, action: 'keep', reason: 'newest' },
    { id: 3, action: 'delete', reason: 'max_count' },
    { id: 2, action: 'delete', reason: 'max_count' },
    { id: 1, action: 'keep', reason: 'pinned' },
  ]);
  t.equal((await list(client)).total, 4);
  t.match(await admin(client, 'PRUNE', 'MAXCOUNT', 1), { deleted: [2, 3] });
  await server.stop();
});

t.test('D4: with the archive on, the base of the recovery window stays beside them and is not counted', async (t) => {
  const server = await startServer(t, { args: ['--set', 'backup.retention.max_count=3'] });
  const client = await server.client();
  for (let round = 1; round <= 7; round += 1) {
    await client.set('round', String(round));
    await admin(client, 'CREATE');
  }
  t.same(
    (await list(client)).backups.map(({ id }) => id),
    [7, 6, 5, 1],
  );
  const { reasons } = await admin<{ reasons: { id: number; reason: string }[] }>(client, 'PRUNE', 'DRYRUN');
  t.same(
    reasons.map(({ id, reason }) => [id, reason]),
    [
      [7, 'newest'],
      [6, 'policy'],
      [5, 'policy'],
      [1, 'window'],
    ],
  );
  await client.call('CONFIG', 'SET', 'backup.wal.archive', 'no');
  t.match(await admin(client, 'PRUNE'), { deleted: [1] });
  await server.stop();
});
