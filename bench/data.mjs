/** Data to measure on: random values, because compressible ones would make every copy look faster than a user's. */
import { randomFillSync } from 'node:crypto';

const valueBytes = 4096;
const perPipeline = 256;

/** Fills the server with about that many bytes; answers the number of keys. */
export async function fill(client, sizeBytes) {
  const keys = Math.ceil(sizeBytes / valueBytes);
  for (let first = 0; first < keys; first += perPipeline) {
    const pipeline = client.pipeline();
    for (let index = first; index < Math.min(keys, first + perPipeline); index += 1) {
      pipeline.set(keyOf(index), randomFillSync(Buffer.allocUnsafe(valueBytes)));
    }
    const outcomes = await pipeline.exec();
    const failed = outcomes.find(([error]) => error !== null);
    if (failed !== undefined) throw failed[0];
  }
  return keys;
}

export function keyOf(index) {
  return `key:${String(index).padStart(12, '0')}`;
}
