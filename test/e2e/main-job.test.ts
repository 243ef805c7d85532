/**
 * The main job on real input: a million keys, a backup while writes go on, proof, damage found and refused, everything
 * deleted, restored in place without a stop, compared key by key, restarted, compared again.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import t from 'tap';
import { admin, list } from '../support/admin.js';
import { startServer } from '../support/built-server.js';

const KEYS = 1_000_000;
const BATCH = 1000;

const expectedValue = (i: number): string => `value:${(i * 7919) % 1_000_003}:${'x'.repeat(i % 50)}`;

async function load(client: Redis): Promise<void> {
  for (let from = 0; from < KEYS; from += BATCH) {
    const pairs: string[] = [];
    for (let i = from; i < from + BATCH; i += 1) pairs.push(`key:${i}`, expectedValue(i));
    await client.mset(pairs);
  }
}

/** Compares every key and value; returns how many counter keys w:1 … w:n there are. */
async function compare(t: import('tap').Test, client: Redis): Promise<number> {
  let wrong = 0;
  for (let from = 0; from < KEYS; from += BATCH) {
    const keys = Array.from({ length: BATCH }, (_, i) => `key:${from + i}`);
    const values = await client.mget(keys);
    for (let i = 0; i < BATCH; i += 1) if (values[i] !== expectedValue(from + i)) wrong += 1;
  }
  t.equal(wrong, 0, `all ${KEYS} keys have their values`);
  const size = await client.dbsize();
  const counters = size - KEYS;
  for (let from = 1; from <= counters; from += BATCH) {
    const keys = Array.from({ length: Math.min(BATCH, counters - from + 1) }, (_, i) => `w:${from + i}`);
    const values = await client.mget(keys);
    for (const [i, value] of values.entries()) if (value !== String(from + i)) wrong += 1;
  }
  t.equal(wrong, 0, `the counters are w:1 to w:${counters} without a hole`);
  return counters;
}

t.test(
  'a million keys are backed up under load, proven, damaged, refused, restored in place and still there after a restart',
  async (t) => {
    const server = await startServer(t);
    const client = await server.client();
    await load(client);
    t.equal(await client.dbsize(), KEYS);

    // A writer that goes on, each write acknowledged before the next, while the backup is made.
    const writer = await server.client();
    let acknowledged = 0;
    let writing = true;
    const writes = (async () => {
      while (writing) {
        await writer.set(`w:${acknowledged + 1}`, String(acknowledged + 1));
        acknowledged += 1;
      }
    })();
    const before = acknowledged;
    const created = await admin<{ id: number; status: string; sequence_to: number; size: number }>(
      client,
      'CREATE',
      'LABEL',
      'under load',
    );
    writing = false;
    await writes;
    t.match(created, { id: 1, status: 'complete' });
    t.ok(created.size > 20_000_000, `${created.size} bytes`);
    t.ok(acknowledged > before, 'writes went on meanwhile');

    t.match(await admin(client, 'VERIFY', 1, 'DEEP'), { status: 'VALID', mode: 'DEEP', files_failed: 0 });

    const { files_list: files } = await admin<{ files_list: { name: string; sha256: string; size: number }[] }>(
      client,
      'INFO',
      1,
    );
    const table = files.find(({ name }) => name.endsWith('.sst'));
    if (table === undefined) throw new Error('a million keys leave a table');
    const path = join(server.dir, 'backups', 'files', table.sha256.slice(0, 2), table.sha256);
    const bytes = await readFile(path);
    const middle = bytes.length >> 1;
    bytes[middle] = (bytes[middle] as number) ^ 0x10;
    await writeFile(path, bytes);
    await t.rejects(client.call('ADMIN.BACKUP', 'VERIFY', '1'), {
      message: new RegExp(`^BACKUPCORRUPT .*backup 1: .*${table.name}`),
    });
    await t.rejects(client.call('ADMIN.BACKUP', 'RESTORE', '1'), { message: /^BACKUPCORRUPT / });
    t.equal((await list(client)).latest, null, 'LATEST does not name a damaged one');
    t.equal(await client.get(`key:${KEYS - 1}`), expectedValue(KEYS - 1), 'the live data serves on');
    bytes[middle] = (bytes[middle] as number) ^ 0x10;
    await writeFile(path, bytes);
    t.match(await admin(client, 'VERIFY', 1), { status: 'VALID' });
    t.equal((await list(client)).latest, 1);

    await client.flushall();
    t.equal(await client.dbsize(), 0);
    const restored = await admin<{ sequence: number; downtime_ms: number; timeline_new: number }>(
      client,
      'RESTORE',
      'LATEST',
    );
    t.match(restored, { sequence: created.sequence_to, timeline_new: 2 });
    t.comment(`downtime ${restored.downtime_ms} ms`);
    const counters = await compare(t, client);
    t.ok(
      counters >= before && counters <= acknowledged,
      `${counters} of ${acknowledged} counters were there at the cut`,
    );
    await client.set('after', 'the restore');
    await server.stop();

    const again = await startServer(t, { dir: server.dir });
    const other = await again.client();
    t.equal(await other.get('after'), 'the restore');
    await other.del('after');
    t.equal(await compare(t, other), counters);
    await again.stop();
  },
);
