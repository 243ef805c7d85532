/**
 * What every store must do, whatever lies behind it: call `storeConformance` from the store's own test. Each case gets a
 * fresh, empty store.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { CairnError } from '../../src/base/errors.js';
import { sha256 } from '../../src/base/hash.js';
import {
  type Got,
  type Seen,
  type Store,
  type StoreEntry,
  StoreObjectExists,
  StoreObjectMissing,
} from '../../src/storage/store.js';
import { scratch } from '../support/scratch.js';

const MEBIBYTE = 1024 * 1024;
const fileKey = (hash: string) => `files/${hash.slice(0, 2)}/${hash}`;

/** `open` makes an empty store; whatever it allocates is torn down by the test it gets. */
export function storeConformance(t: Test, open: (t: Test) => Promise<Store>): void {
  const scenario = (name: string, body: (t: Test, store: Store) => Promise<void>) =>
    t.test(name, async (t) => {
      const store = await open(t);
      t.teardown(() => store.close());
      await body(t, store);
    });

  scenario('what was put is what is got, listed and described', async (t, store) => {
    const bytes = randomBytes(10_000);
    await store.put('backups/00000001.json', bytes);
    await store.put('next_id', Buffer.alloc(0));
    t.ok((await store.get('backups/00000001.json', bytes.length)).equals(bytes));
    t.equal((await store.get('next_id', 0)).length, 0);
    t.ok((await store.getStart('backups/00000001.json', 100)).equals(bytes.subarray(0, 100)));
    t.equal((await store.getStart('backups/00000001.json', 20_000)).length, 10_000, 'a short object is given whole');
    await t.rejects(store.getStart('backups/00000002.json', 1), { name: 'StoreObjectMissing' });
    const entry = await store.stat('backups/00000001.json');
    t.match(entry, { key: 'backups/00000001.json', sizeBytes: bytes.length });
    t.ok(Math.abs((entry?.modifiedUs ?? 0) / 1000 - Date.now()) < 60_000);
    t.same(await keys(store, ''), ['backups/00000001.json', 'next_id']);
  });

  scenario('many objects go at once, and what is not there is no error', async (t, store) => {
    for (const key of ['wal/1/a.seg', 'wal/1/b.seg', 'wal/2/c.seg', 'latest']) await store.put(key, Buffer.from(key));
    t.equal(await store.deleteAll(['wal/1/a.seg', 'wal/2/c.seg', 'wal/2/none.seg', 'wal/3/none.seg']), 2);
    t.same(await keys(store, ''), ['latest', 'wal/1/b.seg']);
    t.equal(await store.deleteAll([]), 0);
    await t.rejects(store.deleteAll(['../outside']), { code: 'BACKUPFAILED' });
  });

  scenario('a put replaces the object whole and changes its version', async (t, store) => {
    await store.put('latest', Buffer.from('old'));
    const before = await store.stat('latest');
    t.equal((await store.stat('latest'))?.version, before?.version);
    await store.put('latest', Buffer.from('new'));
    t.equal((await store.get('latest', 10)).toString(), 'new');
    t.not((await store.stat('latest'))?.version, before?.version);
    t.same(await keys(store, ''), ['latest']);
  });

  scenario('a put that wants the key absent has one winner and keeps what is there', async (t, store) => {
    const puts = Array.from({ length: 10 }, (_, n) => store.put('one', Buffer.from(`${n}`), { ifAbsent: true }));
    const outcomes = await Promise.allSettled(puts);
    const winners = outcomes.flatMap((outcome, n) => (outcome.status === 'fulfilled' ? [n] : []));
    t.equal(winners.length, 1);
    t.equal((await store.get('one', 10)).toString(), `${winners[0]}`);
    await t.rejects(store.put('one', Buffer.from('x'), { ifAbsent: true }), new StoreObjectExists('one'));
    t.same(await keys(store, ''), ['one']);
  });

  scenario('the object is not visible before beforeVisible has ended, and never when it fails', async (t, store) => {
    const beforeVisible = async () => {
      t.equal(await store.stat('late'), null);
      t.same(await keys(store, ''), []);
    };
    await store.put('late', Buffer.from('x'), { beforeVisible });
    t.equal((await store.get('late', 1)).toString(), 'x');
    await t.rejects(store.put('never', Buffer.from('x'), { beforeVisible: () => Promise.reject(new Error('stop')) }));
    t.same(await keys(store, ''), ['late']);
  });

  scenario('a missing object is told apart from every other failure', async (t, store) => {
    await store.put('a/b', Buffer.from('x'));
    for (const key of ['absent', 'a', 'a/c', 'a/b/c', 'x/y/z']) {
      t.equal(await store.stat(key), null, key);
      t.equal(await store.delete(key), false, key);
      t.same(await store.sizes(['a/b', key]), [1, null], key);
      await t.rejects(store.get(key, 10), new StoreObjectMissing(key), key);
      await t.rejects(store.hash(key), new StoreObjectMissing(key), key);
      await t.rejects(store.getFile(key, join(scratch(t), 'never')), new StoreObjectMissing(key), key);
    }
    t.ok(await store.delete('a/b'));
    t.equal(await store.stat('a/b'), null);
    t.equal(await store.delete('a/b'), false);
  });

  scenario('get refuses an object that is larger than allowed', async (t, store) => {
    await store.put('big', Buffer.alloc(11));
    await t.rejects(store.get('big', 10), { code: 'BACKUPCORRUPT', message: /11 bytes.* 10 / });
  });

  scenario('list gives every object under a prefix, once, and nothing else', async (t, store) => {
    const all = ['files/ab/1', 'files/ab/2', 'files/cd/3', 'filesystem', 'backups/00000001.json'];
    for (const key of all) await store.put(key, Buffer.from(key));
    t.same(await keys(store, ''), [...all].sort());
    t.same(await keys(store, 'files/'), ['files/ab/1', 'files/ab/2', 'files/cd/3']);
    t.same(await keys(store, 'files'), ['files/ab/1', 'files/ab/2', 'files/cd/3', 'filesystem']);
    t.same(await keys(store, 'files/a'), ['files/ab/1', 'files/ab/2']);
    t.same(await keys(store, 'files/ab/2'), ['files/ab/2']);
    t.same(await keys(store, 'nothing/'), []);
    const listed = (await entries(store, 'files/ab/1'))[0];
    t.same(listed, await store.stat('files/ab/1'));
  });

  scenario('sizes of many objects come in the order of the keys', async (t, store) => {
    const all = Array.from({ length: 300 }, (_, nth) => ({ key: `files/${nth % 7}/${nth}`, size: nth % 10 }));
    for (const { key, size } of all) await store.put(key, Buffer.alloc(size));
    t.same(
      await store.sizes(all.map(({ key }) => key)),
      all.map(({ size }) => size),
    );
    t.same(await store.sizes(['files/0/7', 'files/0', 'files', 'absent/x', 'files/0/7', 'files/9/1']), [
      ...[7, null, null, null, 7, null],
    ]);
    t.same(await store.sizes([]), []);
  });

  scenario('many objects are read in batches, in the order of the keys, each as get gives it', async (t, store) => {
    const all = Array.from({ length: 300 }, (_, nth) => ({ key: `a/${nth}`, bytes: randomBytes(nth % 50) }));
    for (const nth of [7, 8, 9]) (all[nth] as { bytes: Buffer }).bytes = randomBytes(MEBIBYTE);
    for (const { key, bytes } of all) await store.put(key, bytes);
    const wanted = [...all.map(({ key }) => key).reverse(), 'a/none', 'b/none', 'a', 'a/1'];
    const batches: number[] = [];
    const found: Got[] = [];
    for await (const batch of store.getMany(wanted, MEBIBYTE)) {
      batches.push(batch.reduce((sum, { bytes }) => sum + (bytes?.length ?? 0), 0));
      found.push(...batch);
    }
    t.same(
      found.map(({ key }) => key),
      wanted,
    );
    const expected = [...all.map(({ bytes }) => bytes).reverse(), null, null, null, all[1]?.bytes ?? null];
    for (const [nth, { bytes, error }] of found.entries()) {
      if (expected[nth] === null) t.match(error, { name: 'StoreObjectMissing' });
      else if (bytes === null || !bytes.equals(expected[nth] as Buffer)) t.fail(`${wanted[nth]} is something else`);
    }
    t.ok(Math.max(...batches) < 3 * MEBIBYTE, 'a batch is bounded in bytes');
    for await (const [got] of store.getMany(['a/7'], 1000)) t.match(got?.error, { code: 'BACKUPCORRUPT' });
    for await (const _ of store.getMany([], 10)) t.fail('nothing was asked for');
    for await (const _ of store.getMany(wanted, MEBIBYTE)) break;
  });

  scenario(
    'changes gives what is new, other or gone since a look, and a look without one gives all',
    async (t, store) => {
      const since = async (seen?: Seen) => {
        const found = await store.changes('a/', seen);
        return { seen: found.seen, changed: found.changed.map(({ key }) => key).sort(), gone: [...found.gone].sort() };
      };
      const none = await since();
      t.match(none, { changed: [], gone: [] });
      for (const key of ['a/1', 'a/2', 'a/3', 'a/deep/1', 'b/1']) await store.put(key, Buffer.from('x'));
      const first = await since(none.seen);
      t.match(first, { changed: ['a/1', 'a/2', 'a/3'], gone: [] });
      t.same(
        (await store.changes('a/')).changed.find(({ key }) => key === 'a/2'),
        await store.stat('a/2'),
      );
      t.match(await since(first.seen), { changed: [], gone: [] });
      await store.put('a/2', Buffer.from('y'));
      await store.put('a/0', Buffer.from('z'));
      await store.delete('a/1');
      const second = await since(first.seen);
      t.match(second, { changed: ['a/0', 'a/2'], gone: ['a/1'] });
      t.match(await since(second.seen), { changed: [], gone: [] });
      t.match(
        await since(first.seen),
        { changed: ['a/0', 'a/2'], gone: ['a/1'] },
        'an earlier look can be asked again',
      );
      t.match(await since(none.seen), { changed: ['a/0', 'a/2', 'a/3'], gone: [] });
    },
  );

  scenario('a hostile key is refused before anything is touched', async (t, store) => {
    const source = join(scratch(t, { source: 'abc' }), 'source');
    const hostile = [
      ...[
        '',
        '/',
        '/etc/passwd',
        '../x',
        'a/../b',
        'a/..',
        '.',
        '..',
        'a//b',
        'a/',
        './a',
        'a/./b',
        '.tmp-x',
        'a/.lock',
      ],
      ...['a\0b', 'a\\b', 'a b', 'a\nb', 'ä', 'a:b', 'x'.repeat(256), `${'a/'.repeat(600)}a`],
    ];
    for (const key of hostile) {
      const shown = JSON.stringify(key.slice(0, 20));
      await t.rejects(store.put(key, Buffer.from('x')), { code: 'BACKUPFAILED' }, `put ${shown}`);
      await t.rejects(store.get(key, 10), { code: 'BACKUPFAILED' }, `get ${shown}`);
      await t.rejects(store.stat(key), { code: 'BACKUPFAILED' }, `stat ${shown}`);
      await t.rejects(store.getMany(['a', key], 10)[Symbol.asyncIterator]().next(), { code: 'BACKUPFAILED' }, shown);
      await t.rejects(store.changes(`${key}/`), { code: 'BACKUPFAILED' }, `changes ${shown}`);
      await t.rejects(store.sizes(['a', key]), { code: 'BACKUPFAILED' }, `sizes ${shown}`);
      await t.rejects(store.delete(key), { code: 'BACKUPFAILED' }, `delete ${shown}`);
      await t.rejects(store.hash(key), { code: 'BACKUPFAILED' }, `hash ${shown}`);
      await t.rejects(
        store.putFile(source, 3, () => key),
        { code: 'BACKUPFAILED' },
        `putFile ${shown}`,
      );
      if (key !== '' && key !== 'a/') await t.rejects(keys(store, key), { code: 'BACKUPFAILED' }, `list ${shown}`);
    }
    t.same(await keys(store, ''), []);
    t.equal(await store.sweepPartial(), 0);
  });

  scenario('a file goes in under the name of its content and comes out the same', async (t, store) => {
    const content = randomBytes(3 * MEBIBYTE + 17);
    const dir = scratch(t, { source: content });
    const progress = counter();
    const put = await store.putFile(join(dir, 'source'), content.length, fileKey, { onProgress: progress.add });
    const hash = sha256(content);
    t.same(put, { sha256: hash, sizeBytes: content.length, key: fileKey(hash), stored: true });
    t.equal(progress.total(), content.length);

    const got = counter();
    t.same(await store.getFile(put.key, join(dir, 'out'), { onProgress: got.add }), {
      sha256: hash,
      sizeBytes: content.length,
    });
    t.ok(readFileSync(join(dir, 'out')).equals(content));
    t.equal(got.total(), content.length);

    const read = counter();
    t.same(await store.hash(put.key, { onProgress: read.add }), { sha256: hash, sizeBytes: content.length });
    t.equal(read.total(), content.length);
  });

  scenario(
    'only the first bytes of a longer file are stored, a shorter file fails, an empty one is fine',
    async (t, store) => {
      const dir = scratch(t, { source: Buffer.from('abcdef'), empty: Buffer.alloc(0) });
      const put = await store.putFile(join(dir, 'source'), 3, fileKey);
      t.match(put, { sha256: sha256(Buffer.from('abc')), sizeBytes: 3 });
      t.equal((await store.get(put.key, 10)).toString(), 'abc');
      await t.rejects(store.putFile(join(dir, 'source'), 7, fileKey), {
        code: 'BACKUPFAILED',
        message: /6 of 7 bytes/,
      });
      await t.rejects(store.putFile(join(dir, 'absent'), 7, fileKey), {
        code: 'BACKUPFAILED',
        details: { errno: 'ENOENT' },
      });
      await t.rejects(store.putFile(dir, 7, fileKey), { code: 'BACKUPFAILED' });
      t.match(await store.putFile(join(dir, 'empty'), 0, fileKey), { sha256: sha256(), sizeBytes: 0, stored: true });
      t.equal((await keys(store, '')).length, 2);
      t.equal(await store.sweepPartial(), 0);
    },
  );

  scenario('an object that is there is kept, unless it is not to be trusted or has another size', async (t, store) => {
    const dir = scratch(t, { source: 'good' });
    const put = () => store.putFile(join(dir, 'source'), 4, fileKey);
    const { key } = await put();
    const version = (await store.stat(key))?.version;
    t.equal((await put()).stored, false);
    t.equal((await store.stat(key))?.version, version);

    await store.put(key, Buffer.from('evil'));
    t.equal((await put()).stored, false);
    t.equal((await store.get(key, 4)).toString(), 'evil');
    const replace = (hash: string) => hash === sha256(Buffer.from('good'));
    t.equal((await store.putFile(join(dir, 'source'), 4, fileKey, { replace })).stored, true);
    t.equal((await store.get(key, 4)).toString(), 'good');

    await store.put(key, Buffer.from('goo'));
    t.equal((await put()).stored, true);
    t.equal((await store.get(key, 4)).toString(), 'good');
    t.same(await keys(store, ''), [key]);
  });

  scenario('getFile never overwrites and a failed one leaves nothing', async (t, store) => {
    const dir = scratch(t, { mine: 'mine' });
    await store.put('x', Buffer.from('theirs'));
    await t.rejects(store.getFile('x', join(dir, 'mine')), { code: 'BACKUPFAILED', details: { errno: 'EEXIST' } });
    t.equal(readFileSync(join(dir, 'mine'), 'utf8'), 'mine');
    await t.rejects(store.getFile('x', join(dir, 'absent', 'out')), { code: 'BACKUPFAILED' });
  });

  scenario('a cancelled transfer says so and leaves nothing visible', async (t, store) => {
    const content = randomBytes(8 * MEBIBYTE);
    const dir = scratch(t, { source: content });
    const { key } = await store.putFile(join(dir, 'source'), content.length, fileKey);
    await store.delete(key);

    const early = AbortSignal.abort();
    const late = () => {
      const controller = new AbortController();
      return { signal: controller.signal, onProgress: () => controller.abort() };
    };
    const putFile = (options: object) => store.putFile(join(dir, 'source'), content.length, fileKey, options);
    await t.rejects(putFile({ signal: early }), { code: 'CANCELLED' });
    await t.rejects(putFile(late()), { code: 'CANCELLED' });
    t.same(await keys(store, ''), []);
    t.equal(await store.sweepPartial(), 0);

    await putFile({});
    await t.rejects(store.hash(key, { signal: early }), { code: 'CANCELLED' });
    await t.rejects(store.getFile(key, join(dir, 'out'), { signal: early }), { code: 'CANCELLED' });
    t.notOk(existsSync(join(dir, 'out')));
  });

  scenario('many transfers at once are all right', async (t, store) => {
    const contents = Array.from({ length: 40 }, (_, n) => randomBytes(1 + n * 20_000));
    const dir = scratch(t);
    contents.forEach((content, n) => {
      writeFileSync(join(dir, `${n}`), content);
    });
    const puts = await Promise.all(
      contents.map((content, n) => store.putFile(join(dir, `${n}`), content.length, fileKey)),
    );
    t.same(
      puts.map((put) => put.sha256),
      contents.map((content) => sha256(content)),
    );
    t.same(await keys(store, ''), puts.map((put) => put.key).sort());
    for (const put of puts) t.equal((await store.hash(put.key)).sha256, put.sha256);
  });

  scenario('free space is a number or unknown, and the location is for people', async (t, store) => {
    const free = await store.freeBytes();
    t.ok(free === null || (Number.isSafeInteger(free) && free > 0));
    t.ok(store.location.length > 0);
  });

  scenario('after close transfers are refused', async (t, store) => {
    const dir = scratch(t, { source: 'abc' });
    await store.close();
    await t.rejects(store.putFile(join(dir, 'source'), 3, fileKey), CairnError);
    await store.close();
  });
}

async function entries(store: Store, prefix: string): Promise<StoreEntry[]> {
  const found: StoreEntry[] = [];
  for await (const entry of store.list(prefix)) found.push(entry);
  return found.sort((a, b) => (a.key < b.key ? -1 : 1));
}

async function keys(store: Store, prefix: string): Promise<string[]> {
  return (await entries(store, prefix)).map((entry) => entry.key);
}

function counter(): { add: (bytes: number) => void; total: () => number } {
  let total = 0;
  const add = (bytes: number) => {
    total += bytes;
  };
  return { add, total: () => total };
}
