/**
 * Operations that run: what ASYNC, WAIT, STATUS and CANCEL say of them, what may run beside what, and what is left of
 * one that was stopped. Each is held at a fault point, so that nothing here depends on how fast it is.
 */
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import t, { type Test } from 'tap';
import type { FaultPointName } from '../../src/base/fault-points.js';
import { admin, list } from '../support/admin.js';
import { type Server, startServer, withoutArchive } from '../support/built-server.js';
import { type Pause, pauseAt } from '../support/pause.js';
import { objectKeys } from '../support/repository-files.js';
import { scratch } from '../support/scratch.js';
import { waitFor } from '../support/wait.js';

interface Held {
  server: Server;
  client: Redis;
  pause: Pause;
}

const createPoints: readonly FaultPointName[] = ['checkpoint-made', 'file-copied', 'manifest-written'];

async function fill(client: Redis): Promise<void> {
  for (let i = 0; i < 50; i += 1) await client.set(`key:${i}`, `value:${i}`);
}

/** A server that holds the first operation which reaches the point after `prepare`. */
async function held(t: Test, point: FaultPointName, prepare?: (client: Redis) => Promise<unknown>): Promise<Held> {
  const pause = pauseAt(t, point);
  const dir = scratch(t);
  // What prepares may create: where that would be held, a server that holds nothing does it.
  const before = prepare !== undefined && createPoints.includes(point);
  if (before) {
    const first = await startServer(t, { dir, args: withoutArchive });
    const client = await first.client();
    await fill(client);
    await prepare(client);
    await first.stop();
  }
  const server = await startServer(t, { dir, args: withoutArchive, env: pause.env });
  const client = await server.client();
  if (!before) {
    await fill(client);
    await prepare?.(client);
  }
  return { server, client, pause };
}

/** Starts a call on a connection of its own; resolves when the server has it, with how it ends as `ending`. */
async function begin(
  server: Server,
  client: Redis,
  ...words: (string | number)[]
): Promise<{ ending: Promise<unknown> }> {
  const own = await server.client();
  const ending = admin(own, ...words);
  ending.catch(() => {}); // looked at later
  // What was sent before two round trips of another connection has been read.
  await client.ping();
  await client.ping();
  return { ending };
}

const leftovers = (dir: string): string[] =>
  readdirSync(dir).flatMap((name) => {
    if (name === 'staging' || name === 'scratch') return readdirSync(join(dir, name)).map((each) => `${name}/${each}`);
    if (name === 'restores') return readdirSync(join(dir, name)).filter((each) => each.startsWith('.'));
    return name.endsWith('.building') ? [name] : [];
  });

t.test(
  'CREATE ASYNC answers at once; STATUS, LIST STATUS running and INFO show it; WAIT answers as CREATE would',
  async (t) => {
    const { server, client, pause } = await held(t, 'checkpoint-made');
    const begun = await admin<{ id: number }>(client, 'CREATE', 'LABEL', 'held', 'ASYNC');
    await pause.reached();
    t.match(begun, {
      id: 1,
      type: 'full',
      status: 'running',
      label: 'held',
      timestamp: null,
      size: null,
      pruned: [],
    });
    t.match(await admin(client, 'STATUS'), {
      state: 'running',
      operation: 'create',
      id: 1,
      last_status: 'none',
    });
    t.match(await admin(client, 'STATUS', 1), {
      state: 'running',
      operation: 'create',
      id: 1,
    });
    t.same((await list(client)).backups, [], 'not among the complete ones');
    t.match(await list(client, 'STATUS', 'running'), {
      backups: [{ id: 1, status: 'running', label: 'held' }],
      latest: null,
    });
    t.match(await list(client, 'STATUS', 'all'), { total: 1 });
    t.match(await client.info('backup'), /backup_in_progress:1\r\nbackup_operation:create\r\n/);
    t.match(await client.info('persistence'), /rdb_bgsave_in_progress:1\r\n/);
    await t.rejects(client.call('ADMIN.BACKUP', 'INFO', '1'), {
      message: /^BACKUPNOTFOUND /,
    });
    await t.rejects(client.call('ADMIN.BACKUP', 'WAIT', '1', '50ms'), {
      message: /^BACKUPBUSY create of backup 1 still runs/,
    });
    await client.set('written', 'meanwhile');

    const waiters = [1, 2].map(async () => admin(await server.client(), 'WAIT', 1));
    pause.release();
    for (const waited of await Promise.all(waiters)) {
      t.match(waited, {
        id: 1,
        status: 'complete',
        label: 'held',
        pruned: [],
        promoted: null,
      });
    }
    t.match(await admin(client, 'STATUS'), {
      state: 'idle',
      operation: null,
      last_operation: 'create',
      last_success_id: 1,
    });
    t.match(await admin(client, 'WAIT', 1, '1s'), { id: 1, status: 'complete' }, 'also afterwards');
    await server.stop();
    const again = await startServer(t, { dir: server.dir });
    const later = await again.client();
    t.match(await admin(later, 'STATUS', 1), {
      state: 'idle',
      last_operation: 'create',
      last_id: 1,
      last_status: 'ok',
    });
    t.match(await admin(later, 'WAIT', 1), { id: 1, status: 'complete' }, 'and after a restart');
    await again.stop();
  },
);

for (const point of ['checkpoint-made', 'file-copied', 'manifest-written'] as const) {
  t.test(`A17: CANCEL of a create at ${point}: nothing is listed and nothing is left`, async (t) => {
    const { server, client, pause } = await held(t, point);
    await admin(client, 'CREATE', 'ASYNC');
    await pause.reached();
    const { ending: waited } = await begin(server, client, 'WAIT', 1);
    const { ending: cancelled } = await begin(server, client, 'CANCEL', 1);
    if (point === 'manifest-written') {
      // From here on only the outcome counts: what is about to get its name cannot be called back.
      await t.rejects(cancelled, {
        message: /^BACKUPINUSE .*can no longer be cancelled/,
      });
      pause.release();
      t.match(await waited, { id: 1, status: 'complete' });
      await server.stop();
      return;
    }
    pause.release();
    t.match(await cancelled, { operation: 'create', id: 1 });
    await t.rejects(waited, {
      message: /^CANCELLED create of backup 1 was cancelled/,
    });
    t.match(await admin(client, 'STATUS'), {
      state: 'idle',
      last_status: 'cancelled',
      last_failure_id: 1,
    });
    t.match(await list(client, 'STATUS', 'all'), {
      backups: [],
      latest: null,
    });
    t.match(await client.info('backup'), /backup_last_status:err\r\nbackup_last_error:CANCELLED /);
    t.same(leftovers(server.dir), []);
    const repository = join(server.dir, 'backups');
    t.same(
      [...objectKeys(repository, 'files'), ...objectKeys(repository, 'states'), ...objectKeys(repository, '.tmp')],
      [],
    );
    t.match(await admin(client, 'CREATE'), { id: 2, status: 'complete' });
    await server.stop();
  });
}

t.test('A17: CANCEL of a VERIFY DEEP leaves no scratch and no verdict', async (t) => {
  const { server, client, pause } = await held(t, 'files-staged', (client) => admin(client, 'CREATE'));
  t.match(await admin(client, 'VERIFY', 1, 'DEEP', 'ASYNC'), {
    id: 1,
    mode: 'DEEP',
    status: 'running',
    bytes: null,
  });
  await pause.reached();
  t.match(await admin(client, 'STATUS', 1), {
    state: 'running',
    operation: 'verify',
    phase: 'copy',
  });
  const { ending: cancelled } = await begin(server, client, 'CANCEL', 1);
  pause.release();
  t.match(await cancelled, { operation: 'verify', id: 1 });
  await t.rejects(client.call('ADMIN.BACKUP', 'WAIT', '1'), {
    message: /^CANCELLED verify of backup 1/,
  });
  t.match(await admin(client, 'INFO', 1), {
    status: 'complete',
    verify_status: 'never',
    verifications: [],
  });
  t.same(leftovers(server.dir), []);
  t.match(await admin(client, 'VERIFY', 1, 'DEEP'), { status: 'VALID' });
  await server.stop();
});

for (const point of ['files-staged', 'replayed', 'proven'] as const) {
  t.test(`A17: CANCEL of a restore in place at ${point}: the live data serves on, nothing is left`, async (t) => {
    const { server, client, pause } = await held(t, point, (client) => admin(client, 'CREATE'));
    await client.set('after', 'the backup');
    t.match(await admin(client, 'RESTORE', 1, 'ASYNC'), {
      id: 1,
      target: 'in-place',
      status: 'running',
      sequence: null,
    });
    await pause.reached();
    t.equal(await client.get('after'), 'the backup', 'data is served meanwhile');
    const { ending: cancelled } = await begin(server, client, 'CANCEL');
    pause.release();
    t.match(await cancelled, { operation: 'restore', id: 1 });
    t.equal(await client.get('after'), 'the backup');
    t.same(
      readdirSync(server.dir).filter((name) => name.startsWith('db-')),
      ['db-000001'],
    );
    t.same(leftovers(server.dir), []);
    t.match(await admin(client, 'STATUS', 1), {
      last_operation: 'restore',
      last_status: 'cancelled',
    });
    t.match(await admin(client, 'RESTORE', 1), { timeline: 1 });
    t.equal(await client.get('after'), null);
    await server.stop();
  });
}

t.test('a restore past its swap says that it can no longer be cancelled, and ends well', async (t) => {
  const { server, client, pause } = await held(t, 'reopened', (client) => admin(client, 'CREATE'));
  await client.set('after', 'the backup');
  await admin(client, 'RESTORE', 1, 'ASYNC');
  await pause.reached();
  await t.rejects(client.call('ADMIN.BACKUP', 'CANCEL'), {
    message: /^BACKUPINUSE restore of backup 1 can no longer/,
  });
  await t.rejects(client.call('ADMIN.BACKUP', 'DELETE', '1', 'FORCE'), {
    message: /^BACKUP(BUSY|INUSE) .*restore/,
  });
  pause.release();
  t.match(await admin(client, 'WAIT', 1), {
    id: 1,
    target: 'in-place',
    timeline_new: 2,
  });
  t.equal(await client.get('after'), null);
  await server.stop();
});

t.test('A17: CANCEL of RESTORE TO leaves no directory', async (t) => {
  const { server, client, pause } = await held(t, 'proven', (client) => admin(client, 'CREATE'));
  t.match(await admin(client, 'RESTORE', 1, 'TO', 'drill', 'ASYNC'), {
    target: 'drill',
    status: 'running',
  });
  await pause.reached();
  const { ending: cancelled } = await begin(server, client, 'CANCEL', 1);
  pause.release();
  await cancelled;
  t.same(readdirSync(join(server.dir, 'restores')), []);
  t.match(await admin(client, 'RESTORE', 1, 'TO', 'drill'), {
    target: join(server.dir, 'restores', 'drill'),
  });
  await server.stop();
});

t.test(
  'A8, A9, E5: one exclusive operation at a time, the second is told at once; VERIFY and RESTORE TO run beside it',
  async (t) => {
    const { server, client, pause } = await held(t, 'checkpoint-made', async (client) => {
      await admin(client, 'CREATE');
      await admin(client, 'CREATE');
    });
    await admin(client, 'CREATE', 'ASYNC');
    await pause.reached();
    const busy = {
      message: /^BACKUPBUSY create of backup 3 is running since .*(WAIT 3|CANCEL 3)/,
    };
    await t.rejects(client.call('ADMIN.BACKUP', 'CREATE'), busy);
    await t.rejects(client.call('ADMIN.BACKUP', 'CREATE', 'ASYNC'), busy);
    await t.rejects(client.call('ADMIN.BACKUP', 'RESTORE', '1'), busy);
    await t.rejects(client.call('ADMIN.BACKUP', 'RESTORE', 'PREVIOUS'), busy);
    await t.rejects(client.call('ADMIN.BACKUP', 'DELETE', '1'), busy);
    await t.rejects(client.call('ADMIN.BACKUP', 'PRUNE', 'MAXCOUNT', '1'), busy);
    await t.rejects(client.call('SAVE'), {
      message: /^ERR Background save already in progress$/,
    });
    await t.rejects(client.call('BGSAVE'), {
      message: /^ERR Background save already in progress$/,
    });
    t.match(await admin(client, 'VERIFY', 1, 'DEEP'), { status: 'VALID' }, 'VERIFY runs beside a create');
    t.equal((await admin<unknown[]>(client, 'VERIFY', 'ALL')).length, 2);
    t.match(await admin(client, 'RESTORE', 1, 'TO', 'beside'), { id: 1 });
    t.match(await admin(client, 'RESTORE', 1, 'DRYRUN'), {
      id: 1,
      target: 'in-place',
    });
    t.match(await admin(client, 'PRUNE', 'MAXCOUNT', 1, 'DRYRUN'), {
      deleted: [1],
      dry_run: 1,
    });
    t.same(
      (await list(client)).backups.map(({ id }) => id),
      [2, 1],
      'reading commands answer',
    );
    t.equal(await client.call('ADMIN.BACKUP', 'PIN', '1'), 'OK');
    pause.release();
    t.match(await admin(client, 'WAIT', 3), { status: 'complete' });
    await server.stop();
  },
);

t.test(
  'C16: CREATE does not wait for a VERIFY or a RESTORE TO, and a backup in use is not deleted or pruned',
  async (t) => {
    const { server, client, pause } = await held(t, 'files-staged', async (client) => {
      await admin(client, 'CREATE');
    });
    await admin(client, 'RESTORE', 1, 'TO', 'held', 'ASYNC');
    await pause.reached();
    t.match(await admin(client, 'CREATE'), { id: 2, status: 'complete' });
    await t.rejects(client.call('ADMIN.BACKUP', 'DELETE', '1'), {
      message: /^BACKUPINUSE backup 1 cannot be deleted: restore of backup 1 is running/,
    });
    t.match(await admin(client, 'PRUNE', 'MAXCOUNT', 1), {
      deleted: [],
      reasons: [{ id: 2 }, { id: 1, reason: 'in_use' }],
    });
    await client.call('CONFIG', 'SET', 'backup.retention.max_count', '1');
    t.match(await admin(client, 'CREATE'), { id: 3, pruned: [2] });
    pause.release();
    t.match(await admin(client, 'WAIT', 1), {
      id: 1,
      target: join(server.dir, 'restores', 'held'),
    });
    await server.stop();
  },
);

t.test('a client that disconnects does not stop its operation', async (t) => {
  const { server, client, pause } = await held(t, 'checkpoint-made');
  const leaving = await server.client();
  leaving.call('ADMIN.BACKUP', 'CREATE', 'LABEL', 'orphan').catch(() => {});
  await pause.reached();
  const gone = once(leaving, 'end');
  leaving.disconnect();
  await gone;
  t.match(await admin(client, 'STATUS'), {
    state: 'running',
    operation: 'create',
  });
  pause.release();
  t.match(await admin(client, 'WAIT', 1), {
    status: 'complete',
    label: 'orphan',
  });
  await server.stop();
});

for (const [operation, point, words] of [
  ['create', 'checkpoint-made', ['CREATE']],
  ['create', 'file-copied', ['CREATE']],
  ['verify', 'files-staged', ['VERIFY', '1', 'DEEP']],
  ['restore', 'replayed', ['RESTORE', '1']],
  ['restore-to', 'files-staged', ['RESTORE', '1', 'TO', 'drill']],
] as [string, FaultPointName, string[]][]) {
  t.test(
    `A17: a stop during a ${operation} at ${point} cancels it, ends with 0 and leaves nothing half-made`,
    async (t) => {
      const { server, client, pause } = await held(t, point, (client) => admin(client, 'CREATE'));
      await client.set('after', '1');
      const answered = client.call('ADMIN.BACKUP', ...words).then(
        () => 'an answer',
        (error: Error) => error.message,
      );
      await pause.reached();
      const ended = server.stop();
      await waitFor(() => /stopping/.test(server.stderr()), {
        what: 'the stop to begin',
      });
      pause.release();
      t.same(await ended, { code: 0, signal: null });
      t.match(await answered, /^CANCELLED |closed/);
      const again = await startServer(t, { dir: server.dir });
      const later = await again.client();
      t.equal(await later.get('after'), '1');
      t.match(await list(later, 'STATUS', 'all'), {
        backups: [{ id: 1, status: 'complete' }],
        total: 1,
      });
      t.match(await admin(later, 'STATUS'), { last_status: 'cancelled' });
      t.same(leftovers(again.dir), []);
      t.match(await admin(later, 'CREATE'), { status: 'complete' });
      t.same(await again.stop(), { code: 0, signal: null });
    },
  );
}

t.test('A17: a stop during a swap waits for it: the new state is served by the next start', async (t) => {
  const { server, client, pause } = await held(t, 'pointer-written', (client) => admin(client, 'CREATE'));
  await client.set('after', '1');
  client.call('ADMIN.BACKUP', 'RESTORE', '1').catch(() => {});
  await pause.reached();
  const ended = server.stop();
  await waitFor(() => /stopping/.test(server.stderr()), {
    what: 'the stop to begin',
  });
  pause.release();
  t.same(await ended, { code: 0, signal: null });
  const again = await startServer(t, { dir: server.dir });
  t.equal(await (await again.client()).get('after'), null);
  t.match(await admin(await again.client(), 'STATUS'), {
    last_operation: 'restore',
    last_status: 'ok',
  });
  await again.stop();
});
