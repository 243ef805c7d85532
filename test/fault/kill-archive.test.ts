/**
 * SIGKILL while commits are archived, cut, merged and replayed. Afterwards the archive goes on where it was, without a hole
 * and with nothing twice: every moment that was acknowledged is there, to the microsecond.
 */
import { readdir } from 'node:fs/promises';
import type { Redis } from 'ioredis';
import t, { type Test } from 'tap';
import { admin } from '../support/admin.js';
import { type Server, startServer } from '../support/built-server.js';
import { scratch } from '../support/scratch.js';

interface Tag {
  timestamp: string;
  sequence: number;
  value: string;
}

/** Acknowledged writes of `n`, each with the moment after it. Ends early when the server dies. */
async function count(client: Redis, from: number, to: number, moments: Tag[]): Promise<boolean> {
  for (let i = from; i <= to; i += 1) {
    try {
      await client.set('n', String(i));
      const { timestamp, sequence } = await admin<Tag>(client, 'TAG', `after ${i}`);
      moments.push({ timestamp, sequence, value: String(i) });
    } catch {
      return false;
    }
  }
  return true;
}

async function check(t: Test, server: Server, moments: readonly Tag[], timeline: number): Promise<void> {
  const client = await server.client();
  const { windows } = await admin<{ windows: { timeline: number; gaps: unknown[] }[] }>(client, 'WINDOW');
  t.same(windows.find((window) => window.timeline === timeline)?.gaps, [], 'no hole');
  await admin(client, 'VERIFY', 'ALL', 'FULL');
  const step = Math.max(1, Math.floor(moments.length / 6));
  for (const [i, { timestamp, sequence, value }] of moments.entries()) {
    if (i % step !== 0 && i !== moments.length - 1) continue;
    await admin(client, 'RESTORE', 'LATEST', 'AT', timestamp, 'TIMELINE', timeline);
    t.equal(await client.get('n'), value, `at ${timestamp}`);
    await admin(client, 'RESTORE', 'LATEST', 'SEQ', sequence, 'TIMELINE', timeline);
    t.equal(await client.get('n'), value, `sequence ${sequence}`);
  }
}

const always = ['--set', 'durability=always'];

for (const spec of ['segment-written=kill:3', 'segment-renamed=kill:3', 'merged-renamed=kill', 'parts-removed=kill']) {
  t.test(`B8, A1: killed at ${spec} of archiving, nothing acknowledged is lost and nothing is twice`, async (t) => {
    const dir = scratch(t);
    const first = await startServer(t, { dir, args: always });
    const before = await first.client();
    await before.set('n', '0');
    await admin(before, 'CREATE');
    const moments: Tag[] = [];
    await count(before, 1, 20, moments);
    await first.kill9();

    const armed = await startServer(t, { dir, args: always, env: { CAIRN_FAULT_POINTS: spec } });
    const client = await armed.client();
    t.notOk(await count(client, 21, 200, moments), 'the connection breaks');
    t.equal((await armed.process.ended).signal, 'SIGKILL');

    const again = await startServer(t, { dir, args: always });
    const after = await again.client();
    const last = Number(moments.at(-1)?.value);
    const now = Number(await after.get('n'));
    t.ok(now === last || now === last + 1, `${now} after ${last} was acknowledged`);
    await count(after, now + 1, now + 5, moments);
    await check(t, again, moments, 1);
    await again.stop();
  });
}

for (const spec of ['manifest-written=kill', 'manifest-renamed=kill', 'segment-written=kill']) {
  t.test(
    `A1: killed at ${spec} of CREATE INCREMENTAL, it is complete or not there, and the chain goes on`,
    async (t) => {
      const dir = scratch(t);
      const args = [...always, '--set', 'backup.wal.interval=1h'];
      const first = await startServer(t, { dir, args });
      const before = await first.client();
      await before.set('n', '0');
      await admin(before, 'CREATE');
      await first.stop();
      const armed = await startServer(t, { dir, args, env: { CAIRN_FAULT_POINTS: spec } });
      const client = await armed.client();
      await client.set('n', '1');
      await t.rejects(client.call('ADMIN.BACKUP', 'CREATE', 'INCREMENTAL'), 'the connection breaks');
      t.equal((await armed.process.ended).signal, 'SIGKILL');

      const again = await startServer(t, { dir, args });
      const after = await again.client();
      t.equal(await after.get('n'), '1');
      const { total } = await admin<{ total: number }>(after, 'LIST');
      t.equal(total, spec.startsWith('manifest-renamed') ? 2 : 1);
      await after.set('n', '2');
      const next = await admin<{ id: number; type: string }>(after, 'CREATE', 'INCREMENTAL', 'STRICT');
      t.match(next, { id: 3, type: 'incremental' });
      await admin(after, 'VERIFY', 'ALL', 'DEEP');
      await after.set('n', '3');
      await admin(after, 'RESTORE', 3);
      t.equal(await after.get('n'), '2');
      await again.stop();
    },
  );
}

for (const [spec, isNew] of [
  ['segment-replayed=kill', false],
  ['replayed=kill', false],
  ['proven=kill', false],
  ['timeline-recorded=kill', false],
  ['pointer-written=kill', true],
  ['reopened=kill', true],
] as const) {
  t.test(
    `C2, C19: killed at ${spec} of a recovery to a moment, the ${isNew ? 'new' : 'old'} state is served whole`,
    async (t) => {
      const dir = scratch(t);
      const first = await startServer(t, { dir, args: always });
      const before = await first.client();
      await before.set('n', '0');
      await admin(before, 'CREATE');
      const moments: Tag[] = [];
      await count(before, 1, 9, moments);
      await first.stop();
      const armed = await startServer(t, { dir, args: always, env: { CAIRN_FAULT_POINTS: spec } });
      const client = await armed.client();
      const target = moments[4] as Tag;
      await t.rejects(
        client.call('ADMIN.BACKUP', 'RESTORE', 'LATEST', 'AT', target.timestamp),
        'the connection breaks',
      );
      t.equal((await armed.process.ended).signal, 'SIGKILL');

      const again = await startServer(t, { dir, args: always });
      const after = await again.client();
      t.equal(await after.get('n'), isNew ? target.value : '9');
      const left = (await readdir(dir)).filter((name) => name.startsWith('db-')).sort();
      t.same(left, isNew ? ['db-000001', 'db-000002'] : ['db-000001'], 'what was half-built is gone');
      const { windows } = await admin<{ windows: { timeline: number; current: number }[] }>(after, 'WINDOW');
      t.same(
        windows.map(({ timeline, current }) => [timeline, current]),
        isNew
          ? [
              [1, 0],
              [2, 1],
            ]
          : [[1, 1]],
        'a line that never began is on no record',
      );
      await check(t, again, moments, 1);
      await again.stop();
    },
  );
}

t.test('a stop under load archives to the end, and the next start goes on without a hole', async (t) => {
  const dir = scratch(t);
  const first = await startServer(t, { dir });
  const client = await first.client();
  await client.set('n', '0');
  await admin(client, 'CREATE');
  for (let round = 0; round < 3; round += 1) {
    const server = round === 0 ? first : await startServer(t, { dir });
    const writer = await server.client();
    const writes = Array.from({ length: 3000 }, (_, i) => writer.set(`k:${round}:${i}`, 'x'.repeat(100)));
    await Promise.all(writes);
    t.equal((await server.stop()).code, 0);
  }
  const last = await startServer(t, { dir });
  const after = await last.client();
  const { windows } = await admin<{ windows: { gaps: unknown[] }[] }>(after, 'WINDOW');
  t.same(
    windows.map(({ gaps }) => gaps),
    [[]],
  );
  t.match(await admin(after, 'STATUS'), {
    archive_lag_commits: 0,
    archive_lag_ms: 0,
    archive_lag_bytes: 0,
    archive_error: null,
  });
  t.match(await admin(after, 'RESTORE', 'LATEST', 'SEQ', 1, 'DRYRUN').catch((error: Error) => error), {
    message: /^PITRRANGE /,
  });
  await last.stop();
});
