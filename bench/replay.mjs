/**
 * Capture and replay of commits: how fast the addon frames them out of the WAL, checks them, and applies them, beside a
 * C++ loop that applies the same records to the same librocksdb with the WAL off and checks nothing (replay.cc, compiled
 * here). In turns; medians, and the ratio of each pair. Commits are one put of 196 bytes to keys in no order.
 *
 *   npm run build && node bench/replay.mjs [rounds] [commits]
 */
import { spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const dist = process.env.CAIRN_DIST ?? new URL('../dist/', import.meta.url).pathname;
const { BatchBuilder, openDatabase, replayRecords, verifyRecords } = await import(join(dist, 'engine/index.js'));
const { encodeCommitMark } = await import(join(dist, 'keyspace/commit-mark.js'));

const rounds = Number(process.argv[2] ?? 3);
const commits = Number(process.argv[3] ?? 1_000_000);
const GROUP = 200;
const VALUE_BYTES = 180;
const MARK = { prefix: encodeCommitMark(0, 0).subarray(0, 2), bytes: 14, timeOffset: 2, timelineOffset: 10 };
const range = { timeline: 1, digest: createHash('sha256').update('bench').digest(), expectedSequence: 0 };
const directory = mkdtempSync(join(tmpdir(), 'cairn-bench-'));
const areaFile = join(directory, 'records');
const loop = join(directory, 'replay');
const target = join(directory, 'target');

function compile() {
  const source = new URL('./replay.cc', import.meta.url).pathname;
  const { status, stderr } = spawnSync('g++', ['-O2', '-std=c++17', source, '-o', loop, '-lrocksdb'], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`replay.cc does not compile: ${stderr}`);
}

/** Writes the commits as the keyspace would, and frames them: the records area that everything else works on. */
async function capture() {
  const db = await openDatabase(join(directory, 'source'), { createIfMissing: true, walTtlSeconds: 'forever' });
  const noise = randomBytes(1 << 20);
  const batch = new BatchBuilder(1 << 20);
  let key = 12345;
  for (let n = 0; n < commits; n++) {
    key = (Math.imul(key, 1103515245) + 12345) >>> 0;
    const at = (n * 7919) % (noise.length - VALUE_BYTES);
    batch.logData(encodeCommitMark(1e15 + n, 1));
    const name = String(Math.floor((key / 2 ** 32) * 2 * commits)).padStart(16, '0');
    batch.put(Buffer.from(name), noise.subarray(at, at + VALUE_BYTES));
    if (n % GROUP === GROUP - 1) await db.write(batch.finish());
  }
  if (batch.count > 0) await db.write(batch.finish());
  const reader = db.commitsSince(0, { ...range, lastTimeUs: 0, mark: MARK });
  const parts = [];
  const start = performance.now();
  for (let part = await reader.next(8 << 20, commits); part.count > 0; part = await reader.next(8 << 20, commits)) {
    parts.push(part.records);
  }
  const ms = performance.now() - start;
  await reader.close();
  await db.close();
  return { area: Buffer.concat(parts), ms };
}

async function verify(area) {
  const start = performance.now();
  await verifyRecords(area, range);
  return performance.now() - start;
}

async function replay(area, options) {
  const db = await openDatabase(target, { createIfMissing: true, ...options });
  const cpu = process.cpuUsage();
  const start = performance.now();
  await replayRecords(db, area, range);
  const applied = performance.now() - start;
  await db.flush();
  const flushed = performance.now() - start;
  const used = process.cpuUsage(cpu);
  await db.close();
  rmSync(target, { recursive: true });
  return { applied, flushed, cpu: (used.user + used.system) / 1000 };
}

function reference() {
  const { stdout, status } = spawnSync(loop, [areaFile, target], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`the C++ loop failed with ${status}`);
  rmSync(target, { recursive: true });
  const [applied, flushed, cpu] = stdout.trim().split(' ').map(Number);
  return { applied, flushed, cpu };
}

const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];
const rate = (ms) =>
  Math.round((commits / ms) * 1000)
    .toLocaleString('en')
    .padStart(10);

const contenders = {
  'C++ loop': reference,
  'replay, as served': (area) => replay(area, {}),
  'replay, load': (area) => replay(area, { load: true }),
  'replay, load, 2 flushes': (area) => replay(area, { load: true, writeBufferBytes: 14 << 20, flushThreads: 2 }),
  'replay, load, sha256': (area) => replay(area, { load: true, fileChecksum: 'sha256' }),
};

try {
  compile();
  const { area, ms } = await capture();
  writeFileSync(areaFile, area);
  const runs = Object.fromEntries(Object.keys(contenders).map((name) => [name, []]));
  const checks = [];
  for (let round = 0; round < rounds; round++) {
    checks.push(await verify(area));
    const order = Object.entries(contenders);
    if (round % 2 === 1) order.reverse();
    for (const [name, run] of order) runs[name].push(await run(area));
  }
  console.log(
    `${commits} commits, ${(area.length / 1e6).toFixed(0)} MB of records, ${rounds} rounds; commits per second`,
  );
  console.log(`  ${'captured from the WAL'.padEnd(24)}${rate(ms)}`);
  console.log(`  ${'verified'.padEnd(24)}${rate(median(checks))}`);
  for (const [name, results] of Object.entries(runs)) {
    const values = ['applied', 'flushed', 'cpu'].map((what) => {
      const ratios = results.map((result, i) => runs['C++ loop'][i][what] / result[what]);
      const list = results.map((result) => result[what]);
      return `${what} ${rate(median(list))} (${median(ratios).toFixed(2)})`;
    });
    console.log(`  ${name.padEnd(24)}${values.join('  ')}`);
  }
} finally {
  rmSync(directory, { recursive: true, force: true });
}
