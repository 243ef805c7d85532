/** Writes until it is killed; says on stdout, one line each, what is durable: key and value. */
import { writeSync } from 'node:fs';
import { systemClock } from '../../src/base/clock.js';
import type { Outcome } from '../../src/keyspace/keyspace.js';
import type { Durability } from '../../src/keyspace/open.js';
import { bytes, open } from './harness.js';

const [path, durability, round] = process.argv.slice(2) as [string, Durability, string];
const { keyspace } = await open(path, { durability: () => durability, wallClock: systemClock() as never });

async function write(n: number): Promise<void> {
  const key = `key${n % 97}`;
  const value = `${round}:${Number(round) * 1_000_000 + n}`;
  const outcome: Outcome<void> = await keyspace.execute((tx) => {
    // Two keys in one commit, and every so often a new one that goes again, and one whose expiry comes and goes.
    tx.put(0, bytes(key), { type: 'string', bytes: bytes(value), expiresAtMs: null });
    tx.put(0, bytes(`twin-${key}`), { type: 'string', bytes: bytes(value), expiresAtMs: null });
    if (n % 5 === 0) tx.put(0, bytes(`passing${n % 13}`), { type: 'string', bytes: bytes(value), expiresAtMs: null });
    const expiresAtMs = n % 3 === 0 ? null : Date.now() + 3_600_000;
    tx.put(0, bytes(`expiring${n % 11}`), { type: 'string', bytes: bytes(value), expiresAtMs });
    if (n % 5 === 1) tx.delete(0, bytes(`passing${(n - 1) % 13}`));
  });
  await outcome.durable;
  writeSync(1, `${key} ${value}\ntwin-${key} ${value}\n`);
}

for (let n = 0; ; n += 10) await Promise.all(Array.from({ length: 10 }, (_, i) => write(n + i)));
