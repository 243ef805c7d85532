/**
 * A disk that fills up at every step of every operation: how much is left free goes from nothing to what the operation needs, so
 * that it meets the end of the disk at another moment each time. Repository and data lie on the same small file system.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import t, { type Test } from 'tap';
import { admin, dump, list, sameContent } from '../support/admin.js';
import { type Server, startServer } from '../support/built-server.js';
import { unreferencedFiles } from '../support/repository-files.js';
import { randomOf } from '../support/seeded.js';
import { cannotMount, type SmallDisk, smallDisk } from '../support/small-disk.js';

const skip = cannotMount;
const KB = 1 << 10;
const MB = 1 << 20;
const seed = Number(process.env.CAIRN_SEED ?? Math.floor(Math.random() * 1e9));

type Content = Map<string, string | null>;

interface Scene {
  disk: SmallDisk;
  dir: string;
  repository: string;
  server: Server;
  client: Redis;
  /** What is live. */
  content: Content;
  /** What each backup promises, where a restore is to be compared with it. */
  promised: Map<number, Content>;
  /** What RESTORE TO has answered for. */
  restored: string[];
  tags: string[];
  calls: number;
}

interface Case {
  operation: string;
  /** Free at the last step, which has to succeed. */
  spanBytes: number;
  /** What is said; made anew for each call. */
  words: (scene: Scene) => string[];
  succeeded?: (scene: Scene, words: string[]) => Promise<void> | void;
  /** It needs no room: it works at every step. */
  always?: boolean;
}

const cases: Case[] = [
  { operation: 'CREATE FULL', spanBytes: 7 * MB, words: () => ['CREATE', 'FULL'] },
  { operation: 'CREATE INCREMENTAL', spanBytes: 3 * MB, words: () => ['CREATE', 'INCREMENTAL'] },
  {
    operation: 'TAG',
    spanBytes: 2 * MB,
    words: ({ calls }) => ['TAG', `tag-${calls}`],
    succeeded: ({ tags }, words) => void tags.push(words[1] ?? ''),
  },
  {
    operation: 'RESTORE TO',
    spanBytes: 12 * MB,
    words: ({ calls }) => ['RESTORE', '1', 'TO', `to-${calls}`],
    succeeded: ({ restored }, words) => void restored.push(words[3] ?? ''),
  },
  {
    operation: 'RESTORE in place',
    spanBytes: 12 * MB,
    words: () => ['RESTORE', '1'],
    succeeded: (scene) => {
      scene.content = new Map(scene.promised.get(1));
    },
  },
  { operation: 'VERIFY DEEP', spanBytes: 12 * MB, words: () => ['VERIFY', '1', 'DEEP'] },
  {
    operation: 'DELETE',
    spanBytes: MB,
    words: () => ['DELETE', '2'],
    always: true,
  },
  { operation: 'PRUNE', spanBytes: MB, words: () => ['PRUNE', 'MAXCOUNT', '1'], always: true },
];

for (const one of cases) {
  t.test(
    `A2, A3, C3: ${one.operation} with any room left succeeds or says NOSPACE, harms nothing, and works once there is room`,
    { skip },
    (t) => sweep(t, one),
  );
}

/** From nothing to the span, finer near the beginning; every run meets other bytes. */
function steps(spanBytes: number, random: () => number): number[] {
  const fractions = [1 / 200, 1 / 24, 1 / 4];
  const between = fractions.map((fraction) => Math.round(fraction * spanBytes * (0.6 + 0.8 * random())));
  return [0, ...between, spanBytes];
}

async function sweep(t: Test, one: Case): Promise<void> {
  t.comment(`CAIRN_SEED=${seed}`);
  const random = randomOf(seed);
  const scene = await begin(t);
  const outcomes: string[] = [];
  for (const freeBytes of steps(one.spanBytes, random)) {
    const at = `${one.operation}, ${freeBytes} bytes free, CAIRN_SEED=${seed}`;
    await prepare(scene, one);
    scene.disk.fillUpTo(freeBytes);
    const said = await call(scene, one);
    outcomes.push(said);
    t.match(said, /^(OK|NOSPACE .*\b(bytes|free)\b.*|MISCONF .*)$/, at);
    await requireUnharmed(t, scene, at);
    scene.disk.free();
    await resume(t, scene.client, at);
    if (said !== 'OK') {
      t.equal(await call(scene, one), 'OK', `once there is room: ${at}`);
      await requireUnharmed(t, scene, `after it worked: ${at}`);
    }
  }
  t.equal(outcomes.at(-1), 'OK', 'the last step has enough room');
  if (one.always === true) t.same([...new Set(outcomes)], ['OK'], 'what frees room needs none');
  // A document of a few hundred bytes may still find a page that the server itself just gave back.
  else if (one.spanBytes > 4 * MB) t.not(outcomes[0], 'OK', 'the first has none');
  await requireClean(t, scene);
}

async function begin(t: Test): Promise<Scene> {
  const disk = smallDisk(t, 96);
  const dir = join(disk.path, 'data');
  mkdirSync(dir);
  const args = ['--set', 'write_buffer_size=1mb', '--set', 'restore.keep_previous=1s'];
  const server = await startServer(t, { dir, args });
  const client = await server.client();
  const scene: Scene = {
    ...{ disk, dir, server, client, repository: join(dir, 'backups') },
    ...{ content: new Map(), promised: new Map(), restored: [], tags: [], calls: 0 },
  };
  await write(scene, 'first', 2 * MB);
  await admin(client, 'CREATE', 'FULL', 'PIN');
  scene.promised.set(1, new Map(scene.content));
  return scene;
}

/** Every step has something new to keep: bytes that no compression makes smaller. */
async function prepare(scene: Scene, { operation }: Case): Promise<void> {
  scene.calls += 1;
  await write(scene, `step:${scene.calls % 4}`, 200 * KB);
  if (operation !== 'DELETE' && operation !== 'PRUNE') return;
  await admin(scene.client, 'CREATE', 'FULL');
  await write(scene, `step:${scene.calls % 4}`, 20 * KB);
  await admin(scene.client, 'CREATE', 'FULL');
}

async function write({ client, content }: Scene, prefix: string, bytes: number): Promise<void> {
  const size = 20 * KB;
  for (let i = 0; i * size < bytes; i += 1) {
    const value = randomBytes(size / 2).toString('hex');
    await client.set(`${prefix}:${i}`, value);
    content.set(`${prefix}:${i}`, value);
  }
}

async function call(scene: Scene, { words, succeeded, operation }: Case): Promise<string> {
  scene.calls += 1;
  let said = words(scene);
  if (operation === 'DELETE') said = ['DELETE', String((await list(scene.client)).backups[1]?.id)];
  try {
    await scene.client.call('ADMIN.BACKUP', ...said);
  } catch (error) {
    return (error as Error).message;
  }
  await succeeded?.(scene, said);
  return 'OK';
}

async function requireUnharmed(t: Test, scene: Scene, at: string): Promise<void> {
  const { client, dir } = scene;
  t.ok(sameContent(await dump(client), scene.content), `live data is as it was: ${at}`);
  const { backups } = await list(client, 'STATUS', 'all');
  t.same([...new Set(backups.map(({ status }) => status))], ['complete'], `nothing half-made is listed: ${at}`);
  const verdicts = await admin<{ status: string }[]>(client, 'VERIFY', 'ALL', 'FULL');
  t.same([...new Set(verdicts.map(({ status }) => status))], ['VALID'], at);
  t.same(names(join(dir, 'restores')), scene.restored.toSorted(), `nothing half-restored: ${at}`);
  const tags = await admin<{ name: string }[]>(client, 'TAGS');
  t.same(tags.map(({ name }) => name).sort(), scene.tags.toSorted(), at);
}

/** Writes go on, after ADMIN.READONLY OFF where they were stopped. */
async function resume(t: Test, client: Redis, at: string): Promise<void> {
  const said = await client.set('probe', '1').catch((error: Error) => error.message);
  if (said !== 'OK') {
    t.match(said, /^MISCONF /, at);
    t.equal(await client.call('ADMIN.READONLY', 'OFF'), 'OK', at);
    t.equal(await client.set('probe', '1'), 'OK', at);
  }
  await client.del('probe');
}

/** Nothing holds room after a restart that should not. */
async function requireClean(t: Test, scene: Scene): Promise<void> {
  const { dir, repository } = scene;
  const live = scene.content;
  await scene.server.stop();
  const again = await startServer(t, { dir });
  const client = await again.client();
  await admin(client, 'PIN', 1);
  t.ok(sameContent(await dump(client), live), 'live data after a restart');
  t.same(await unreferencedFiles(client, repository), []);
  t.same(
    readdirSync(repository).filter((name) => name.startsWith('.tmp-')),
    [],
  );
  t.equal(readdirSync(join(repository, 'states')).length, (await list(client)).total);
  for (const name of ['staging', 'scratch']) t.same(names(join(dir, name)), [], name);
  const pointer = JSON.parse(readFileSync(join(dir, 'LIVE'), 'utf8')) as { live: string; kept: { name: string }[] };
  t.same(
    readdirSync(dir)
      .filter((name) => name.startsWith('db-'))
      .sort(),
    [pointer.live, ...pointer.kept.map(({ name }) => name)].sort(),
  );
  await again.stop();
}

/** What is in a directory; nothing where it was not made yet. */
function names(directory: string): string[] {
  return existsSync(directory) ? readdirSync(directory).sort() : [];
}
