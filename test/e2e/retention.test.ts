/** Retention through the server: count, age, pins, order of deletion. */
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import { admin, list } from '../support/admin.js';
import { startServer, withoutArchive } from '../support/built-server.js';
import { flipBit, objectPath } from '../support/repository-files.js';
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

t.test('D5: whatever a limit is set to, it is refused or keeps: nothing but a positive limit removes', async (t) => {
  const server = await startServer(t, { args: withoutArchive });
  const client = await server.client();
  await client.set('a', '1');
  for (let i = 0; i < 3; i += 1) await admin(client, 'CREATE');
  const hostile = [
    '-1',
    'NaN',
    'nan',
    'inf',
    'Infinity',
    '',
    ' ',
    '1e1',
    '0x1',
    '1.5',
    'all',
    '99999999999999999999',
    '5w',
    '1y',
  ];
  for (const text of hostile) {
    for (const name of ['backup.retention.max_count', 'backup.retention.max_age']) {
      await t.rejects(client.call('CONFIG', 'SET', name, text), { message: /^ERR / }, `${name} ${text}`);
    }
    for (const option of ['MAXCOUNT', 'MAXAGE']) {
      await t.rejects(client.call('ADMIN.BACKUP', 'PRUNE', option, text), { message: /^ERR / }, `${option} ${text}`);
    }
  }
  for (const words of [
    ['MAXCOUNT', 0],
    ['MAXAGE', '0'],
    ['MAXAGE', '0s'],
    ['MAXAGE', '0d'],
    ['MAXCOUNT', 0, 'MAXAGE', '0ms'],
    ['MAXCOUNT', 2_147_483_647, 'MAXAGE', '36500d'],
  ]) {
    t.match(await admin(client, 'PRUNE', ...words), { deleted: [], kept: [1, 2, 3] }, words.join(' '));
  }
  await client.call('CONFIG', 'SET', 'backup.retention.max_count', '0', 'backup.retention.max_age', '0');
  t.match(await admin(client, 'CREATE'), { id: 4, pruned: [] });
  await server.stop();
});

t.test('D7: a create that fails, or does not verify, removes nothing', async (t) => {
  const server = await startServer(t, {
    args: [...withoutArchive, '--set', 'backup.retention.max_count=2'],
    env: { CAIRN_FAULT_POINTS: 'manifest-written=throw:EIO:3' },
  });
  const client = await server.client();
  await client.set('a', '1');
  await admin(client, 'CREATE');
  await client.set('a', '2');
  await admin(client, 'CREATE');
  await client.set('a', '3');
  await t.rejects(client.call('ADMIN.BACKUP', 'CREATE'), { message: /^BACKUPFAILED / });
  t.match(await list(client), { total: 2, latest: 2 }, 'a failure at its manifest');
  const { files_list: files } = await admin<{ files_list: { name: string; sha256: string }[] }>(client, 'INFO', 1);
  const shared = files.find(({ name }) => name.startsWith('OPTIONS'));
  flipBit(objectPath(join(server.dir, 'backups'), shared?.sha256 as string), 5);
  await t.rejects(client.call('ADMIN.BACKUP', 'CREATE', 'VERIFY'), { message: /^BACKUP(CORRUPT|VERIFY|FAILED) / });
  t.same(
    (await list(client, 'STATUS', 'all')).backups.map(({ id }) => id),
    [2, 1],
    'a failed verification',
  );
  flipBit(objectPath(join(server.dir, 'backups'), shared?.sha256 as string), 5);
  await admin(client, 'VERIFY', 'ALL');
  t.match(await admin(client, 'CREATE', 'VERIFY'), { pruned: [1] }, 'the one that succeeds does');
  await server.stop();
});
