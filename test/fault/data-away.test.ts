/** The data directory cannot be read for a while: RocksDB calls that no log, which is not the same as logs that were lost. */
import { renameSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { admin } from '../support/admin.js';
import { startServer } from '../support/built-server.js';
import { scratch } from '../support/scratch.js';
import { waitFor } from '../support/wait.js';

t.test('the data directory is moved away just after a start, and back: no commit is given up for lost', async (t) => {
  const args = ['--backup-dir', join(scratch(t), 'repository')];
  const first = await startServer(t, { args });
  const client = await first.client();
  await client.set('a', '1');
  await admin(client, 'CREATE');
  await first.stop();
  const server = await startServer(t, { dir: first.dir, args });
  const later = await server.client();
  renameSync(first.dir, `${first.dir}.away`);
  for (let i = 0; i < 50; i += 1) await later.set(`key:${i}`, 'v');
  await waitFor(() => /the logs of .* cannot be read/.test(server.stderr()), { what: 'the archive to meet it' });
  renameSync(`${first.dir}.away`, first.dir);
  await later.set('a', '2');
  await waitFor(async () => /^wal_archive_error:\r$/m.test(await later.info('backup')), {
    what: 'the archive to go on',
  });
  t.match(await admin(later, 'CREATE', 'INCREMENTAL'), { type: 'incremental', promoted: null });
  t.match(await later.info('backup'), /^recovery_gaps:0\r$/m);
  t.notMatch(server.stderr(), /recovery window is closed/);
  await server.stop();
});
