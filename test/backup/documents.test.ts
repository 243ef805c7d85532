/** The documents of a directory in memory: whatever happens to the files, the next look knows it, and reads what differs alone. */
import { mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { Documents } from '../../src/backup/documents.js';
import { CairnError } from '../../src/base/errors.js';
import { nativeFiles } from '../../src/engine/index.js';
import { manifestKey, parseManifestKey } from '../../src/format/index.js';
import { openLocalStore } from '../../src/storage/index.js';
import { type Store, StoreObjectMissing } from '../../src/storage/store.js';
import type { Owner } from '../support/owner.js';
import { scratch } from '../support/scratch.js';
import { randomOf } from '../support/seeded.js';

t.test('a look reads what differs from the last one, and nothing else', async (t) => {
  const { documents, look, write, path, read } = await scene(t);
  t.same(await look(), []);
  for (let id = 1; id <= 300; id += 1) write(id, `first ${id}`);
  t.equal((await look()).length, 300);
  t.equal(read.splice(0).length, 300);
  t.equal(documents.get(7), 'first 7');
  t.same(await look(), []);
  write(7, 'other 7'); // of the same size, over it
  rmSync(path(8));
  write(301, 'new');
  t.same((await look()).sort(), [301, 7, 8]);
  t.same(read.splice(0).sort(), [301, 7]);
  t.same(
    [7, 8, 301].map((id) => documents.get(id)),
    ['other 7', undefined, 'new'],
  );
  t.same(await look(), []);
  t.same(read, []);
});

t.test('what is written over a file with its size and its time kept is seen', async (t) => {
  const { documents, look, write, path } = await scene(t);
  write(1, 'first 1');
  utimesSync(path(1), 1_700_000_000, 1_700_000_000);
  await look();
  write(1, 'other 1');
  utimesSync(path(1), 1_700_000_000, 1_700_000_000);
  t.same(await look(), [1]);
  t.equal(documents.get(1), 'other 1');
});

t.test('a file that was moved away and is brought back as it was is there again', async (t) => {
  const { documents, look, lookAt, write, path } = await scene(t);
  for (const id of [1, 2]) write(id, `first ${id}`);
  await look();
  renameSync(path(1), path(9));
  await lookAt(1);
  t.equal(documents.get(1), undefined);
  renameSync(path(9), path(1));
  await look();
  t.equal(documents.get(1), 'first 1', 'as it was');
  renameSync(path(1), path(9));
  await lookAt(1);
  await look();
  t.equal(documents.get(1), undefined);
  t.equal(documents.get(9), 'first 1');
  renameSync(path(9), path(1));
  await look();
  t.equal(documents.get(1), 'first 1');
  t.equal(documents.get(9), undefined);
});

t.test('one that is gone while it is read is read when it is back', async (t) => {
  const away = new Set<string>();
  const { documents, look, write } = await scene(t, (store) => ({
    async *getMany(keys: readonly string[], maxBytes: number) {
      for await (const batch of store.getMany(keys, maxBytes)) {
        yield batch.map((got) =>
          away.has(got.key) ? { key: got.key, bytes: null, error: new StoreObjectMissing(got.key) } : got,
        );
      }
    },
  }));
  for (const id of [1, 2]) write(id, `first ${id}`);
  away.add(manifestKey(1));
  await look();
  t.same([documents.get(1), documents.get(2)], [undefined, 'first 2']);
  away.clear();
  await look();
  t.equal(documents.get(1), 'first 1', 'its listing is as it was, and it is looked for all the same');
  t.same(await look(), []);
});

t.test('one that the system refuses to read is read again, though its file is the same', async (t) => {
  const refused = new Set<string>();
  const refusal = new CairnError('BACKUPFAILED', 'too many open files');
  const { documents, look, lookAt, write } = await scene(t, (store) => ({
    async *getMany(keys: readonly string[], maxBytes: number) {
      for await (const batch of store.getMany(keys, maxBytes)) {
        yield batch.map((got) => (refused.has(got.key) ? { key: got.key, bytes: null, error: refusal } : got));
      }
    },
    get: (key: string, maxBytes: number) => (refused.has(key) ? Promise.reject(refusal) : store.get(key, maxBytes)),
  }));
  for (const id of [1, 2]) write(id, `first ${id}`);
  for (const id of [1, 2]) refused.add(manifestKey(id));
  await look();
  t.equal(documents.get(1), 'unreadable');
  await look();
  t.equal(documents.get(1), 'unreadable');
  refused.clear();
  await lookAt(2);
  t.equal(documents.get(2), 'first 2');
  await look();
  t.same([documents.get(1), documents.get(2)], ['first 1', 'first 2']);
});

t.test('a look that fails leaves memory as it was, and the next one makes up for it', async (t) => {
  let fails = false;
  const { documents, look, write } = await scene(t, (store) => ({
    changes: (...args: Parameters<Store['changes']>) =>
      fails ? Promise.reject(new Error('no disk')) : store.changes(...args),
  }));
  write(1, 'first 1');
  await look();
  write(1, 'other 1');
  fails = true;
  await t.rejects(look(), { message: 'no disk' });
  t.equal(documents.get(1), 'first 1');
  fails = false;
  t.same(await look(), [1]);
  t.equal(documents.get(1), 'other 1');
});

t.test('whatever happened between, a look ends with what a first look would find', async (t) => {
  const seed = Number(process.env.CAIRN_SEED ?? Date.now() % 1_000_000);
  const random = randomOf(seed);
  const one = await scene(t);
  const number = (below: number): number => Math.floor(random() * below);
  for (let round = 0; round < 60; round += 1) {
    for (let steps = number(12); steps > 0; steps -= 1) {
      const id = 1 + number(100);
      const act = number(7);
      if (act <= 1) one.write(id, `${round} ${number(10)}`);
      if (act === 2) rmSync(one.path(id), { recursive: true, force: true });
      if (act === 3) exchange(one.path(id), one.path(1 + number(100)));
      if (act === 4) await one.lookAt(id);
      if (act === 5) inPlaceOf(one.path(id), number(2) === 0);
      if (act === 6) for (let many = 1; many <= 100; many += 1) await one.lookAt(many);
    }
    await one.look();
    const fresh = await scene(t, undefined, one.root);
    await fresh.look();
    const expected = [...fresh.documents.all()].map(({ id, value }) => [id, value]).sort();
    t.same(
      [...one.documents.all()].map(({ id, value }) => [id, value]).sort(),
      expected,
      `seed ${seed}, round ${round}`,
    );
    if (round % 7 === 0) t.same(await one.look(), []);
  }
});

/** Names exchanged, so that each file has an inode that the listing had under another name, with the same size and time. */
function exchange(one: string, other: string): void {
  const between = `${one}.between`;
  for (const [from, to] of [
    [one, between],
    [other, one],
    [between, other],
  ] as const) {
    try {
      renameSync(from, to);
    } catch {
      // There is none, or a directory lies there.
    }
  }
  rmSync(between, { recursive: true, force: true });
}

function inPlaceOf(path: string, isLink: boolean): void {
  rmSync(path, { recursive: true, force: true });
  if (isLink) symlinkSync('/etc/passwd', path);
  else mkdirSync(path);
}

let times = 1;

async function scene(t: Owner, instead?: (store: Store) => Partial<Store>, root = scratch(t, { backups: {} })) {
  const local = await openLocalStore(root, { files: nativeFiles });
  t.teardown(() => local.close());
  const store = instead === undefined ? local : overlaid(local, instead(local));
  const read: number[] = [];
  const documents = new Documents<string>({
    store,
    prefix: 'backups/',
    keyOf: manifestKey,
    idOf: parseManifestKey,
    maxBytes: 1000,
    read: (id, bytes) => {
      read.push(id);
      return bytes instanceof Error ? 'unreadable' : bytes.toString();
    },
  });
  const path = (id: number): string => join(root, manifestKey(id));
  return {
    root,
    documents,
    read,
    path,
    write: (id: number, text: string) => {
      rmSyncUnlessFile(path(id));
      writeFileSync(path(id), text);
      // Some systems count time in steps of milliseconds: two writes within one would look the same.
      utimesSync(path(id), 1, ++times);
    },
    look: async () => documents.take(await documents.look()),
    lookAt: async (id: number) => documents.takeOne(id, await documents.lookAt(id)),
  };
}

function rmSyncUnlessFile(path: string): void {
  try {
    readFileSync(path);
  } catch {
    rmSync(path, { recursive: true, force: true });
  }
}

function overlaid(store: Store, over: Partial<Store>): Store {
  return new Proxy(store, {
    get(target, name) {
      const own = (over as Record<string | symbol, unknown>)[name];
      if (own !== undefined) return own;
      const value = Reflect.get(target, name) as unknown;
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}
