/** Bytes hashed in the pool: as Node hashes them, whatever their length, and held meanwhile. */
import { createHash, randomBytes } from 'node:crypto';
import t from 'tap';
import { sha256InPool } from '../../src/engine/index.js';

t.test('it is the SHA-256 of the bytes, of each length and of a part of a Buffer', async (t) => {
  const noise = randomBytes((3 << 20) + 5);
  for (const length of [0, 1, 63, 64, 65, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, noise.length]) {
    const bytes = noise.subarray(0, length);
    t.equal((await sha256InPool(bytes)).toString('hex'), createHash('sha256').update(bytes).digest('hex'), `${length}`);
  }
  const part = noise.subarray(17, 4711);
  t.same(await sha256InPool(part), createHash('sha256').update(part).digest());
});

t.test('many at once, of which nobody keeps the bytes', async (t) => {
  const expected: string[] = [];
  const hashing = Array.from({ length: 40 }, (_, n) => {
    const bytes = Buffer.alloc(1 << 20, n);
    expected.push(createHash('sha256').update(bytes).digest('hex'));
    return sha256InPool(bytes);
  });
  globalThis.gc?.();
  t.same(
    (await Promise.all(hashing)).map((digest) => digest.toString('hex')),
    expected,
  );
});
