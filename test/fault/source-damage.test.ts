/** A4–A6: the live files that a backup is made from are damaged on disk: CREATE notices, lists nothing, and says what to do. */
import { readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import t, { type Test } from 'tap';
import { admin, dump, list } from '../support/admin.js';
import { type Server, startServer } from '../support/built-server.js';
import { pauseAt } from '../support/pause.js';
import { flipBit, objectKeys, objectPath } from '../support/repository-files.js';

interface Prepared {
  server: Server;
  client: Redis;
  database: string;
}

async function prepared(t: Test, env: Record<string, string> = {}): Promise<Prepared> {
  const first = await startServer(t);
  const before = await first.client();
  await admin(before, 'CREATE');
  for (let i = 0; i < 2000; i += 1) await before.set(`key:${i}`, `value:${i}`);
  await first.stop();
  // A restart leaves the keys in a table, which the first backup does not have.
  const server = await startServer(t, { dir: first.dir, env });
  return { server, client: await server.client(), database: join(first.dir, 'db-000001') };
}

function table(directory: string): string {
  const name = readdirSync(directory).find((each) => each.endsWith('.sst'));
  if (name === undefined) throw new Error(`no table in ${directory}`);
  return join(directory, name);
}

t.test(
  'A5: a flipped byte in a live table is noticed by CREATE: nothing is listed, older backups are intact',
  async (t) => {
    const { server, client, database } = await prepared(t);
    const path = table(database);
    const { size } = statSync(path);
    for (const offset of [0, size >> 1, size - 1]) {
      flipBit(path, offset);
      await t.rejects(client.call('ADMIN.BACKUP', 'CREATE'), {
        message:
          /^BACKUPFAILED the live table \S+\.sst is damaged on disk: .*SHA-256 [0-9a-f]{64}, now it has [0-9a-f]{64}/,
      });
      flipBit(path, offset);
    }
    t.same(
      (await list(client, 'STATUS', 'all')).backups.map(({ id, status }) => [id, status]),
      [[1, 'complete']],
    );
    t.match(await admin(client, 'VERIFY', 1, 'DEEP'), { status: 'VALID' });
    t.match(await client.info('backup'), /backup_last_status:err\r\nbackup_last_error:BACKUPFAILED the live table/);
    t.match(await admin(client, 'CREATE'), { status: 'complete' });
    await server.stop();
  },
);

t.test(
  'A5: a table that rotted after the repository had it costs the backup nothing: the good copy serves',
  async (t) => {
    const { server, client, database } = await prepared(t);
    const content = await dump(client);
    await admin(client, 'CREATE');
    const path = table(database);
    flipBit(path, statSync(path).size >> 1);
    const { id } = await admin<{ id: number }>(client, 'CREATE');
    t.match(await admin(client, 'VERIFY', id, 'DEEP'), { status: 'VALID' });
    t.match(await admin(client, 'RESTORE', id), { id });
    t.same(await dump(client), content);
    await server.stop();
  },
);

t.test('A4: a source file that vanishes under the copy fails the create, and only it', async (t) => {
  const pause = pauseAt(t, 'checkpoint-made');
  const { server, client } = await prepared(t, pause.env);
  await admin(client, 'CREATE', 'ASYNC');
  await pause.reached();
  const staging = join(server.dir, 'staging', '2');
  for (const name of readdirSync(staging).filter((each) => /\.(sst|log)$/.test(each))) rmSync(join(staging, name));
  pause.release();
  await t.rejects(client.call('ADMIN.BACKUP', 'WAIT', '2'), { message: /^BACKUPFAILED .*(ENOENT|cannot)/ });
  t.match(await list(client, 'STATUS', 'all'), { total: 1 });
  t.match(await admin(client, 'CREATE'), { id: 3, status: 'complete' });
  t.match(await admin(client, 'VERIFY', 3, 'DEEP'), { status: 'VALID' });
  await server.stop();
});

t.test('A6: bytes of a table that change under the copy fail the create', async (t) => {
  const pause = pauseAt(t, 'checkpoint-made');
  const { server, client } = await prepared(t, pause.env);
  await admin(client, 'CREATE', 'ASYNC');
  await pause.reached();
  flipBit(table(join(server.dir, 'staging', '2')), 100);
  pause.release();
  await t.rejects(client.call('ADMIN.BACKUP', 'WAIT', '2'), { message: /^BACKUPFAILED the live table/ });
  t.match(await list(client, 'STATUS', 'all'), { total: 1 });
  flipBit(table(join(server.dir, 'db-000001')), 100);
  t.match(await admin(client, 'CREATE', 'VERIFY'), { id: 3, status: 'complete' });
  await server.stop();
});

t.test('A6: a CURRENT that the disk loses between the cut and its copy fails the create', async (t) => {
  const pause = pauseAt(t, 'checkpoint-made');
  const { server, client } = await prepared(t, pause.env);
  await admin(client, 'CREATE', 'ASYNC');
  await pause.reached();
  const current = join(server.dir, 'staging', '2', 'CURRENT');
  writeFileSync(current, Buffer.alloc(statSync(current).size));
  pause.release();
  await t.rejects(client.call('ADMIN.BACKUP', 'WAIT', '2'), { message: /^BACKUPFAILED the staged file CURRENT/ });
  t.match(await list(client, 'STATUS', 'all'), { total: 1 });
  t.match(await admin(client, 'CREATE', 'VERIFY'), { id: 3, status: 'complete' });
  await server.stop();
});

t.test('A6: an object that rots while a backup is made is found by CREATE VERIFY: nothing is listed', async (t) => {
  const pause = pauseAt(t, 'file-copied');
  const { server, client } = await prepared(t, pause.env);
  const repository = join(server.dir, 'backups');
  const before = new Set(objectKeys(repository, 'files'));
  await admin(client, 'CREATE', 'VERIFY', 'ASYNC');
  await pause.reached();
  const added = objectKeys(repository, 'files').find((key) => !before.has(key)) as string;
  flipBit(objectPath(repository, added.split('/').at(-1) as string), 0);
  pause.release();
  await t.rejects(client.call('ADMIN.BACKUP', 'WAIT', '2'), { message: /^BACKUPCORRUPT / });
  t.match(await list(client, 'STATUS', 'all'), { total: 1, latest: 1 });
  t.match(await admin(client, 'CREATE', 'VERIFY'), { id: 3, status: 'complete' });
  await server.stop();
});
