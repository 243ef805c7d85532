/**
 * Writers while file operations in the data directory fail, once or for good: a write is acknowledged when it is safe, and
 * nothing that was is lost, neither when writes go on nor by a kill. A sync that fails loses the bytes that it was for.
 */
import { mkdirSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import t, { type Test } from 'tap';
import { Random } from '../property/support/random.js';
import { admin } from '../support/admin.js';
import { type Server, startServer } from '../support/built-server.js';
import { changing, type FailingFiles, failingFiles, kinds } from '../support/failing-files.js';
import { night } from '../support/night.js';
import { scratch } from '../support/scratch.js';
import { waitFor } from '../support/wait.js';

const { seed } = night(0);
const random = new Random(seed);
const WRITERS = 3;

/** Each writer's last number: acknowledged, and the one that was under way when it was refused. */
interface Count {
  acknowledged: number;
  tried: number;
}

for (const durability of ['always', 'everysec', 'no'] as const) {
  t.test(
    `A2, R12: writers with durability ${durability} while writes, syncs and renames of the data fail`,
    async (t) => {
      t.comment(`CAIRN_SEED=${seed}`);
      const dir = join(scratch(t), 'data');
      mkdirSync(dir, { mode: 0o700 });
      const files = failingFiles(t, dir);
      const args = ['--set', 'write_buffer_size=1mb', '--set', `durability=${durability}`];
      const start = () => startServer(t, { dir, args, env: files.env });
      const counts = Array.from({ length: WRITERS }, (): Count => ({ acknowledged: 0, tried: 0 }));
      let server = await start();
      const outcomes: Outcome[] = [];
      const { goesOn } = night(4);
      do {
        const outcome = await round(t, server, files, counts, durability === 'everysec' ? 1500 : 0);
        outcomes.push(outcome);
        await server.kill9();
        server = await start();
        const what = `after kill -9, round ${outcomes.length}, CAIRN_SEED=${seed}`;
        await requireAll(t, await server.client(), counts, what, outcome === 'lost');
      } while (goesOn());
      t.comment(`rounds: ${outcomes.join(', ')}`);
      if (durability === 'always')
        t.notOk(outcomes.includes('lost'), 'what is synced before it is acknowledged is not lost');
      t.match(await admin(await server.client(), 'CREATE', 'VERIFY'), { status: 'complete' });
      await server.stop();
    },
  );
}

t.test(
  'A2, B8: what the disk took and then failed to sync is said to be lost, and is on no line that goes on',
  async (t) => {
    const dir = join(scratch(t), 'data');
    mkdirSync(dir, { mode: 0o700 });
    const files = failingFiles(t, dir);
    const server = await startServer(t, { dir, env: files.env });
    const client = await server.client();
    const count: Count = { acknowledged: 0, tried: 0 };
    files.arm(kinds.sync);
    for (let nth = 0; nth < 50; nth += 1) await transact(client, 0, count, 20);
    await waitFor(async () => (await admin(client, 'STATUS')).archive_lag_commits === 0, {
      what: 'the archive to have it',
    });
    const durable = count.acknowledged;
    // Or the sync that fails, once a second, may come before there is anything to lose.
    t.equal(await transact(client, 0, count, 20), null);
    files.arm(kinds.sync, 1, { forGood: true });
    let said: string | null = null;
    while (said === null) said = await transact(client, 0, count, 20);
    t.match(said, /^(MISCONF writes are refused after a storage error: .*Input\/output error|EXECABORT )/);
    const { last } = files.disarm();
    t.match(last, /\.log$/);
    const lost = {
      message: /^MISCONF the storage still refuses writes: .* ends at sequence \d+, and was at \d+: the disk lost what/,
    };
    await t.rejects(client.call('ADMIN.READONLY', 'OFF'), lost);
    await t.rejects(client.call('ADMIN.READONLY', 'OFF'), lost, 'asked again');
    await t.rejects(client.get('left:0'), { message: /^MISCONF .*Restart the server/ });
    await server.kill9();
    const again = await startServer(t, { dir, env: files.env });
    const after = await again.client();
    const [left, right] = await after.mget('left:0', 'right:0');
    t.ok(left === right, 'the transaction is whole');
    const found = Number(left?.split(':')[0]);
    t.ok(
      found >= durable && found < count.acknowledged,
      `${found}: ${durable} were durable, ${count.acknowledged} acknowledged`,
    );
    t.equal(await after.set('after', '1'), 'OK');
    t.match(await admin(after, 'CREATE', 'VERIFY'), { status: 'complete' });
    const verdicts = await admin<{ status: string }[]>(after, 'VERIFY', 'ALL', 'FULL');
    t.same([...new Set(verdicts.map(({ status }) => status))], ['VALID']);
    await again.stop();
  },
);

/** Writers went on; were stopped and went on; or the disk lost what it had taken and not synced, and the server said so. */
type Outcome = 'on' | 'stopped' | 'lost';

async function round(
  t: Test,
  server: Server,
  files: FailingFiles,
  counts: Count[],
  atLeastMs: number,
): Promise<Outcome> {
  const clients = await Promise.all(counts.map(() => server.client()));
  const which = random.pick([changing, kinds.sync, kinds.write, kinds.make | kinds.rename, kinds.remove]);
  const errno = random.pick(['EIO', 'ENOSPC'] as const);
  const at = 1 + random.int(random.pick([5, 80]));
  const forGood = random.once(2);
  const what = () =>
    `kinds ${which}, operation ${at}${forGood ? ' and all after it' : ''}, ${errno}, CAIRN_SEED=${seed}`;
  files.arm(which, at, { errno: constants.errno[errno], forGood });
  const said = await Promise.all(
    clients.map((client, writer) => write(client, writer, counts[writer] as Count, atLeastMs)),
  );
  const { failed, last } = files.disarm();
  const refusals = said.filter((text) => text !== null);
  t.comment(`${what()}: ${failed} failed (${last}); ${refusals[0] ?? 'all went on'}`);
  for (const text of refusals) t.match(text, /^(MISCONF|EXECABORT) .{20}/, what());
  const [client] = clients as [Redis];
  await requireAll(t, client, counts, `before writes go on: ${what()}`);
  if (refusals.length === 0) return 'on';
  t.ok(failed > 0, `they were refused because of it: ${what()}`);
  let lost = false;
  const off = () =>
    client.call('ADMIN.READONLY', 'OFF').then(
      () => true,
      ({ message }: Error) => {
        lost = /^MISCONF the storage still refuses writes: .* the disk lost what it failed to sync/.test(message);
        return lost;
      },
    );
  await waitFor(off, { what: `writes that go on, ${what()}`, timeoutMs: 20_000 });
  if (lost) return 'lost';
  const writer = counts[0] as Count;
  for (let nth = 0; nth < 3; nth += 1) t.equal(await transact(client, 0, writer), null, what());
  await requireAll(t, client, counts, `after writes went on: ${what()}`);
  return 'stopped';
}

/** A hundred transactions with room for a flush or two, and so long that there is a sync of the log; or fewer: then why. */
async function write(client: Redis, writer: number, count: Count, atLeastMs: number): Promise<string | null> {
  const begun = performance.now();
  for (let nth = 0; nth < 100 || performance.now() - begun < atLeastMs; nth += 1) {
    const said = await transact(client, writer, count);
    if (said !== null) return said;
  }
  return null;
}

/** One commit, both keys or neither; null, or why not. */
async function transact(client: Redis, writer: number, count: Count, upTo = 20_000): Promise<string | null> {
  const next = count.tried + 1;
  count.tried = next;
  const value = `${next}:${'x'.repeat(random.int(upTo))}`;
  try {
    await client.multi().set(`left:${writer}`, value).set(`right:${writer}`, value).exec();
  } catch (error) {
    return (error as Error).message;
  }
  count.acknowledged = next;
  return null;
}

/**
 * What was under way when a writer was refused may be there too; what is found counts as acknowledged from then on. `lost`: less
 * may be there, but every transaction whole.
 */
async function requireAll(t: Test, client: Redis, counts: Count[], what: string, lost = false): Promise<void> {
  for (const [writer, count] of counts.entries()) {
    const [left, right] = await client.mget(`left:${writer}`, `right:${writer}`);
    t.ok(left === right, `the transaction is whole: ${what}`);
    const found = Number(left?.split(':')[0] ?? 0);
    const good = found === count.acknowledged || found === count.tried || (lost && found < count.acknowledged);
    t.ok(good, `${found} of ${count.acknowledged}, ${what}`);
    count.acknowledged = found;
  }
}
