/**
 * RocksDB opens a database whose last log is gone as if it had never been. Where a server closed it cleanly, the next one knows
 * better.
 */
import { cpSync, readdirSync, rmSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { openDatabase } from '../../src/engine/index.js';
import { admin, dump } from '../support/admin.js';
import { startServer } from '../support/built-server.js';
import { scratch } from '../support/scratch.js';

const database = (dir: string): string => join(dir, 'db-000001');

t.test('C17, B9: a database that lost its last log is not served as if nothing had been', async (t) => {
  // Without an archive nothing else could tell.
  const args = ['--set', 'backup.wal.archive=no', '--set', 'write_buffer_size=1mb'];
  const first = await startServer(t, { args });
  const before = await first.client();
  await before.set('early', '1');
  await first.stop();
  const second = await startServer(t, { dir: first.dir, args });
  const client = await second.client();
  for (let i = 0; i < 60; i += 1) await client.set(`key:${i}`, 'v'.repeat(30_000));
  await client.set('last', '1');
  const content = await dump(client);
  await admin(client, 'CREATE');
  await second.stop();

  const lastLog = (dir: string): string =>
    join(
      database(dir),
      readdirSync(database(dir))
        .filter((name) => name.endsWith('.log'))
        .sort()
        .at(-1) as string,
    );
  const losses: Record<string, (dir: string) => void> = {
    'its last log is gone': (dir) => rmSync(lastLog(dir)),
    'its last log is empty': (dir) => truncateSync(lastLog(dir), 0),
    'its last log is cut by a byte': (dir) => truncateSync(lastLog(dir), statSync(lastLog(dir)).size - 1),
  };
  for (const [what, harm] of Object.entries(losses)) {
    const dir = join(scratch(t), 'data');
    cpSync(first.dir, dir, { recursive: true });
    harm(dir);
    const server = await startServer(t, { dir, args });
    const later = await server.client();
    await t.rejects(later.get('early'), { message: /^MISCONF .* ends at sequence \d+, but was closed at \d+/ }, what);
    await t.rejects(later.call('ADMIN.BACKUP', 'CREATE'), { message: /^MISCONF / }, what);
    t.match(await admin(later, 'RESTORE', 'LATEST'), { id: 1 }, what);
    t.same(await dump(later), content, what);
    await server.stop();
    const again = await startServer(t, { dir, args });
    t.same(await dump(await again.client()), content, 'after the restore another database is live');
    await again.stop();
  }
  // Whoever wants what is left gets it.
  const dir = join(scratch(t), 'data');
  cpSync(first.dir, dir, { recursive: true });
  rmSync(lastLog(dir));
  rmSync(join(dir, 'closed.json'));
  const left = await startServer(t, { dir, args });
  t.equal(await (await left.client()).get('early'), '1');
  t.equal(await (await left.client()).get('last'), null);
  await left.stop();
});

t.test('C17: a MANIFEST that lost its last edits opens as an older state, which is not served', async (t) => {
  const args = ['--set', 'backup.wal.archive=no'];
  const dir = join(scratch(t), 'data');
  const server = await startServer(t, { dir, args });
  for (let i = 0; i < 10; i += 1) await (await server.client()).set(`key:${i}`, '1');
  await server.stop();
  // Flushed once more, so that the last edits of the MANIFEST name the table that has the keys.
  const options = { createIfMissing: false, walTtlSeconds: 'forever', fileChecksum: 'sha256' } as const;
  const opened = await openDatabase(database(dir), options);
  await opened.flush();
  await opened.close();
  const manifest = join(
    database(dir),
    readdirSync(database(dir)).find((name) => name.startsWith('MANIFEST-')) as string,
  );
  const whole = statSync(manifest).size;
  const answers: string[] = [];
  for (const cut of [40, 60]) {
    const copy = join(scratch(t), 'data');
    cpSync(dir, copy, { recursive: true });
    truncateSync(join(database(copy), manifest.split('/').at(-1) as string), whole - cut);
    const later = await startServer(t, { dir: copy, args });
    const client = await later.client();
    answers.push(
      await client.dbsize().then(
        (keys) => `${keys} keys`,
        (error: Error) => (/ends at sequence \d+, but was closed at/.test(error.message) ? 'lost' : error.message),
      ),
    );
    await later.stop();
  }
  t.same(answers, ['lost', 'lost'], `${whole} bytes`);
});
