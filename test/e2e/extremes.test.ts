/** A18: nothing at all, one value of 256 MB, and many small tables: each is backed up, proven and restored. */
import { createHash } from 'node:crypto';
import t from 'tap';
import { admin, list } from '../support/admin.js';
import { startServer } from '../support/built-server.js';

t.test('A18: an empty database is backed up, proven, restored in place and TO', async (t) => {
  const server = await startServer(t);
  const client = await server.client();
  const created = await admin(client, 'CREATE', 'VERIFY');
  t.match(created, { id: 1, status: 'complete', sequence_from: 0, timestamp: /^20/ });
  t.match(await admin(client, 'VERIFY', 1, 'DEEP'), { status: 'VALID' });
  await client.set('a', '1');
  t.match(await admin(client, 'RESTORE', 1), { last_commit_at: null, timeline_new: 2 });
  t.equal(await client.dbsize(), 0);
  const { target } = await admin<{ target: string }>(client, 'RESTORE', 1, 'TO', 'empty');
  const copy = await startServer(t, { dataDir: target });
  t.equal(await (await copy.client()).dbsize(), 0);
  await copy.stop();
  t.match(await admin(client, 'CREATE'), { status: 'complete' });
  t.match(await admin(client, 'INFO', 2), { last_commit_at: null, commit_count: 0 });
  t.equal((await admin<unknown[]>(client, 'VERIFY', 'ALL', 'DEEP')).length, 2);
  await server.stop();
});

t.test('A18: one value of 256 MB', async (t) => {
  const server = await startServer(t);
  const client = await server.client();
  const value = Buffer.alloc(256 << 20, 'The cairn marks the way back. ');
  const hash = createHash('sha256').update(value).digest('hex');
  await client.set('large', value);
  const created = await admin<{ size: number }>(client, 'CREATE');
  t.ok(created.size > 1 << 20);
  await client.del('large');
  await admin(client, 'RESTORE', 1);
  const restored = await client.getBuffer('large');
  t.equal(
    createHash('sha256')
      .update(restored ?? '')
      .digest('hex'),
    hash,
  );
  await server.stop();
});

t.test('A18: many backups of many small tables share what they have in common', async (t) => {
  const server = await startServer(t, { args: ['--set', 'write_buffer_size=1mb'] });
  const client = await server.client();
  const value = Buffer.alloc(60_000, 'x');
  for (let round = 1; round <= 6; round += 1) {
    await Promise.all(Array.from({ length: 60 }, (_, i) => client.set(`key:${round}:${i}`, value)));
    await admin(client, 'CREATE');
  }
  t.equal((await admin<unknown[]>(client, 'VERIFY', 'ALL')).length, 6);
  await admin(client, 'RESTORE', 3);
  t.equal(await client.dbsize(), 180);
  t.match(await list(client), { total: 6, latest: 6 });
  await server.stop();
});
