/** Data to measure on: random values, because compressible ones would make every copy look faster than a user's. */
import { randomFillSync } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

const valueBytes = 4096;
const perPipeline = 256;

/** Fills the server with about that many bytes, in keys from number `from` on; answers how many keys. */
export async function fill(client, sizeBytes, from = 0) {
  const keys = Math.ceil(sizeBytes / valueBytes);
  for (let first = from; first < from + keys; first += perPipeline) {
    const pipeline = client.pipeline();
    for (let index = first; index < Math.min(from + keys, first + perPipeline); index += 1) {
      pipeline.set(keyOf(index), randomFillSync(Buffer.allocUnsafe(valueBytes)));
    }
    const outcomes = await pipeline.exec();
    const failed = outcomes.find(([error]) => error !== null);
    if (failed !== undefined) throw failed[0];
  }
  return keys;
}

/** Waits until RocksDB has stopped rewriting tables in the background: "nothing changed" must be true of the files too. */
export async function untilCompacted(directory, { quietMs = 2_000, limitMs = 120_000 } = {}) {
  const tables = () =>
    readdirSync(directory)
      .filter((name) => name.endsWith('.sst'))
      .sort()
      .join(' ');
  const startedMs = performance.now();
  let last = tables();
  let changedMs = startedMs;
  while (performance.now() - changedMs < quietMs) {
    if (performance.now() - startedMs > limitMs) throw new Error(`${directory} is still compacting`);
    await delay(100);
    const now = tables();
    if (now !== last) changedMs = performance.now();
    last = now;
  }
}

export function keyOf(index) {
  return `key:${String(index).padStart(12, '0')}`;
}
