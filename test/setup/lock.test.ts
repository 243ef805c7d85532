import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import t from 'tap';
import { runToEnd } from '../support/processes.js';
import { scratch } from '../support/scratch.js';

/** Each holder appends to a file when it gets the lock and when it lets go; the lock file is the scratch directory's. */
const holder = (lock: string, log: string) => `
  import { appendFileSync } from 'node:fs';
  import { setTimeout as delay } from 'node:timers/promises';
  const { withLock } = await import(${JSON.stringify(pathToFileURL(join(process.cwd(), 'scripts', 'setup', 'lock.mjs')).href)});
  await withLock(async () => {
    appendFileSync(${JSON.stringify(log)}, '(');
    await delay(150);
    appendFileSync(${JSON.stringify(log)}, ')');
  }, ${JSON.stringify(lock)});
`;

t.test('two set-ups at once run one after the other', async (t) => {
  const dir = scratch(t, { log: '' });
  const script = holder(join(dir, 'lock'), join(dir, 'log'));
  const ends = await Promise.all(
    [1, 2, 3].map(() => runToEnd(process.execPath, ['--input-type=module', '-e', script])),
  );
  t.same(
    ends.map((end) => end.code),
    [0, 0, 0],
  );
  t.equal(readFileSync(join(dir, 'log'), 'utf8'), '()()()');
  t.notOk(existsSync(join(dir, 'lock')), 'the lock is released');
});

t.test('a lock whose holder is gone is taken over, and said so', async (t) => {
  const dir = scratch(t, { log: '' });
  const gone = await runToEnd(process.execPath, ['-p', 'process.pid']);
  writeFileSync(join(dir, 'lock'), `${gone.stdout.trim()}@${hostname()}`);
  const end = await runToEnd(process.execPath, [
    '--input-type=module',
    '-e',
    holder(join(dir, 'lock'), join(dir, 'log')),
  ]);
  t.equal(end.code, 0);
  t.match(end.stderr, /was interrupted/);
  t.equal(readFileSync(join(dir, 'log'), 'utf8'), '()');
});
