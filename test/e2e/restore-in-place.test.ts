/**
 * Restore in place as clients live through it: they stay connected, are answered LOADING for the swap alone, lose their
 * transactions and nothing else; and there is a way back.
 */
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { admin, dump } from '../support/admin.js';
import { startServer } from '../support/built-server.js';
import { pauseAt } from '../support/pause.js';
import { scratch } from '../support/scratch.js';
import { waitFor } from '../support/wait.js';

interface Restored {
  id: number | null;
  sequence: number;
  timeline: number;
  timeline_new: number;
  downtime_ms: number;
  previous_dir: string;
  commits_left_behind: number;
}

function timeline(dir: string, number: number): Record<string, unknown> {
  return JSON.parse(readFileSync(join(dir, 'backups', 'timelines', `${number}.json`), 'utf8')) as Record<
    string,
    unknown
  >;
}

t.test('a full restore in place brings back every key, keeps what it replaced, and says so', async (t) => {
  const server = await startServer(t);
  const client = await server.client();
  for (let i = 0; i < 300; i += 1) await client.set(`key:${i}`, `value:${i}`);
  await client.select(3);
  await client.set('in three', 'yes');
  await client.select(0);
  const content = await dump(client);
  const created = await admin<{ sequence_to: number }>(client, 'CREATE');
  await client.set('key:0', 'changed');
  await client.mset('more', '1', 'and more', '2');
  await client.flushdb();

  const restored = await admin<Restored>(client, 'RESTORE', 1, 'IFTIMELINE', 1);
  t.match(restored, { id: 1, target: 'in-place', sequence: created.sequence_to, timeline: 1, timeline_new: 2 });
  t.match(restored, { commits_replayed: 0, commits_left_behind: 3, base: 1 });
  t.equal(restored.previous_dir, join(server.dir, 'db-000001'));
  t.ok(restored.downtime_ms < 2000, `downtime ${restored.downtime_ms} ms`);
  t.same(await dump(client), content);
  await client.select(3);
  t.equal(await client.get('in three'), 'yes');
  await client.select(0);
  t.equal(await client.dbsize(), content.size);
  t.match(timeline(server.dir, 1), { timeline: 1, parent: null, reason: 'created' });
  t.match(timeline(server.dir, 2), {
    timeline: 2,
    parent: 1,
    fork_sequence: created.sequence_to,
    reason: 'restore',
    backup: 1,
  });
  t.match(await admin(client, 'INFO', 1), { last_restored: { target: 'in-place' } }, 'the backup knows when');

  // A command that a client library sends twice does nothing the second time.
  await client.set('new', 'line');
  await t.rejects(client.call('ADMIN.BACKUP', 'RESTORE', '1', 'IFTIMELINE', '1'), {
    message: /^RESTOREFAILED the live timeline is 2, not 1/,
  });
  t.equal(await client.get('new'), 'line');
  t.match(await admin(client, 'CREATE'), { id: 2, timeline: 2 });
  await server.stop();

  const again = await startServer(t, { dir: server.dir });
  const later = await again.client();
  await later.del('new');
  t.same(await dump(later), content, 'after a restart too');
  await again.stop();
});

t.test('DRYRUN says what would happen and changes nothing', async (t) => {
  // The archive is at rest: two listings are compared.
  const server = await startServer(t, { args: ['--set', 'backup.wal.interval=1h'] });
  const client = await server.client();
  await client.set('a', '1');
  const { size } = await admin<{ size: number }>(client, 'CREATE');
  await client.set('a', '2');
  const files = (): string[] => readdirSync(server.dir, { recursive: true }).map(String).sort();
  const before = files();
  const dry = await admin(client, 'RESTORE', 'LATEST', 'DRYRUN');
  t.match(dry, {
    id: 1,
    target: 'in-place',
    timeline: 1,
    timeline_new: 2,
    bytes: size,
    downtime_ms: null,
    previous_dir: null,
  });
  t.match(await admin(client, 'RESTORE', 1, 'TO', 'x', 'DRYRUN'), { target: join(server.dir, 'restores', 'x') });
  t.same(files(), before, 'no file came or went');
  t.equal(await client.get('a'), '2');
  await t.rejects(client.call('ADMIN.BACKUP', 'RESTORE', '1', 'TO', '../x', 'DRYRUN'), { message: /^RESTOREDIR / });
  await t.rejects(client.call('ADMIN.BACKUP', 'RESTORE', 'PREVIOUS', 'DRYRUN'), { message: /^RESTOREFAILED / });
  await t.rejects(client.call('ADMIN.BACKUP', 'RESTORE', '1', 'IFTIMELINE', '7', 'DRYRUN'), {
    message: /^RESTOREFAILED .*timeline is 1, not 7/,
  });
  await admin(client, 'VERIFY', 1);
  t.ok((await admin<{ duration_ms: number }>(client, 'RESTORE', 1, 'DRYRUN')).duration_ms >= 0, 'an estimate');
  await server.stop();
});

t.test(
  'C10: clients stay connected: LOADING during the swap alone, MULTI aborted, WATCH fails, then they go on',
  async (t) => {
    const pause = pauseAt(t, 'pointer-written');
    const server = await startServer(t, { env: pause.env });
    const client = await server.client();
    await client.set('a', 'backed up');
    await admin(client, 'CREATE');
    await client.set('a', 'present');

    const reader = await server.client();
    const queued = await server.client();
    const watching = await server.client();
    await queued.call('MULTI');
    await queued.call('SET', 'a', 'from the transaction');
    await watching.watch('untouched');

    await admin(client, 'RESTORE', 1, 'ASYNC');
    await pause.reached();
    for (const words of [['GET', 'a'], ['SET', 'a', 'x'], ['DBSIZE'], ['SCAN', '0']] as string[][]) {
      await t.rejects(reader.call(words[0] as string, ...words.slice(1)), { message: /^LOADING / }, words.join(' '));
    }
    t.match(await reader.call('HELLO', '2'), ['server', 'redis']);
    t.match(await reader.info('persistence'), /\nloading:1\r\n(?:.*\r\n)*loading_eta_seconds:\d+\r\n/);
    t.match(await admin(reader, 'STATUS'), { state: 'running', operation: 'restore' });
    t.match(await admin(reader, 'LIST'), { total: 1 });
    t.match(await admin(reader, 'INFO', 1), { id: 1 });
    t.match(await admin(reader, 'VERIFY', 1), { status: 'VALID' });
    await t.rejects(reader.call('ADMIN.BACKUP', 'CREATE'), { message: /^(LOADING|BACKUPBUSY) / });
    await t.rejects(queued.call('EXEC'), { message: /^(EXECABORT|LOADING) / });
    pause.release();
    t.match(await admin(reader, 'WAIT', 1), { timeline_new: 2 });

    t.equal(await reader.get('a'), 'backed up', 'the same connection goes on');
    await watching.call('MULTI');
    await watching.call('SET', 'a', 'no');
    t.equal(await watching.call('EXEC'), null, 'the WATCH fails although its key is the same');
    t.equal(await reader.get('a'), 'backed up');
    t.equal(await queued.set('b', '1'), 'OK');
    await queued.call('MULTI');
    await queued.call('SET', 'b', '2');
    t.same(await queued.call('EXEC'), ['OK']);
    await server.stop();
  },
);

t.test('a transaction that is queued across a whole restore is aborted', async (t) => {
  const server = await startServer(t);
  const client = await server.client();
  await client.set('a', '1');
  await admin(client, 'CREATE');
  const queued = await server.client();
  await queued.call('MULTI');
  await queued.call('INCR', 'a');
  await admin(client, 'RESTORE', 1);
  await t.rejects(queued.call('EXEC'), { message: /^EXECABORT / });
  t.equal(await client.get('a'), '1');
  await server.stop();
});

t.test('what is acknowledged while a restore builds is in the kept state, to the last write', async (t) => {
  const pause = pauseAt(t, 'replayed');
  const server = await startServer(t, { env: pause.env });
  const client = await server.client();
  await client.set('counter', '0');
  await admin(client, 'CREATE');
  const writer = await server.client();
  await admin(client, 'RESTORE', 1, 'ASYNC');
  await pause.reached();
  let acknowledged = 0;
  let restored = false;
  const writes = (async () => {
    while (!restored) {
      const value = await writer.incr('counter').catch((error: Error) => error);
      if (value instanceof Error) {
        t.match(value.message, /^LOADING /);
      } else if (value > acknowledged) {
        acknowledged = value;
      } else {
        break; // it counts from the backup's state again: the swap is over
      }
    }
  })();
  await waitFor(() => acknowledged > 50, { what: 'some writes' });
  pause.release();
  await admin(client, 'WAIT', 1);
  restored = true;
  await writes;
  t.ok(acknowledged > 50);
  await admin(client, 'RESTORE', 'PREVIOUS');
  t.equal(Number(await client.get('counter')), acknowledged, 'the last acknowledged write is there');
  await server.stop();
});

t.test('PREVIOUS goes back and forth, each time keeping what it leaves', async (t) => {
  const server = await startServer(t);
  const client = await server.client();
  await client.set('state', 'first');
  await admin(client, 'CREATE');
  await client.set('state', 'second');
  await admin(client, 'RESTORE', 1);
  await client.set('state', 'third');

  const back = await admin<Restored>(client, 'RESTORE', 'PREVIOUS', 'IFTIMELINE', 2);
  t.match(back, {
    id: null,
    target: 'in-place',
    timeline: 1,
    timeline_new: 3,
    previous_dir: join(server.dir, 'db-000002'),
  });
  t.equal(await client.get('state'), 'second');
  const forth = await admin<Restored>(client, 'RESTORE', 'PREVIOUS');
  t.match(forth, { timeline: 2, timeline_new: 4 });
  t.equal(await client.get('state'), 'third');
  await admin(client, 'RESTORE', 'PREVIOUS');
  t.equal(await client.get('state'), 'second');
  t.match(timeline(server.dir, 3), { parent: 1, reason: 'previous', backup: null });
  t.match(timeline(server.dir, 4), { parent: 2, reason: 'previous' });
  await client.set('state', 'fourth');
  t.match(await admin(client, 'CREATE'), { timeline: 5 });
  await server.stop();
  t.equal(server.stderr().split('previous database restored').length, 4, 'the log has each of the three');
  const again = await startServer(t, { dir: server.dir });
  t.equal(await (await again.client()).get('state'), 'fourth');
  t.match(await admin(await again.client(), 'RESTORE', 'PREVIOUS', 'DRYRUN'), { timeline: 4 });
  await again.stop();
});

t.test('a backup taken right after a restore, before anything is written, verifies and restores', async (t) => {
  const server = await startServer(t);
  const client = await server.client();
  await client.set('a', '1');
  await admin(client, 'CREATE');
  for (const [again, id] of [
    [1, 2],
    ['LATEST', 3],
    ['PREVIOUS', 4],
  ] as [string | number, number][]) {
    await admin(client, 'RESTORE', again);
    t.match(await admin(client, 'CREATE'), { id, timeline: id });
    t.match(await admin(client, 'VERIFY', id, 'DEEP'), { status: 'VALID' });
    t.match(await admin(client, 'RESTORE', id, 'TO', `of-${id}`), { timeline: id });
  }
  t.equal(await client.get('a'), '1');
  await server.stop();
});

t.test('restore.keep_previous removes older kept directories at the next swap, never the newest', async (t) => {
  const server = await startServer(t, { args: ['--set', 'restore.keep_previous=1ms'] });
  const client = await server.client();
  await client.set('a', '1');
  await admin(client, 'CREATE');
  for (let round = 0; round < 3; round += 1) await admin(client, 'RESTORE', 1);
  const databases = readdirSync(server.dir).filter((name) => name.startsWith('db-'));
  t.same(databases, ['db-000003', 'db-000004'], 'the live one and the newest kept one');
  await admin(client, 'RESTORE', 'PREVIOUS');
  await server.stop();

  const keeping = await startServer(t, { args: ['--set', 'restore.keep_previous=0'] });
  const other = await keeping.client();
  await other.set('a', '1');
  await admin(other, 'CREATE');
  for (let round = 0; round < 3; round += 1) await admin(other, 'RESTORE', 1);
  t.equal(readdirSync(keeping.dir).filter((name) => name.startsWith('db-')).length, 4, '0: no limit');
  await keeping.stop();
});

t.test('PREVIOUS refuses a kept directory that is gone or was changed; the live data is as it was', async (t) => {
  const server = await startServer(t);
  const client = await server.client();
  await client.set('a', '1');
  await admin(client, 'CREATE');
  const { previous_dir: kept } = await admin<Restored>(client, 'RESTORE', 1);
  await client.set('a', 'present');
  rmSync(kept, { recursive: true });
  await t.rejects(client.call('ADMIN.BACKUP', 'RESTORE', 'PREVIOUS'), { message: /^RESTOREFAILED .*does not open/ });
  t.notOk(existsSync(kept), 'nothing empty was made in its place');
  t.equal(await client.get('a'), 'present');
  t.match(await admin(client, 'RESTORE', 1), { timeline_new: 3 });
  await server.stop();
});

for (const point of ['files-staged', 'replayed', 'proven', 'timeline-recorded', 'pointer-written'] as const) {
  t.test(`a restore that fails at ${point} leaves the live data as it was, also over a restart`, async (t) => {
    const dir = scratch(t);
    const server = await startServer(t, { dir, env: { CAIRN_FAULT_POINTS: `${point}=throw:EIO:1` } });
    const client = await server.client();
    await client.set('a', 'backed up');
    await admin(client, 'CREATE');
    await client.set('a', 'present');
    await t.rejects(client.call('ADMIN.BACKUP', 'RESTORE', '1'), { message: /^RESTOREFAILED .*fault injected/ });
    t.equal(await client.get('a'), 'present');
    await client.set('b', 'written after the failure');
    t.same(
      readdirSync(dir).filter((name) => name.startsWith('db-')),
      ['db-000001'],
    );
    await server.stop();
    const again = await startServer(t, { dir });
    const later = await again.client();
    t.equal(await later.get('a'), 'present');
    t.equal(await later.get('b'), 'written after the failure');
    await admin(later, 'RESTORE', 1);
    t.equal(await later.get('a'), 'backed up');
    await again.stop();
  });
}

t.test('an expired key does not come back with a restore, and expiry that lies ahead does', async (t) => {
  const server = await startServer(t);
  const client = await server.client();
  await client.set('soon', '1', 'PX', 300);
  await client.set('later', '1', 'PX', 600_000);
  const at = await client.call('PEXPIRETIME', 'later').catch(() => null);
  await admin(client, 'CREATE');
  await waitFor(async () => (await client.exists('soon')) === 0, { what: 'it to expire' });
  await client.del('later');
  await admin(client, 'RESTORE', 1);
  t.equal(await client.get('soon'), null);
  const left = await client.pttl('later');
  t.ok(left > 500_000 && left <= 600_000);
  if (at !== null) t.equal(await client.call('PEXPIRETIME', 'later'), at);
  await server.stop();
});
