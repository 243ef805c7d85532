/**
 * What it costs to let RocksDB compute a checksum of each table while it writes it (fileChecksum 'sha256', 'crc32c'),
 * against none: writes, flushes and compactions, by turns, values that compress and values that do not.
 *
 *   npm run build && node bench/file-checksum.mjs [rounds] [megabytes per run]
 *
 * Prints per kind of value the median of each and the ratio of each pair of runs. CPU time counts all threads, so it
 * shows what is hidden behind a disk or an idle core; wall time is what a writer feels.
 */
import { randomFillSync } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const dist = process.env.CAIRN_DIST ?? new URL('../dist/', import.meta.url).pathname;
const { BatchBuilder, openDatabase } = await import(join(dist, 'engine/index.js'));

const rounds = Number(process.argv[2] ?? 6);
const megabytes = Number(process.argv[3] ?? 64);
const VALUE_BYTES = 1000;
/** Values that do not compress are slices of this, so that making them costs nothing. */
const noise = randomFillSync(Buffer.alloc(8 << 20));
const BATCH = 500;

async function run(fileChecksum, compressible) {
  const path = mkdtempSync(join(tmpdir(), 'cairn-bench-'));
  const even = Buffer.alloc(VALUE_BYTES, 'cairn marks the way back; ');
  const keys = (megabytes * 1e6) / VALUE_BYTES;
  const db = await openDatabase(join(path, 'db'), { createIfMissing: true, fileChecksum, writeBufferBytes: 8 << 20 });
  const batch = new BatchBuilder();
  const cpu = process.cpuUsage();
  const start = performance.now();
  for (let n = 0; n < keys; n++) {
    // Every key twice and in no order, so that compactions rewrite what flushes wrote.
    const key = Buffer.from(String((n * 7919) % (keys / 2)).padStart(16, '0'));
    const at = (n * 997) % (noise.length - VALUE_BYTES);
    batch.put(key, compressible ? even : noise.subarray(at, at + VALUE_BYTES));
    if (batch.count === BATCH) await db.write(batch.finish(), { disableWal: true });
  }
  await db.write(batch.finish(), { disableWal: true });
  await db.flush();
  await db.compactRange();
  const wall = performance.now() - start;
  const used = process.cpuUsage(cpu);
  await db.close();
  rmSync(path, { recursive: true });
  return { wall, cpu: (used.user + used.system) / 1000 };
}

const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];

for (const compressible of [false, true]) {
  const runs = { none: [], sha256: [], crc32c: [] };
  await run('none', compressible);
  for (let round = 0; round < rounds; round++) {
    const order = round % 2 === 0 ? ['none', 'sha256', 'crc32c'] : ['crc32c', 'sha256', 'none'];
    for (const kind of order) {
      runs[kind].push(await run(kind, compressible));
    }
  }
  console.log(`${compressible ? 'compressible' : 'incompressible'} values, ${rounds} rounds of ${megabytes} MB`);
  for (const measure of ['wall', 'cpu']) {
    const none = runs.none.map((result) => result[measure]);
    console.log(`  ${measure.padEnd(4)}  none    ${median(none).toFixed(0).padStart(6)} ms`);
    for (const kind of ['sha256', 'crc32c']) {
      const other = runs[kind].map((result) => result[measure]);
      const ratios = other.map((ms, i) => ms / none[i]);
      const range = `${Math.min(...ratios).toFixed(3)}..${Math.max(...ratios).toFixed(3)}`;
      console.log(
        `        ${kind}  ${median(other).toFixed(0).padStart(6)} ms  ratio ${median(ratios).toFixed(3)} (${range})`,
      );
    }
  }
}
