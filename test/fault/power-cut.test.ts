/**
 * B8: a power cut, simulated by a kill -9 after which every file loses what was never fsynced (test/support/soak/power-cut.ts).
 * What docs/guarantees.md says of each durability, and what the archive may have: nothing that the database has not.
 */
import { readdir } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import t, { type Test } from 'tap';
import { Random } from '../property/support/random.js';
import { admin } from '../support/admin.js';
import { type Server, startServer } from '../support/built-server.js';
import { scratch } from '../support/scratch.js';
import { buildSyncedFiles, type Cut, SyncedFiles } from '../support/soak/power-cut.js';
import { waitFor } from '../support/wait.js';

class Machine {
  readonly dir: string;
  readonly synced: SyncedFiles;

  constructor(
    readonly t: Test,
    readonly args: string[],
  ) {
    this.dir = scratch(t);
    const beside = scratch(t);
    this.synced = new SyncedFiles(buildSyncedFiles(beside), `${beside}/journal`);
  }

  start(): Promise<Server> {
    return startServer(this.t, { dir: this.dir, args: this.args, env: this.synced.env });
  }

  /** The power goes: everything that is not durable is lost. */
  async cutPower(server: Server): Promise<Cut> {
    await server.kill9();
    this.synced.absorb();
    return this.synced.cut(this.dir, new Random(1), 'all');
  }
}

const settings = (...pairs: string[]): string[] => pairs.flatMap((pair) => ['--set', pair]);

/** Counts as fast as it is answered until the server is gone; what was answered last. */
async function countOn(client: Redis): Promise<() => Promise<number>> {
  let answered = 0;
  const counting = (async () => {
    for (;;) {
      const value = await client.incr('n').catch(() => null);
      if (value === null) return;
      answered = value;
    }
  })();
  await waitFor(() => answered > 50, { what: '50 answers' });
  return () => counting.then(() => answered);
}

t.test('B8: a power cut under durability always takes nothing that was acknowledged', async (t) => {
  const machine = new Machine(t, settings('durability=always', 'backup.wal.archive=no'));
  const server = await machine.start();
  const ended = await countOn(await server.client());
  await machine.cutPower(server);
  const answered = await ended();
  const again = await machine.start();
  const found = Number(await (await again.client()).get('n'));
  t.ok(found === answered || found === answered + 1, `${found} of ${answered}`);
  await again.stop();
});

t.test(
  'B8: a power cut under durability no takes what the system had not written: the simulation does take it',
  async (t) => {
    const machine = new Machine(t, settings('durability=no', 'backup.wal.archive=no'));
    const server = await machine.start();
    const client = await server.client();
    await client.set('before', 'a backup syncs the log');
    await admin(client, 'CREATE');
    const ended = await countOn(client);
    const cut = await machine.cutPower(server);
    t.ok(await ended());
    t.ok(
      cut.names.some((name) => /^db-000001\/\d+\.log /.test(name)),
      cut.names.join(', '),
    );
    const again = await machine.start();
    const after = await again.client();
    t.equal(await after.get('n'), null, 'none of it was synced');
    t.equal(await after.get('before'), 'a backup syncs the log');
    await admin(after, 'VERIFY', 'ALL', 'DEEP');
    await again.stop();
  },
);

t.test('B8: a power cut under everysec keeps everything that was acknowledged before the last sync', async (t) => {
  const machine = new Machine(t, settings('durability=everysec', 'backup.wal.archive=no'));
  const server = await machine.start();
  const client = await server.client();
  await client.set('early', 'yes');
  // By itself, within about a second.
  await waitFor(
    () => {
      machine.synced.absorb();
      return machine.synced.unsynced(machine.dir).every(({ path }) => !/\/\d+\.log$/.test(path));
    },
    { what: 'the log to be synced', timeoutMs: 30_000 },
  );
  const ended = await countOn(client);
  await machine.cutPower(server);
  const answered = await ended();
  const again = await machine.start();
  const after = await again.client();
  t.equal(await after.get('early'), 'yes');
  t.ok(Number(await after.get('n')) <= answered + 1);
  await again.stop();
});

t.test(
  'B8: what is archived survives a power cut in the database too, and no sequence comes to mean two things',
  async (t) => {
    const machine = new Machine(t, settings('durability=no', 'backup.wal.interval=100ms'));
    interface Tag {
      name: string;
      timeline: number;
      sequence: number;
    }
    const tags: (Tag & { value: string })[] = [];
    for (let round = 0; round < 3; round += 1) {
      const server = await machine.start();
      const client = await server.client();
      if (round === 0) await admin(client, 'CREATE');
      for (let i = 0; i < 5; i += 1) {
        const value = String(await client.incr('n'));
        tags.push({ ...(await admin<Tag>(client, 'TAG', `${round}-${i}`)), value });
      }
      const ended = await countOn(client);
      // Somewhere between two captures.
      await delay(new Random(round).int(150));
      await machine.cutPower(server);
      await ended();
      const again = await machine.start();
      const after = await again.client();
      t.match(await after.info('backup'), /^timeline:1\r$/m, 'nothing was archived that the database does not have');
      const { windows } = await admin<{ windows: { sequence_to: number; gaps: unknown[] }[] }>(after, 'WINDOW');
      t.same(windows[0]?.gaps, []);
      t.ok((windows[0]?.sequence_to ?? 0) >= (tags.at(-1)?.sequence ?? 0));
      await machine.cutPower(again);
    }
    const last = await machine.start();
    const client = await last.client();
    await admin(client, 'VERIFY', 'ALL', 'FULL');
    for (const { name, value } of tags) {
      await admin(client, 'RESTORE', 'LATEST', 'TAG', name);
      t.equal(await client.get('n'), value, name);
    }
    await last.stop();
  },
);

t.test('B8, C19: what RESTORE TO had not finished when the power went is removed', async (t) => {
  const machine = new Machine(t, []);
  const first = await machine.start();
  const before = await first.client();
  await before.set('a', '1');
  await admin(before, 'CREATE');
  await first.stop();
  const env = { ...machine.synced.env, CAIRN_FAULT_POINTS: 'files-staged=kill' };
  const armed = await startServer(t, { dir: machine.dir, env });
  await t.rejects((await armed.client()).call('ADMIN.BACKUP', 'RESTORE', '1', 'TO', 'drill'));
  await machine.cutPower(armed);
  t.equal((await readdir(`${machine.dir}/restores`)).length, 1);
  const again = await machine.start();
  t.same(await readdir(`${machine.dir}/restores`), []);
  await again.stop();
});

/** Nothing is archived by itself: what a log loses, the archive has not. */
const unarchived = ['backup.wal.interval=1h', 'durability=no', 'write_buffer_size=1mb'];

async function requireNoHole(t: Test, client: Redis): Promise<void> {
  const { windows } = await admin<{ windows: { gaps: unknown[] }[] }>(client, 'WINDOW');
  t.same(
    windows.map(({ gaps }) => gaps),
    [[]],
  );
  t.match(await admin(client, 'CREATE', 'INCREMENTAL', 'STRICT'), { type: 'incremental', promoted: null });
  await admin(client, 'VERIFY', 'ALL', 'DEEP');
}

t.test('B1, B8: what became a table while it was in no archive yet is in its log after a power cut', async (t) => {
  const machine = new Machine(t, settings(...unarchived));
  const server = await machine.start();
  const client = await server.client();
  await admin(client, 'CREATE');
  const writes = Array.from({ length: 3000 }, (_, i) => client.set(`k:${i}`, 'x'.repeat(1000)));
  await Promise.all(writes);
  await waitFor(async () => (await readdir(`${machine.dir}/db-000001/archive`).catch(() => [])).length > 0, {
    what: 'a log to be done with',
    timeoutMs: 30_000,
  });
  await machine.cutPower(server);
  const again = await machine.start();
  const after = await again.client();
  t.ok((await after.dbsize()) > 0, 'tables are durable');
  await requireNoHole(t, after);
  await again.stop();
});

t.test('B1, B8: what a killed server left in its log is durable before it becomes a table', async (t) => {
  const machine = new Machine(t, settings(...unarchived));
  const server = await machine.start();
  const client = await server.client();
  await admin(client, 'CREATE');
  for (let i = 0; i < 100; i += 1) await client.set(`k:${i}`, 'x');
  await server.kill9();
  machine.synced.absorb();
  await machine.cutPower(await machine.start());
  const again = await machine.start();
  const after = await again.client();
  t.equal(await after.dbsize(), 100);
  await requireNoHole(t, after);
  await again.stop();
});
