/** The local store: the conformance suite, and what only a directory can do wrong. Real file systems throughout. */
import { execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { CairnError } from '../../src/base/errors.js';
import { sha256 } from '../../src/base/hash.js';
import { nativeFiles } from '../../src/engine/index.js';
import { openLocalStore } from '../../src/storage/local-store.js';
import { recode } from '../../src/storage/storage-error.js';
import type { Got, Store } from '../../src/storage/store.js';
import { storeConformance } from '../conformance/store.js';
import { cannotRefuse, makeImmutable } from '../support/refusing.js';
import { scratch } from '../support/scratch.js';

const isRoot = process.getuid?.() === 0;
const fileKey = (hash: string) => `files/${hash.slice(0, 2)}/${hash}`;

t.test('conforms', async (t) => storeConformance(t, (t) => openStore(t)));

t.test('conforms when sizes are asked for one by one', async (t) =>
  storeConformance(t, (t) => openLocalStore(scratch(t), { files: nativeFiles })),
);

t.test('a missing directory is an error unless it may be made; a file in its place always is', async (t) => {
  const dir = scratch(t, { file: '' });
  await t.rejects(openLocalStore(join(dir, 'absent'), { files: nativeFiles }), {
    code: 'BACKUPFAILED',
    details: { errno: 'ENOENT' },
  });
  await t.rejects(openLocalStore(join(dir, 'file'), { files: nativeFiles }), { code: 'BACKUPFAILED' });
  await t.rejects(openLocalStore(join(dir, 'file'), { files: nativeFiles, create: true }), { code: 'BACKUPFAILED' });
  const store = await openLocalStore(join(dir, 'a/b'), { files: nativeFiles, create: true });
  t.equal(lstatSync(join(dir, 'a/b')).mode & 0o777, 0o700);
  await store.close();
});

t.test('files are 0600, directories 0700, and nothing shares an inode with its source or copy', async (t) => {
  const store = await openStore(t);
  const dir = scratch(t, { source: 'abc' });
  chmodSync(join(dir, 'source'), 0o666);
  const { key } = await store.putFile(join(dir, 'source'), 3, fileKey);
  await store.put('backups/1', Buffer.from('x'), { ifAbsent: true });
  await store.getFile(key, join(dir, 'out'));
  const stored = lstatSync(join(store.location, key));
  t.equal(stored.mode & 0o777, 0o600);
  t.equal(lstatSync(join(store.location, 'files')).mode & 0o777, 0o700);
  for (const path of [join(dir, 'source'), join(dir, 'out')]) t.not(lstatSync(path).ino, stored.ino);
  t.equal(lstatSync(join(dir, 'out')).mode & 0o777, 0o600);
  for (const path of [join(store.location, key), join(store.location, 'backups/1')]) t.equal(lstatSync(path).nlink, 1);
});

t.test('a put that was killed leaves nothing visible, and the sweep removes it', async (t) => {
  const root = scratch(t);
  const module = (name: string) => JSON.stringify(new URL(`../../src/${name}`, import.meta.url).href);
  const script = `
    import { nativeFiles } from ${module('engine/index.js')};
    import { openLocalStore } from ${module('storage/local-store.js')};
    const store = await openLocalStore(${JSON.stringify(root)}, { files: nativeFiles });
    const die = () => { process.kill(process.pid, 'SIGKILL'); return new Promise(() => {}); };
    await store.put('backups/00000001.json', Buffer.from('x'), { beforeVisible: die });`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: 'inherit' });
  const [, signal] = await once(child, 'exit');
  t.equal(signal, 'SIGKILL');

  const store = await openStore(t, root);
  writeFileSync(join(root, '.lock'), '');
  t.ok(readdirSync(root).some((name) => name.startsWith('.tmp-')));
  t.same(await keys(store), []);
  t.equal(await store.stat('backups/00000001.json'), null);
  t.equal(await store.sweepPartial(), 1);
  t.equal(await store.sweepPartial(), 0);
  t.same(readdirSync(root).sort(), ['.lock', 'backups']);
});

t.test('symbolic links below the root are refused, wherever they lead', async (t) => {
  const dir = scratch(t, { root: { real: { x: 'inside' } }, outside: { x: 'outside' } });
  const root = join(dir, 'root');
  const store = await openStore(t, root);
  symlinkSync(join(dir, 'outside'), join(root, 'out'));
  symlinkSync(join(root, 'real'), join(root, 'in'));
  symlinkSync(join(dir, 'outside', 'x'), join(root, 'real', 'link'));
  symlinkSync('/dev/zero', join(root, 'zero'));
  for (const key of ['out/x', 'in/x', 'real/link', 'zero']) {
    await t.rejects(store.get(key, 100), { code: 'BACKUPCORRUPT' }, `get ${key}`);
    await t.rejects(store.hash(key), { code: 'BACKUPCORRUPT' }, `hash ${key}`);
    await t.rejects(store.stat(key), { code: 'BACKUPCORRUPT' }, `stat ${key}`);
    await t.rejects(store.sizes(['real/x', key]), { code: 'BACKUPCORRUPT' }, `sizes ${key}`);
    const got = await batches(store.getMany(['real/x', key, 'real/x'], 100));
    t.match(got, [{ error: null }, { bytes: null, error: { code: 'BACKUPCORRUPT' } }, { error: null }], `many ${key}`);
  }
  for (const prefix of ['out/', 'in/']) await t.rejects(store.changes(prefix), { code: 'BACKUPCORRUPT' });
  t.same(
    (await store.changes('real/')).changed.map(({ key }) => key),
    ['real/x'],
    'a link is no object',
  );
  await t.rejects(store.put('out/y', Buffer.from('x')), { code: 'BACKUPCORRUPT' });
  await t.rejects(store.delete('out/x'), { code: 'BACKUPCORRUPT' });
  await store.put('real/link', Buffer.from('mine'));
  t.equal(readFileSync(join(dir, 'outside', 'x'), 'utf8'), 'outside', 'the target of a replaced link is untouched');
  t.same(await keys(store), ['real/link', 'real/x']);
});

t.test('a pipe or a directory in the place of an object hangs nothing', async (t) => {
  const store = await openStore(t);
  execFileSync('mkfifo', [join(store.location, 'pipe')]);
  mkdirSync(join(store.location, 'taken', 'x'), { recursive: true });
  await t.rejects(store.hash('pipe'), { code: 'BACKUPCORRUPT' });
  await t.rejects(store.get('pipe', 10), { code: 'BACKUPCORRUPT' });
  t.match(await batches(store.getMany(['pipe', 'taken', 'taken/x'], 10)), [
    { error: { code: 'BACKUPCORRUPT' } },
    { error: { name: 'StoreObjectMissing' } },
    { error: { name: 'StoreObjectMissing' } },
  ]);
  await t.rejects(store.changes('pipe/'), { code: 'BACKUPFAILED' });
  t.match(await store.changes('taken/'), { changed: [], gone: [] });
  await t.rejects(store.put('taken', Buffer.from('x')), { code: 'BACKUPFAILED', details: { key: 'taken' } });
  const source = join(scratch(t, { source: 'abc' }), 'source');
  await t.rejects(
    store.putFile(source, 3, () => 'taken'),
    { code: 'BACKUPFAILED' },
  );
  await t.rejects(store.put('pipe/x', Buffer.from('x')), { code: 'BACKUPFAILED' });
  t.same(readdirSync(store.location).sort(), ['pipe', 'taken'], 'no unfinished file stays');
});

t.test('a root that was replaced or removed is not written to', async (t) => {
  const dir = scratch(t, { root: {} });
  const root = join(dir, 'root');
  const store = await openStore(t, root);
  await store.put('a/b', Buffer.from('x'));
  renameSync(root, join(dir, 'away'));
  await t.rejects(store.put('a/c', Buffer.from('x')), { code: 'BACKUPFAILED', message: /is gone/ });
  await t.rejects(store.sizes(['a/b']), { code: 'BACKUPFAILED', message: /is gone/ });
  await t.rejects(store.get('a/b', 10), { code: 'BACKUPFAILED' });
  await t.rejects(batches(store.getMany(['a/b'], 10)), { code: 'BACKUPFAILED' });
  await t.rejects(store.changes('a/'), { code: 'BACKUPFAILED', message: /is gone/ });
  mkdirSync(root);
  await t.rejects(store.put('a/c', Buffer.from('x')), { code: 'BACKUPFAILED', message: /no longer the directory/ });
  await t.rejects(keys(store), { code: 'BACKUPFAILED' });
  t.same(readdirSync(root), []);
  rmSync(root, { recursive: true });
  renameSync(join(dir, 'away'), root);
  t.same(await keys(store), ['a/b']);
});

t.test('a directory that somebody removed is made again', async (t) => {
  const store = await openStore(t);
  await store.put('files/ab/x', Buffer.from('x'));
  rmSync(join(store.location, 'files'), { recursive: true });
  await store.put('files/ab/x', Buffer.from('y'));
  t.equal((await store.get('files/ab/x', 1)).toString(), 'y');
});

t.test('foreign files in the directory are not objects', async (t) => {
  const store = await openStore(t);
  await store.put('x', Buffer.from('x'));
  for (const name of ['.tmp-1', '.hidden', 'has space', 'ünï', 'a+b']) writeFileSync(join(store.location, name), '');
  mkdirSync(join(store.location, '.dir'));
  writeFileSync(join(store.location, '.dir', 'y'), '');
  t.same(await keys(store), ['x']);
});

t.test(
  'a full disk is NOSPACE with needed and free bytes, and leaves no part behind',
  { skip: !isRoot && 'needs root' },
  async (t) => {
    const root = mount(t, 'size=4m');
    const store = await openStore(t, root);
    await store.put('small', Buffer.from('stays'));
    const dir = scratch(t, { big: randomBytes(6 * 1024 * 1024) });
    const tooBig = (error: unknown): void => {
      const { code, message, details } = error as CairnError;
      t.equal(code, 'NOSPACE');
      t.match(message, /6291456 bytes needed, \d+ bytes free/);
      t.match(details, { errno: 'ENOSPC', neededBytes: 6291456, freeBytes: Number });
    };
    await store.putFile(join(dir, 'big'), 6291456, fileKey).then(() => t.fail('it fitted'), tooBig);
    await store.put('big', readFileSync(join(dir, 'big'))).then(() => t.fail('it fitted'), tooBig);
    t.same(readdirSync(root), ['small']);
    t.equal((await store.get('small', 10)).toString(), 'stays');

    const half = readFileSync(join(dir, 'big')).subarray(0, 3 * 1024 * 1024);
    await store.put('half', half);
    await t.rejects(store.getFile('half', join(root, 'copy')), { code: 'NOSPACE' });
    t.same(readdirSync(root).sort(), ['half', 'small']);
  },
);

t.test('a read-only file system reads, refuses to write and says so', { skip: !isRoot && 'needs root' }, async (t) => {
  const root = mount(t, 'size=4m');
  const writable = await openLocalStore(root, { files: nativeFiles });
  await writable.put('x', Buffer.from('abc'));
  await writable.close();
  execFileSync('mount', ['-o', 'remount,ro', root]);
  const store = await openStore(t, root);
  t.equal((await store.hash('x')).sha256, sha256(Buffer.from('abc')));
  const refused = { code: 'BACKUPFAILED', details: { errno: 'EROFS' }, hint: /read-only/ };
  await t.rejects(store.put('x', Buffer.from('y')), refused);
  await t.rejects(store.put('new/y', Buffer.from('y')), refused);
  await t.rejects(store.delete('x'), refused);
  const source = join(scratch(t, { source: 'abc' }), 'source');
  await t.rejects(store.putFile(source, 3, fileKey), refused);
  t.equal((await store.get('x', 3)).toString(), 'abc');
});

t.test('a kept object is the one that is there, whoever else links to it', async (t) => {
  const store = await openStore(t);
  const dir = scratch(t, { source: 'abc' });
  const { key } = await store.putFile(join(dir, 'source'), 3, fileKey);
  linkSync(join(store.location, key), join(dir, 'elsewhere'));
  const before = statSync(join(store.location, key)).ino;
  await store.putFile(join(dir, 'source'), 3, fileKey, { replace: () => true });
  t.not(statSync(join(store.location, key)).ino, before, 'replacing writes a new file, never into the old one');
  t.ok(existsSync(join(dir, 'elsewhere')));
});

t.test('a failure can be told under the code of the operation, specific codes stay', async (t) => {
  const failed = new CairnError('BACKUPFAILED', 'x', { hint: 'y', details: { errno: 'EIO' } });
  t.match(recode(failed, 'RESTOREFAILED'), {
    code: 'RESTOREFAILED',
    message: 'x',
    hint: 'y',
    details: { errno: 'EIO' },
  });
  const full = new CairnError('NOSPACE', 'x');
  t.equal(recode(full, 'RESTOREFAILED'), full);
});

t.test(
  'inodes from 2^63 on, as overlays and pooled disks have them, are the same in every look',
  { skip: !isRoot && 'needs root' },
  async (t) => {
    // The third layer's inodes have the highest bit.
    const [over, low, lowest] = ['size=1m', 'size=1m', 'size=1m'].map((options) => mount(t, options));
    const path = scratch(t);
    mkdirSync(join(over as string, 'up'));
    mkdirSync(join(over as string, 'work'));
    mkdirSync(join(lowest as string, 'repository'));
    const layers = `lowerdir=${low}:${lowest},upperdir=${over}/up,workdir=${over}/work`;
    try {
      execFileSync('mount', ['-t', 'overlay', '-o', `xino=on,${layers}`, 'none', path], { stdio: 'pipe' });
    } catch {
      return t.pass('no overlays here');
    }
    t.teardown(() => execFileSync('umount', ['-l', path]));
    const root = join(path, 'repository');
    if (BigInt.asUintN(64, statSync(root, { bigint: true }).ino) < 2n ** 63n) return t.pass('small inodes here');
    const store = await openStore(t, root);
    await store.put('a/b', Buffer.from('abc'));
    t.equal((await store.get('a/b', 3)).toString(), 'abc');
    t.same(await keys(store), ['a/b']);
    const { changed } = await store.changes('a/');
    t.same(changed, [await store.stat('a/b')]);
  },
);

t.test('a directory that was moved, and a link left in its place, is the one that was opened', async (t) => {
  const dir = scratch(t);
  mkdirSync(join(dir, 'repository'));
  const store = await openStore(t, join(dir, 'repository'));
  await store.put('a/b', Buffer.from('abc'));
  renameSync(join(dir, 'repository'), join(dir, 'elsewhere'));
  symlinkSync(join(dir, 'elsewhere'), join(dir, 'repository'));
  await store.put('a/c', Buffer.from('def'));
  t.equal((await store.get('a/b', 3)).toString(), 'abc');
  t.same(await keys(store), ['a/b', 'a/c']);
  t.equal((await store.changes('a/')).changed.length, 2);
});

t.test('below an object there are no keys', async (t) => {
  const store = await openStore(t);
  await store.put('a', Buffer.from('abc'));
  for await (const { key } of store.list('a/')) t.fail(key);
  for await (const { key } of store.list('a/b')) t.fail(key);
});

t.test('what one native call has no memory for is read in parts, or is an error that says what was read', async (t) => {
  const refusing = async () => Promise.reject(new Error('Operation aborted: std::bad_alloc'));
  const store = await openLocalStore(scratch(t), { files: { ...nativeFiles, reads: refusing } });
  t.teardown(() => store.close());
  await store.put('a', Buffer.from('abc'));
  t.equal((await store.get('a', 3)).toString(), 'abc');
});

async function openStore(t: Test, root = scratch(t)): Promise<Store> {
  const store = await openLocalStore(root, { files: nativeFiles });
  t.teardown(() => store.close());
  return store;
}

/** A small file system of its own, unmounted at the end. */
function mount(t: Test, options: string): string {
  const path = scratch(t);
  execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', path]);
  t.teardown(() => execFileSync('umount', ['-l', path]));
  return path;
}

async function keys(store: Store): Promise<string[]> {
  const found: string[] = [];
  for await (const entry of store.list('')) found.push(entry.key);
  return found.sort();
}

t.test(
  'D8: one object that cannot be removed keeps none of the others; the failure names it',
  { skip: cannotRefuse },
  async (t) => {
    const store = await openStore(t);
    const keys = ['wal/1/a.seg', 'wal/1/b.seg', 'wal/2/c.seg'];
    for (const key of keys) await store.put(key, Buffer.from(key));
    const release = makeImmutable(t, join(store.location, 'wal/1/a.seg'));
    await t.rejects(store.deleteAll(keys), { code: 'BACKUPFAILED', details: { key: 'wal/1/a.seg', errno: 'EPERM' } });
    t.same(
      keys.map((key) => existsSync(join(store.location, key))),
      [true, false, false],
    );
    release();
    t.equal(await store.deleteAll(keys), 1);
    await store.close();
  },
);

async function batches(all: AsyncIterable<readonly Got[]>): Promise<Got[]> {
  const found: Got[] = [];
  for await (const batch of all) found.push(...batch);
  return found;
}
