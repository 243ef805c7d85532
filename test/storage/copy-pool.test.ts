/** The copy pool: copies beside the event loop, so many at once, that never lose or invent a byte. */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import fc from 'fast-check';
import t, { type Test } from 'tap';
import { COPY_REST } from '../../src/base/file-calls.js';
import { sha256 } from '../../src/base/hash.js';
import { nativeFiles } from '../../src/engine/index.js';
import { CopyPool, type CopyPoolOptions } from '../../src/storage/copy-pool.js';
import { scratch } from '../support/scratch.js';
import { waitFor } from '../support/wait.js';

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

t.test('no more run at once than allowed, and the others follow', async (t) => {
  const sourcePath = join(scratch(t, { source: randomBytes(1000) }), 'source');
  const pool = openPool(t, { workers: 2 });
  t.equal(pool.running, 0);
  const jobs = Array.from({ length: 10 }, () => pool.copy({ sourcePath, sizeBytes: null, targetPath: null }));
  t.equal(pool.running, 2);
  for (const job of jobs) {
    await job;
    t.ok(pool.running <= 2);
  }
  await waitFor(() => pool.running === 0, { what: 'the last copy' });
});

t.test('progress adds up to what was copied, and is told while it runs', async (t) => {
  const dir = scratch(t, { source: '' });
  const sourcePath = join(dir, 'source');
  truncateSync(sourcePath, 256 * MEBIBYTE);
  const pool = openPool(t);
  const told: number[] = [];
  const { sizeBytes } = await pool.copy(
    { sourcePath, sizeBytes: null, targetPath: null },
    { onProgress: (bytes) => told.push(bytes) },
  );
  t.equal(sizeBytes, 256 * MEBIBYTE);
  t.equal(
    told.reduce((sum, bytes) => sum + bytes, 0),
    256 * MEBIBYTE,
  );
  t.ok(told.length > 1, `${told.length} times`);
});

t.test('bytes beyond what may be on their way to the disk arrive too', async (t) => {
  const content = randomBytes(70 * MEBIBYTE + 17);
  const dir = scratch(t, { source: content });
  const targetPath = join(dir, 'target');
  const copied = await openPool(t).copy({ sourcePath: join(dir, 'source'), sizeBytes: null, targetPath });
  t.same(copied, { sha256: sha256(content), sizeBytes: content.length });
  t.ok(readFileSync(targetPath).equals(content));
  t.equal(statSync(targetPath).mode & 0o777, 0o600);
});

t.test('a gentle copy rests while the event loop is busy, and any other does not', async (t) => {
  const dir = scratch(t, { source: '' });
  const sourcePath = join(dir, 'source');
  truncateSync(sourcePath, 64 * 1024 * MEBIBYTE);
  const controls: BigInt64Array[] = [];
  let load = 1;
  const copy: typeof nativeFiles.copy = (order) => {
    controls.push(order.control);
    return nativeFiles.copy(order);
  };
  const pool = new CopyPool(copy, { load: () => load });
  t.teardown(() => pool.close());
  const request = { sourcePath, sizeBytes: null, targetPath: null };
  const running = [pool.copy(request, { gentle: true }), pool.copy(request)].map((job) =>
    t.rejects(job, { code: 'CANCELLED' }),
  );
  const rests = () => controls.map((control) => Number(Atomics.load(control, COPY_REST)));
  const until = (rest: number) => waitFor(() => rests()[0] === rest, { what: `${rest} percent of rest` });
  await until(1900);
  load = 0.5;
  await until(1357);
  t.equal(rests()[1], 0);
  load = 0.2;
  await until(0);
  await pool.close();
  await Promise.all(running);
});

t.test('what is not gentle goes before what is, and nobody rests while it waits', async (t) => {
  const order: string[] = [];
  const controls: BigInt64Array[] = [];
  const ends: (() => void)[] = [];
  const copy: typeof nativeFiles.copy = (asked) => {
    order.push(asked.sourcePath);
    controls.push(asked.control);
    return new Promise((resolve) => ends.push(() => resolve({ kind: 'done', sha256: 'x', sizeBytes: 0 })));
  };
  const pool = new CopyPool(copy, { workers: 1, load: () => 1 });
  t.teardown(() => pool.close());
  const start = (sourcePath: string, gentle: boolean) =>
    pool.copy({ sourcePath, sizeBytes: null, targetPath: null }, { gentle });
  const jobs = [start('first', true), start('second', true)];
  const rest = () => Number(Atomics.load(controls[0] as BigInt64Array, COPY_REST));
  await waitFor(() => rest() === 1900, { what: 'rest' });
  jobs.push(start('urgent', false));
  await waitFor(() => rest() === 0, { what: 'the end of the rest' });
  for (let ended = 0; ended < 3; ended++) {
    await waitFor(() => ends.length > ended, { what: 'the next copy' });
    ends[ended]?.();
  }
  await Promise.all(jobs);
  t.same(order, ['first', 'urgent', 'second']);
});

t.test('a copy that rests is cancelled at once, and loses nothing', async (t) => {
  const content = randomBytes(3 * MEBIBYTE);
  const dir = scratch(t, { source: content });
  const pool = new CopyPool(nativeFiles.copy, { load: () => 1, chunkBytes: 4096 });
  t.teardown(() => pool.close());
  const request = { sourcePath: join(dir, 'source'), sizeBytes: null, targetPath: join(dir, 'target') };
  t.equal((await pool.copy(request, { gentle: true })).sha256, sha256(content));
  truncateSync(request.sourcePath, 1024 * MEBIBYTE);
  const controller = new AbortController();
  const second = pool.copy(
    { ...request, targetPath: join(dir, 'second') },
    { gentle: true, signal: controller.signal, onProgress: () => controller.abort() },
  );
  await t.rejects(second, { code: 'CANCELLED' });
  t.notOk(existsSync(join(dir, 'second')));
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
  t.equal(pool.running, 0);
  t.same(readdirSync(dir), ['source']);
  await t.rejects(pool.copy(request(9)), { code: 'CANCELLED' });
});

t.test('memory stays at a chunk for each copy, whatever the size of the file', async (t) => {
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
  t.ok(most - before < 48 * MEBIBYTE, `${((most - before) / MEBIBYTE).toFixed(1)} MiB more for two copies and 1 GiB`);
});

t.test('a process that ends while copies run ends at once, whichever way it ends', async (t) => {
  const dir = scratch(t, { source: '' });
  truncateSync(join(dir, 'source'), 64 * 1024 * MEBIBYTE);
  const module = (name: string) => JSON.stringify(new URL(`../../src/${name}`, import.meta.url).href);
  const start = `
    const { nativeFiles } = await import(${module('engine/index.js')});
    const { CopyPool } = await import(${module('storage/copy-pool.js')});
    const pool = new CopyPool(nativeFiles.copy);
    const request = { sourcePath: ${JSON.stringify(join(dir, 'source'))}, sizeBytes: null, targetPath: null };
    const begun = () => new Promise((resolve) => void pool.copy(request, { onProgress: resolve }).catch(() => {}));
    await begun();`;
  const ends = {
    'process.exit': [`${start} process.exit(7);`, 7],
    'an uncaught error': [`${start} setImmediate(() => { throw new Error('unlucky'); });`, 1],
    'the end of what there is to do': [`${start} await pool.close();`, 0],
    'a worker thread that is ended': [
      `import { Worker } from 'node:worker_threads';
       import { once } from 'node:events';
       const program = ${JSON.stringify(`${start} (await import('node:worker_threads')).parentPort.postMessage('begun');`)};
       const worker = new Worker(new URL('data:text/javascript,' + encodeURIComponent(program)));
       await once(worker, 'message');
       await worker.terminate();`,
      0,
    ],
  } as const;
  for (const [how, [script, expected]] of Object.entries(ends)) {
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const said = text(child.stderr);
    const timer = setTimeout(() => child.kill('SIGKILL'), 20_000);
    const [code, signal] = await once(child, 'exit');
    clearTimeout(timer);
    t.same([code, signal], [expected, null], `${how}: ${await said}`);
  }
});

function openPool(t: Test, options: CopyPoolOptions = {}): CopyPool {
  const pool = new CopyPool(nativeFiles.copy, options);
  t.teardown(() => pool.close());
  return pool;
}
