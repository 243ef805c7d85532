/**
 * The n-th write, sync, rename or removal in the repository fails, for one n after the other. The operation succeeds or says
 * why not, harms nothing that was promised, and works when it is asked for again.
 */
import { mkdirSync, readdirSync } from 'node:fs';
import { constants as system } from 'node:os';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import t, { type Test } from 'tap';
import { Random } from '../property/support/random.js';
import { admin, dump, list, sameContent } from '../support/admin.js';
import { type Server, startServer } from '../support/built-server.js';
import { changing, type FailingFiles, failingFiles } from '../support/failing-files.js';
import { night } from '../support/night.js';
import { unreferencedFiles } from '../support/repository-files.js';
import { scratch } from '../support/scratch.js';

const constants = system.errno;
const { seed, long } = night(0);
const random = new Random(seed);
const STEPS_BY_DAY = 4;

interface Scene {
  server: Server;
  client: Redis;
  repository: string;
  files: FailingFiles;
  /** What backup 1 promises. */
  promised: Map<string, string | null>;
  calls: number;
}

interface Case {
  operation: string;
  /** Done before each call, without failures. */
  before?: (scene: Scene) => Promise<unknown>;
  words: (scene: Scene) => Promise<string[]> | string[];
}

const newest = async ({ client }: Scene): Promise<string> => String((await list(client)).backups.at(0)?.id);

const cases: Case[] = [
  { operation: 'CREATE FULL', words: () => ['CREATE', 'FULL'] },
  { operation: 'CREATE INCREMENTAL', words: () => ['CREATE', 'INCREMENTAL'] },
  { operation: 'CREATE DIFFERENTIAL', words: () => ['CREATE', 'DIFFERENTIAL'] },
  { operation: 'TAG', words: ({ calls }) => ['TAG', `tag-${calls}`] },
  {
    operation: 'UNTAG',
    // It may be left from an UNTAG that failed.
    before: ({ client }) => admin(client, 'TAG', 'gone').catch(() => undefined),
    words: () => ['UNTAG', 'gone'],
  },
  {
    operation: 'PIN',
    before: ({ client }) => admin(client, 'CREATE', 'FULL'),
    words: async (scene) => ['PIN', await newest(scene)],
  },
  {
    operation: 'UNPIN',
    before: async (scene) => admin(scene.client, 'PIN', await newest(scene)),
    words: async (scene) => ['UNPIN', await newest(scene)],
  },
  { operation: 'VERIFY', words: () => ['VERIFY', '1', 'DEEP'] },
  {
    operation: 'DELETE',
    before: ({ client }) => admin(client, 'CREATE', 'FULL'),
    words: async (scene) => ['DELETE', await newest(scene)],
  },
  {
    operation: 'PRUNE',
    before: async ({ client }) => {
      await admin(client, 'CREATE', 'FULL');
      await client.set('more', `${Math.random()}`);
      await admin(client, 'CREATE', 'FULL');
    },
    words: () => ['PRUNE', 'MAXCOUNT', '1'],
  },
  { operation: 'RESTORE TO', words: ({ calls }) => ['RESTORE', '1', 'TO', `to-${calls}`] },
  { operation: 'RESTORE', words: () => ['RESTORE', '1'] },
];

t.test(
  'A2, D8: of an operation one write, sync, rename or removal in the repository fails, each in turn',
  async (t) => {
    const scene = await begin(t);
    for (const one of cases) {
      await t.test(one.operation, (t) => sweep(t, scene, one));
    }
    await requireClean(t, scene);
  },
);

async function sweep(t: Test, scene: Scene, one: Case): Promise<void> {
  const { files } = scene;
  await prepare(scene, one);
  files.arm(changing);
  t.equal(await call(scene, one), 'OK');
  const { seen } = files.disarm();
  t.ok(seen > 0, 'it changes files');
  const every = Array.from({ length: seen }, (_, nth) => nth + 1);
  const chosen = long || seen <= STEPS_BY_DAY ? every : every.filter(() => random.int(seen) < STEPS_BY_DAY);
  t.comment(`${seen} operations, ${chosen.length} of them tried, CAIRN_SEED=${seed}`);
  for (const at of chosen) {
    await prepare(scene, one);
    const errno = random.pick(['EIO', 'ENOSPC'] as const);
    files.arm(changing, at, { errno: constants[errno] });
    const said = await call(scene, one);
    const { failed, last } = files.disarm();
    const what = `${one.operation}, operation ${at} (${errno} ${last || 'none'}), CAIRN_SEED=${seed}`;
    t.comment(`${what}: ${said}`);
    await requireUnharmed(t, scene, what);
    if (said === 'OK') continue;
    t.equal(failed, 1, `it says so because of it: ${what}: ${said}`);
    t.match(said, /^(BACKUPFAILED|RESTOREFAILED|NOSPACE) .{20}/, what);
    await prepare(scene, one);
    t.equal(await call(scene, one), 'OK', `asked again: ${what}`);
  }
}

async function begin(t: Test): Promise<Scene> {
  const dir = scratch(t);
  const repository = join(dir, 'backups');
  mkdirSync(repository, { mode: 0o700 });
  const files = failingFiles(t, repository);
  const server = await startServer(t, { dir, env: files.env });
  const client = await server.client();
  const scene: Scene = { server, client, repository, files, promised: new Map(), calls: 0 };
  for (let nth = 0; nth < 20; nth += 1) await client.set(`first:${nth}`, `${Math.random()}`.repeat(20));
  scene.promised = await dump(client);
  await admin(client, 'CREATE', 'FULL', 'PIN');
  return scene;
}

async function prepare(scene: Scene, { before }: Case): Promise<void> {
  await scene.client.set(`step:${scene.calls % 5}`, `${Math.random()}`.repeat(100));
  await before?.(scene);
}

async function call(scene: Scene, one: Case): Promise<string> {
  scene.calls += 1;
  const words = await one.words(scene);
  return scene.client.call('ADMIN.BACKUP', ...words).then(
    () => 'OK',
    (error: Error) => error.message,
  );
}

async function requireUnharmed(t: Test, { client }: Scene, what: string): Promise<void> {
  const { backups } = await list(client, 'STATUS', 'all');
  t.same([...new Set(backups.map(({ status }) => status))], ['complete'], `nothing half-made is listed: ${what}`);
  const verdicts = await admin<{ status: string }[]>(client, 'VERIFY', 'ALL', 'FULL');
  t.same([...new Set(verdicts.map(({ status }) => status))], ['VALID'], what);
}

async function requireClean(t: Test, { server, promised, repository, files }: Scene): Promise<void> {
  await server.stop();
  const again = await startServer(t, { dir: server.dir, env: files.env });
  const client = await again.client();
  await admin(client, 'RESTORE', '1');
  t.ok(sameContent(await dump(client), promised), 'backup 1 is what it promised');
  t.same(await unreferencedFiles(client, repository), []);
  t.same(
    readdirSync(repository).filter((name) => name.startsWith('.tmp-')),
    [],
  );
  await again.stop();
}
