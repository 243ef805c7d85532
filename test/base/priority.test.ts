/** What works in the background yields to what answers clients: each thread by itself. */
import { readdirSync, readFileSync } from 'node:fs';
import { getPriority } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import t from 'tap';
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

for (const script of ['storage/copy-worker.js', 'backup/segment-worker.js']) {
  t.test(`${script} takes what others leave, and no other thread does`, { skip }, async (t) => {
    const worker = new Worker(new URL(`../../src/${script}`, import.meta.url));
    t.teardown(() => worker.terminate());
    await new Promise((resolve) => worker.once('online', resolve));
    await waitFor(() => [...niceness().values()].includes(10), { what: 'a thread that yields' });
    const values = [...niceness().values()];
    t.same(
      values.filter((nice) => nice !== values[0]),
      [10],
      'one thread alone',
    );
  });
}
