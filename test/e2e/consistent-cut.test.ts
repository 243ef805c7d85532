/**
 * A10, A11: backups of a database that is written to as fast as it can be, with flushes and compactions under way. What comes
 * back is the state of one moment: of every writer a true beginning of what it wrote, and transactions whole.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import t from 'tap';
import { admin, dump } from '../support/admin.js';
import { startServer } from '../support/built-server.js';
import { waitFor } from '../support/wait.js';

const WRITERS = 4;
const AT_ONCE = 20;
const VALUE = 'x'.repeat(2000);

class Writer {
  /** So many steps were acknowledged, and so many were sent. */
  done = 0;
  sent = 0;

  constructor(private readonly at: number) {}

  /** A step is a key of its own, w:0, w:1, … in order, and then a transfer between two accounts. */
  async run(client: Redis, isOver: () => boolean): Promise<void> {
    while (!isOver()) {
      const pipeline = client.pipeline();
      for (let i = 0; i < AT_ONCE; i += 1) {
        pipeline.set(`w:${this.at}:${this.sent + i}`, VALUE);
        pipeline.call('MULTI').decr(`from:${this.at}`).set(`note:${this.at}`, VALUE).incr(`to:${this.at}`).call('EXEC');
      }
      this.sent += AT_ONCE;
      for (const [error] of (await pipeline.exec()) ?? []) if (error !== null) throw error;
      this.done = this.sent;
    }
  }

  /** Why a restored state is none that ever was; null when it is one. */
  wrong(content: Map<string, string | null>, least: number, most: number): string | null {
    const keys = [...content.keys()].filter((key) => key.startsWith(`w:${this.at}:`)).length;
    for (let i = 0; i < keys; i += 1) if (!content.has(`w:${this.at}:${i}`)) return `${keys} keys, but not ${i}`;
    if (keys < least || keys > most) return `${keys} keys, not ${least} to ${most}`;
    const from = Number(content.get(`from:${this.at}`) ?? 0);
    const to = Number(content.get(`to:${this.at}`) ?? 0);
    if (from + to !== 0) return `half a transaction: ${from} and ${to}`;
    return to === keys || to === keys - 1 ? null : `${to} transfers beside ${keys} keys`;
  }
}

t.test('A10, A11: under heavy writes, flushes and compactions every backup is one consistent cut', async (t) => {
  const server = await startServer(t, { args: ['--set', 'write_buffer_size=1mb', '--set', 'durability=no'] });
  const client = await server.client();
  const writers = Array.from({ length: WRITERS }, (_, at) => new Writer(at));
  const tables = (): Set<string> =>
    new Set(readdirSync(join(server.dir, 'db-000001')).filter((name) => name.endsWith('.sst')));
  let isOver = false;
  const clients = await Promise.all(writers.map(() => server.client()));
  const running = Promise.all(writers.map((writer, at) => writer.run(clients[at] as Redis, () => isOver)));
  running.catch(() => {});

  const cuts: { id: number; least: number[]; most: number[] }[] = [];
  let before = tables();
  for (const type of ['FULL', 'INCREMENTAL', 'FULL', 'DIFFERENTIAL']) {
    await waitFor(() => [...tables()].filter((name) => !before.has(name)).length >= 3, { what: 'three more flushes' });
    before = tables();
    const least = writers.map(({ done }) => done);
    const { id } = await admin<{ id: number }>(client, 'CREATE', type);
    cuts.push({ id, least, most: writers.map(({ sent }) => sent) });
  }
  await waitFor(() => [...before].some((name) => !tables().has(name)), { what: 'a compaction', timeoutMs: 30_000 });
  isOver = true;
  await running;

  for (const { id, least, most } of cuts) {
    const { target } = await admin<{ target: string }>(client, 'RESTORE', id, 'TO', `cut-${id}`);
    const restored = await startServer(t, { dataDir: target });
    const content = await dump(await restored.client());
    for (const [at, writer] of writers.entries()) {
      t.equal(writer.wrong(content, least[at] as number, most[at] as number), null, `backup ${id}, writer ${at}`);
    }
    await restored.stop();
  }
  t.equal((await admin<unknown[]>(client, 'VERIFY', 'ALL')).length, cuts.length);
  await server.stop();
});
