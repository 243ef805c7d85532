/** What works in the background yields to what answers clients: each thread by itself. */
import { readdirSync, readFileSync, truncateSync } from 'node:fs';
import { getPriority } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import t, { type Test } from 'tap';
import { nativeFiles } from '../../src/engine/index.js';
import { CopyPool } from '../../src/storage/copy-pool.js';
import { scratch } from '../support/scratch.js';
import { waitFor } from '../support/wait.js';

const skip =
  process.platform === 'linux' && getPriority() < 10
    ? false
    : 'threads have no priority of their own here, or all yield';

/** The nice value of every thread of this process, by thread id. */
function niceness(): Map<string, number> {
  const tasks = '/proc/self/task';
  return new Map(
    readdirSync(tasks).map((id) => {
      const fields =
        readFileSync(join(tasks, id, 'stat'), 'utf8')
          .split(') ')
          .at(-1)
          ?.split(' ') ?? [];
      return [id, Number(fields[16])];
    }),
  );
}

async function yieldsAlone(t: Test): Promise<void> {
  await waitFor(() => [...niceness().values()].includes(10), { what: 'a thread that yields' });
  const values = [...niceness().values()];
  t.same(
    values.filter((nice) => nice !== values[0]),
    [10],
    'one thread alone',
  );
}

t.test('the thread that merges segments takes what others leave, and no other thread does', { skip }, async (t) => {
  const worker = new Worker(new URL('../../src/backup/segment-worker.js', import.meta.url));
  t.teardown(() => worker.terminate());
  await new Promise((resolve) => worker.once('online', resolve));
  await yieldsAlone(t);
});

t.test('the thread of a copy takes what others leave, and no other thread does', { skip }, async (t) => {
  const sourcePath = join(scratch(t, { source: '' }), 'source');
  truncateSync(sourcePath, 2 ** 36);
  const pool = new CopyPool(nativeFiles.copy);
  const copying = t.rejects(pool.copy({ sourcePath, sizeBytes: null, targetPath: null }), { code: 'CANCELLED' });
  await yieldsAlone(t);
  await pool.close();
  await copying;
  await waitFor(() => ![...niceness().values()].includes(10), { what: 'the end of the thread' });
});
