/**
 * LIVE is removed, emptied or replaced under a running server. Only that server knows which database is live: it notices, says
 * so, and writes the file anew, so that the next start finds it whether the server was stopped or killed.
 */
import { copyFileSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { admin } from '../support/admin.js';
import { startServer } from '../support/built-server.js';
import { scratch } from '../support/scratch.js';
import { waitFor } from '../support/wait.js';

const live = (dir: string): string => join(dir, 'LIVE');
const noticed = 'LIVE was not as this server left it: it was written anew';

/** Each one gets the data directory, and a LIVE of an earlier moment. */
const harms: Record<string, ['kill -9' | 'a stop', (dir: string, earlier: string) => void]> = {
  removed: ['kill -9', (dir) => rmSync(live(dir))],
  'removed just before': ['a stop', (dir) => rmSync(live(dir))],
  emptied: ['a stop', (dir) => writeFileSync(live(dir), '')],
  'replaced by junk': ['kill -9', (dir) => writeFileSync(live(dir), 'garbage')],
  'replaced by an older copy of itself': ['kill -9', (dir, earlier) => copyFileSync(earlier, live(dir))],
  'replaced by a link': [
    'a stop',
    (dir, earlier) => {
      rmSync(live(dir));
      symlinkSync(earlier, live(dir));
    },
  ],
};

t.test('a LIVE that was harmed is written anew under the server, and the next start opens what was live', async (t) => {
  const owner = t; // of servers that outlive one case
  let server = await startServer(owner);
  let client = await server.client();
  const { dir } = server;
  const earlier = join(scratch(t), 'LIVE');
  copyFileSync(live(dir), earlier);
  await client.set('key', 'backed up');
  await admin(client, 'CREATE');
  await client.set('key', 'after the backup');
  // From now on the live database is another one than the first.
  await admin(client, 'RESTORE', 'LATEST');

  for (const [what, [end, harm]] of Object.entries(harms)) {
    await t.test(`${what}, then ${end}`, async (t) => {
      const right = readFileSync(live(dir));
      await client.set('written', what);
      harm(dir, earlier);
      if (end === 'kill -9') {
        await waitFor(() => server.stderr().includes(noticed), { what: 'the server to notice' });
        t.same(readFileSync(live(dir)), right);
        await server.kill9();
      } else {
        t.same(await server.stop(), { code: 0, signal: null });
        t.match(server.stderr(), noticed);
        t.same(readFileSync(live(dir)), right);
      }
      server = await startServer(owner, { dir });
      client = await server.client();
      t.equal(await client.get('written'), what);
      t.equal(await client.get('key'), 'backed up');
    });
  }
  t.match(await admin(client, 'RESTORE', 'PREVIOUS'), { timeline_new: 3 }, 'the kept database is known still');
  t.equal(await client.get('key'), 'after the backup');
  t.match(JSON.parse(readFileSync(live(dir), 'utf8')), { timeline: 3 });
  await server.stop();
  t.notMatch(server.stderr(), /LIVE is not as/, 'what a restore wrote is what the server left');
});

t.test('a LIVE in a directory that is no longer this server’s is left alone', async (t) => {
  for (const lock of ['of another file', 'that is missing'] as const) {
    await t.test(`a LOCK ${lock}`, async (t) => {
      const server = await startServer(t);
      const path = join(server.dir, 'LOCK');
      renameSync(path, join(server.dir, 'LOCK.away'));
      if (lock === 'of another file') writeFileSync(path, '');
      writeFileSync(live(server.dir), 'the word of another server');
      await waitFor(() => /LIVE is not as this server left it/.test(server.stderr()), { what: 'the warning' });
      await server.stop();
      t.equal(readFileSync(live(server.dir), 'utf8'), 'the word of another server');
      t.equal(server.stderr().match(/LIVE is not as this server left it/g)?.length, 1, 'it is said once');
    });
  }
});
