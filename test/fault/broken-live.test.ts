/**
 * C17: the live database does not open. The server comes up all the same: data commands say why, everything that leads out
 * of it works, and a restore heals it without a restart.
 */
import { cpSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { admin, dump, list } from '../support/admin.js';
import { startServer } from '../support/built-server.js';
import { flipBit } from '../support/repository-files.js';
import { scratch } from '../support/scratch.js';

type Harm = (dir: string) => void;

const database = (dir: string): string => join(dir, 'db-000001');
const file = (dir: string, pattern: RegExp): string => {
  const name = readdirSync(database(dir)).find((each) => pattern.test(each));
  if (name === undefined) throw new Error(`no ${pattern} in ${database(dir)}`);
  return join(database(dir), name);
};

const harms: Record<string, Harm> = {
  'its MANIFEST is truncated': (dir) => truncateSync(file(dir, /^MANIFEST-/), 20),
  'CURRENT is gone': (dir) => rmSync(join(database(dir), 'CURRENT')),
  'CURRENT is garbage': (dir) => writeFileSync(join(database(dir), 'CURRENT'), 'MANIFEST-999999\n'),
  'a table is gone': (dir) => rmSync(file(dir, /\.sst$/)),
  'the whole directory is gone': (dir) => rmSync(database(dir), { recursive: true }),
  'LIVE is damaged': (dir) => flipBit(join(dir, 'LIVE'), 30),
  'LIVE is gone': (dir) => rmSync(join(dir, 'LIVE')),
};

t.test('C17: the server comes up although its database is broken, and a restore heals it', async (t) => {
  const whole = await startServer(t);
  const before = await whole.client();
  for (let i = 0; i < 100; i += 1) await before.set(`key:${i}`, `value:${i}`);
  await whole.stop();
  // A restart leaves the keys in a table.
  const second = await startServer(t, { dir: whole.dir });
  const backing = await second.client();
  const content = await dump(backing);
  await admin(backing, 'CREATE');
  await second.stop();

  for (const [what, harm] of Object.entries(harms)) {
    await t.test(what, async (t) => {
      const dir = join(scratch(t), 'data');
      cpSync(whole.dir, dir, { recursive: true });
      harm(dir);
      const server = await startServer(t, { dir });
      const client = await server.client();
      for (const words of [
        ['GET', 'key:1'],
        ['SET', 'a', '1'],
        ['DBSIZE'],
        ['SCAN', '0'],
        ['FLUSHALL'],
      ] as string[][]) {
        await t.rejects(
          client.call(words[0] as string, ...words.slice(1)),
          { message: /^MISCONF .+/ },
          words.join(' '),
        );
      }
      t.equal(await client.echo('there'), 'there');
      t.match(await client.info(), /redis_version:/);
      t.match(await list(client), { total: 1, latest: 1 });
      t.match(await admin(client, 'INFO', 1), { status: 'complete' });
      t.match(await admin(client, 'STATUS'), { state: 'idle' });
      t.match(await admin(client, 'VERIFY', 1, 'DEEP'), { status: 'VALID' });
      await t.rejects(client.call('ADMIN.BACKUP', 'CREATE'), { message: /^(MISCONF|REPOFOREIGN|BACKUPMANIFEST) / });
      t.match(await list(client, 'STATUS', 'all'), { total: 1 }, 'nothing was listed, nothing was pruned');
      t.match(await admin(client, 'RESTORE', 1, 'TO', 'look'), { id: 1 });

      t.match(await admin(client, 'RESTORE', 'LATEST'), { id: 1, target: 'in-place' });
      t.same(await dump(client), content, 'healed without a restart');
      await client.set('after', '1');
      const { id } = await admin<{ id: number }>(client, 'CREATE');
      t.match(await admin(client, 'VERIFY', id, 'DEEP'), { status: 'VALID' });
      await server.kill9();
      const again = await startServer(t, { dir });
      t.equal(await (await again.client()).get('after'), '1');
      await again.kill9();
    });
  }
});

t.test('C17: a server without an open database and without a backup stays as it is, over restarts', async (t) => {
  const first = await startServer(t);
  await (await first.client()).set('a', '1');
  await first.stop();
  const current = join(database(first.dir), 'CURRENT');
  const content = readFileSync(current);
  rmSync(current);
  for (let round = 0; round < 2; round += 1) {
    const server = await startServer(t, { dir: first.dir });
    const client = await server.client();
    await t.rejects(client.get('a'), { message: /^MISCONF / });
    await t.rejects(client.call('ADMIN.BACKUP', 'RESTORE', 'LATEST'), { message: /^BACKUPNOTFOUND / });
    await t.rejects(client.call('ADMIN.BACKUP', 'RESTORE', 'PREVIOUS'), { message: /^RESTOREFAILED / });
    await server.stop();
  }
  // Nothing was taken away meanwhile: what a person brings back is served.
  writeFileSync(current, content);
  const mended = await startServer(t, { dir: first.dir });
  t.equal(await (await mended.client()).get('a'), '1');
  await mended.stop();
});
