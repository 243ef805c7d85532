/** The copy pool: threads that start late, end early, may die, and never lose or invent a byte. */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import fc from 'fast-check';
import t, { type Test } from 'tap';
import { sha256 } from '../../src/base/hash.js';
import { CopyPool, type CopyPoolOptions } from '../../src/storage/copy-pool.js';
import { scratch } from '../support/scratch.js';

const MEBIBYTE = 1024 * 1024;

t.test('copies any size at any chunk, and the hash is of what it wrote', async (t) => {
  const dir = scratch(t);
  const pools = [1, 7, 64].map((chunkBytes) => openPool(t, { chunkBytes, workers: 1 }));
  let runs = 0;
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), fc.nat(2), fc.nat(300), async (content, which, cut) => {
      const sourcePath = join(dir, `source-${runs}`);
      const targetPath = join(dir, `target-${runs++}`);
      writeFileSync(sourcePath, content);
      const sizeBytes = cut <= content.length ? cut : null;
      const expected = content.subarray(0, sizeBytes ?? content.length);
      const result = await pools[which]?.copy({ sourcePath, sizeBytes, targetPath });
      t.same(result, { sha256: sha256(expected), sizeBytes: expected.length });
      if (!readFileSync(targetPath).equals(expected)) t.fail('other bytes');
    }),
    { numRuns: 60 },
  );
});

t.test('threads start with work, are no more than allowed, and end when idle', async (t) => {
  const sourcePath = join(scratch(t, { source: randomBytes(1000) }), 'source');
  const pool = openPool(t, { workers: 2, idleMs: 1 });
  t.equal(pool.threads, 0);
  const jobs = Array.from({ length: 10 }, () => pool.copy({ sourcePath, sizeBytes: null, targetPath: null }));
  t.equal(pool.threads, 2);
  await Promise.all(jobs);
  while (pool.threads > 0) await new Promise(setImmediate);
  await pool.copy({ sourcePath, sizeBytes: null, targetPath: null });
  t.equal(pool.threads, 1);
});

t.test('a thread that dies fails its own job, removes its target, and the next job gets a new one', async (t) => {
  const dir = scratch(t, {
    source: 'abc',
    'dies.mjs': `
      import { parentPort } from 'node:worker_threads';
      import { writeFileSync } from 'node:fs';
      parentPort.on('message', (order) => {
        if (!order.sourcePath.endsWith('deadly')) {
          parentPort.postMessage({ type: 'done', sha256: 'x', sizeBytes: 0 });
          return;
        }
        writeFileSync(order.targetPath, 'half');
        Atomics.store(new Int32Array(order.flags), 1, 1);
        throw new Error('out of luck');
      });`,
  });
  const pool = openPool(t, { workers: 1, script: pathToFileURL(join(dir, 'dies.mjs')) });
  const targetPath = join(dir, 'target');
  const deadly = pool.copy({ sourcePath: join(dir, 'deadly'), sizeBytes: null, targetPath });
  const queued = pool.copy({ sourcePath: join(dir, 'source'), sizeBytes: null, targetPath: null });
  await t.rejects(deadly, { code: 'BACKUPFAILED', message: /thread died: out of luck/, details: { reason: 'died' } });
  t.notOk(existsSync(targetPath));
  t.same(await queued, { sha256: 'x', sizeBytes: 0 });
});

t.test('a file that shrinks while it is copied fails with both sizes and leaves no target', async (t) => {
  const dir = scratch(t, { source: randomBytes(100) });
  const pool = openPool(t);
  const request = { sourcePath: join(dir, 'source'), sizeBytes: 200, targetPath: join(dir, 'target') };
  const failure = { code: 'BACKUPFAILED', message: /100 of 200 bytes/, details: { reason: 'short', side: 'source' } };
  await t.rejects(pool.copy(request), failure);
  t.notOk(existsSync(request.targetPath));
});

t.test('each failure names its side and the code of the system', async (t) => {
  const dir = scratch(t, { source: 'abc', taken: 'mine', directory: {} });
  symlinkSync(join(dir, 'source'), join(dir, 'link'));
  const pool = openPool(t);
  const copy = (source: string, target: string | null) =>
    pool.copy({ sourcePath: join(dir, source), sizeBytes: 3, targetPath: target === null ? null : join(dir, target) });
  await t.rejects(copy('absent', 'out'), { code: 'BACKUPFAILED', details: { side: 'source', errno: 'ENOENT' } });
  await t.rejects(copy('source', 'taken'), { code: 'BACKUPFAILED', details: { side: 'target', errno: 'EEXIST' } });
  await t.rejects(copy('source', 'absent/out'), { code: 'BACKUPFAILED', details: { side: 'target', errno: 'ENOENT' } });
  await t.rejects(copy('directory', 'out'), {
    code: 'BACKUPFAILED',
    details: { reason: 'not-a-file', errno: 'EISDIR' },
  });
  await t.rejects(copy('link', 'out'), { code: 'BACKUPCORRUPT', details: { errno: 'ELOOP' } });
  t.equal(readFileSync(join(dir, 'taken'), 'utf8'), 'mine');
  t.same(readdirSync(dir).sort(), ['directory', 'link', 'source', 'taken']);
});

const noProc = existsSync('/proc/self/mem') ? false : 'needs /proc';
t.test('a read error of the disk is told as such', { skip: noProc }, async (t) => {
  // Reading the start of a process's memory is EIO: a real error from a real read, where there is /proc.
  const sourcePath = '/proc/self/mem';
  const targetPath = join(scratch(t), 'out');
  const failure = { code: 'BACKUPFAILED', details: { side: 'source', errno: 'EIO' }, hint: /disk reports an error/ };
  await t.rejects(openPool(t).copy({ sourcePath, sizeBytes: 10, targetPath }), failure);
  t.notOk(existsSync(targetPath));
});

t.test('an aborted job stops, whether it waits or runs, and the others go on', async (t) => {
  const dir = scratch(t, { source: randomBytes(4 * MEBIBYTE) });
  const pool = openPool(t, { workers: 1, chunkBytes: 4096 });
  const controller = new AbortController();
  const sourcePath = join(dir, 'source');
  const copy = (name: string, signal?: AbortSignal) =>
    pool.copy({ sourcePath, sizeBytes: null, targetPath: join(dir, name) }, signal === undefined ? {} : { signal });
  const running = copy('running', controller.signal);
  const waiting = copy('waiting', controller.signal);
  const other = copy('other');
  controller.abort();
  await t.rejects(running, { code: 'CANCELLED' });
  await t.rejects(waiting, { code: 'CANCELLED' });
  t.equal((await other).sizeBytes, 4 * MEBIBYTE);
  t.same(readdirSync(dir).sort(), ['other', 'source']);
});

t.test('close cancels what runs and waits, removes unfinished targets, and refuses more', async (t) => {
  const dir = scratch(t, { source: randomBytes(4 * MEBIBYTE) });
  const pool = openPool(t, { workers: 2, chunkBytes: 1024 });
  const request = (n: number) => ({ sourcePath: join(dir, 'source'), sizeBytes: null, targetPath: join(dir, `${n}`) });
  const outcomes = Promise.allSettled(Array.from({ length: 5 }, (_, n) => pool.copy(request(n))));
  await pool.close();
  for (const outcome of await outcomes) t.match(outcome, { status: 'rejected', reason: { code: 'CANCELLED' } });
  t.equal(pool.threads, 0);
  t.same(readdirSync(dir), ['source']);
  await t.rejects(pool.copy(request(9)), { code: 'CANCELLED' });
});

t.test('memory stays at the chunks of the threads, whatever the size of the file', async (t) => {
  const sourcePath = join(scratch(t, { source: '' }), 'source');
  truncateSync(sourcePath, 512 * MEBIBYTE);
  const pool = openPool(t, { workers: 2 });
  const jobs = () => Promise.all([1, 2].map(() => pool.copy({ sourcePath, sizeBytes: null, targetPath: null })));
  const before = process.memoryUsage().rss;
  let most = before;
  const timer = setInterval(() => {
    most = Math.max(most, process.memoryUsage().rss);
  }, 5);
  await jobs();
  clearInterval(timer);
  t.ok(most - before < 48 * MEBIBYTE, `${((most - before) / MEBIBYTE).toFixed(1)} MiB more for two threads and 1 GiB`);
});

t.test('an idle pool keeps no process alive', async (t) => {
  const sourcePath = join(scratch(t, { source: 'abc' }), 'source');
  const module = new URL('../../src/storage/copy-pool.js', import.meta.url).href;
  const script = `
    import { CopyPool } from ${JSON.stringify(module)};
    const { sha256 } = await new CopyPool().copy({ sourcePath: ${JSON.stringify(sourcePath)}, sizeBytes: 3, targetPath: null });
    console.log(sha256);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const timer = setTimeout(() => child.kill('SIGKILL'), 8000);
  const [code] = await once(child, 'exit');
  clearTimeout(timer);
  t.equal(code, 0);
});

function openPool(t: Test, options: CopyPoolOptions = {}): CopyPool {
  const pool = new CopyPool(options);
  t.teardown(() => pool.close());
  return pool;
}
