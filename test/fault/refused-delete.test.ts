/**
 * D8: the store refuses to delete. It is said (reply, STATUS, log), what it does not concern is not harmed, and once the cause is
 * gone the next run or start removes what is left. The refusal is the system's own: append-only directories, immutable files.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import t, { type Test } from 'tap';
import { admin, dump, list } from '../support/admin.js';
import { type Server, startServer, withoutArchive } from '../support/built-server.js';
import { cannotRefuse, makeImmutable, refuseRemovals } from '../support/refusing.js';
import { manifestPath, objectKeys, statePath, unreferencedFiles } from '../support/repository-files.js';
import { scratch } from '../support/scratch.js';

const skip = cannotRefuse;

interface Scene {
  server: Server;
  client: Redis;
  repository: string;
  /** What each backup promises. */
  contents: Map<number, Map<string, string | null>>;
}

/** Three backups, each with keys, and so with objects, of its own. */
async function threeBackups(t: Test, options: { dir?: string; env?: Record<string, string>; args?: string[] } = {}) {
  const args = [...withoutArchive, ...(options.args ?? [])];
  const server = await startServer(t, { ...options, args });
  const client = await server.client();
  const scene: Scene = { server, client, repository: join(server.dir, 'backups'), contents: new Map() };
  for (let id = 1; id <= 3; id += 1) await another(scene, id);
  return scene;
}

async function another({ client, contents }: Scene, id: number): Promise<Record<string, unknown>> {
  await client.del(`key:${id - 1}:0`);
  for (let i = 0; i < 30; i += 1) await client.set(`key:${id}:${i}`, `${id}`.repeat(50));
  contents.set(id, await dump(client));
  return admin(client, 'CREATE', 'FULL');
}

/** Every listed backup verifies and, restored in place, has what it promised; no object is there that no list names. */
async function requireConsistent(t: Test, { client, repository, contents }: Scene, ids: number[]): Promise<void> {
  t.same(
    (await list(client, 'STATUS', 'all')).backups.map(({ id, status }) => [id, status]).sort(),
    ids.map((id) => [id, 'complete']),
  );
  t.equal((await admin<unknown[]>(client, 'VERIFY', 'ALL', 'DEEP')).length, ids.length);
  for (const id of ids) {
    await admin(client, 'RESTORE', id);
    t.same(await dump(client), contents.get(id), `backup ${id}`);
  }
  t.same(await unreferencedFiles(client, repository), [], 'nothing is left that nobody refers to');
  t.equal(objectKeys(repository, 'states/').length, ids.length);
}

function rejected(client: Redis, ...words: string[]): Promise<string> {
  return client.call('ADMIN.BACKUP', ...words).then(
    () => 'OK',
    (error: Error) => error.message,
  );
}

function fileDirectories(repository: string): string[] {
  return readdirSync(join(repository, 'files')).map((name) => join(repository, 'files', name));
}

t.test(
  'D8: objects that cannot be removed: DELETE says so, and the next create takes them along',
  { skip },
  async (t) => {
    const scene = await threeBackups(t);
    const { client, repository, server } = scene;
    const before = objectKeys(repository, 'files/').length;
    const release = refuseRemovals(t, ...fileDirectories(repository));
    const said = await rejected(client, 'DELETE', '1');
    t.match(
      said,
      /^BACKUPFAILED backup 1 is deleted, but \d+ objects? .* could not be removed: cannot delete files\/.*EPERM/,
    );
    t.match(await admin(client, 'STATUS'), {
      last_operation: 'delete',
      last_status: 'err',
      last_error: /could not be removed/,
    });
    t.equal(objectKeys(repository, 'files/').length, before);
    t.same((await list(client)).total, 2);
    t.equal((await admin<unknown[]>(client, 'VERIFY', 'ALL', 'DEEP')).length, 2, 'the others are whole');
    t.match(await rejected(client, 'DELETE', '1'), /^BACKUPNOTFOUND /);
    t.match(await another(scene, 4), { id: 4, status: 'complete' }, 'a create works meanwhile');
    t.match(
      (await admin(client, 'STATUS')).prune_error,
      /could not be removed/,
      'which tried again, and says that it could not',
    );
    release();
    t.match(await another(scene, 5), { id: 5, status: 'complete' });
    t.equal((await admin(client, 'STATUS')).prune_error, null);
    await requireConsistent(t, scene, [2, 3, 4, 5]);
    await server.stop();
  },
);

t.test(
  'D8: a manifest that cannot be removed: the backup stays as it was, DELETE says so and works later',
  { skip },
  async (t) => {
    const scene = await threeBackups(t);
    const { client, repository, server } = scene;
    const state = readFileSync(statePath(repository, 1), 'utf8');
    const release = refuseRemovals(t, join(repository, 'backups'));
    t.match(
      await rejected(client, 'DELETE', '1'),
      /^BACKUPFAILED .*backup 1 stayed as before: cannot delete backups\/00000001\.json.*EPERM/,
    );
    t.equal(readFileSync(statePath(repository, 1), 'utf8'), state, 'its state does not say that it goes');
    await requireConsistent(t, scene, [1, 2, 3]);
    release();
    t.match(await admin(client, 'DELETE', 1), { deleted: [1], kept: [2, 3] });
    await requireConsistent(t, scene, [2, 3]);
    await server.stop();
  },
);

t.test('D8: states that cannot be changed: the backup stays, nothing counts as lost', { skip }, async (t) => {
  const scene = await threeBackups(t);
  const { client, repository, server } = scene;
  const release = refuseRemovals(t, join(repository, 'states'));
  t.match(await rejected(client, 'DELETE', '1'), /^BACKUPFAILED .*backup 1 stayed as before: .*states\/00000001\.json/);
  t.same((await list(client)).total, 3);
  release();
  t.match(await admin(client, 'DELETE', 1), { deleted: [1] });
  await requireConsistent(t, scene, [2, 3]);
  t.notMatch(server.stderr(), /manifests are missing/);
  await server.stop();
});

t.test(
  'D8: PRUNE meets one manifest that stays: the others go, STATUS has prune_error until a run that works',
  { skip },
  async (t) => {
    const scene = await threeBackups(t);
    const { client, repository, server } = scene;
    const release = makeImmutable(t, manifestPath(repository, 1));
    const said = await rejected(client, 'PRUNE', 'MAXCOUNT', '1');
    t.match(said, /^BACKUPFAILED .*backup 1 stayed as before: /);
    t.equal((await admin(client, 'STATUS')).prune_error, said);
    t.match(server.stderr(), /retention failed/);
    await requireConsistent(t, scene, [1, 3]);
    release();
    t.match(await admin(client, 'PRUNE', 'MAXCOUNT', 1), { deleted: [1], kept: [3] });
    t.equal((await admin(client, 'STATUS')).prune_error, null);
    await requireConsistent(t, scene, [3]);
    await server.stop();
  },
);

t.test(
  'D8: retention after a create is refused its objects: the create succeeded, and the next start sweeps',
  { skip },
  async (t) => {
    const dir = scratch(t);
    const scene = await threeBackups(t, { dir, args: ['--set', 'backup.retention.max_count=3'] });
    const { client, repository, server } = scene;
    const release = refuseRemovals(t, ...fileDirectories(repository));
    t.match(await another(scene, 4), { id: 4, status: 'complete', pruned: [1] });
    t.match((await admin(client, 'STATUS')).prune_error, /^BACKUPFAILED backup 1 is deleted, but .*EPERM/);
    await server.stop();

    const refused = await startServer(t, { dir, args: withoutArchive });
    const during = await refused.client();
    t.equal((await list(during)).total, 3, 'a start that may not sweep either serves all the same');
    t.match(await rejected(during, 'DELETE', '2'), /^BACKUPFAILED backup 2 is deleted, but /);
    t.match(refused.stderr(), /refuses to let go/);
    release();
    await refused.stop();

    const mended = await startServer(t, { dir, args: withoutArchive });
    await admin(await mended.client(), 'PIN', 4);
    await requireConsistent(t, { ...scene, client: await mended.client() }, [3, 4]);
    await mended.stop();
  },
);

for (const [point, what] of [
  ['manifest-removed=throw:EIO:1', 'OK'],
  ['object-removed=throw:EACCES:1', 'BACKUPFAILED '],
] as const) {
  t.test(`D8: an error at ${point} of DELETE and of PRUNE: nothing is left after the next one`, async (t) => {
    for (const words of [
      ['DELETE', '1'],
      ['PRUNE', 'MAXCOUNT', '2'],
    ]) {
      const scene = await threeBackups(t, { env: { CAIRN_FAULT_POINTS: point } });
      const { client, server } = scene;
      const said = await rejected(client, ...words);
      t.ok(said.startsWith(what), `${words.join(' ')}: ${said}`);
      t.match(await admin(client, 'DELETE', 2), { deleted: [2], kept: [3] });
      await requireConsistent(t, scene, [3]);
      await server.stop();
    }
  });
}
