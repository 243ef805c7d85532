/** Many files in one native call: what is no file of its own is not read, and what changed is told from what did not. */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { FileRoot } from '../../src/base/file-calls.js';
import { nativeFiles } from '../../src/engine/index.js';
import { scratch } from '../support/scratch.js';

const ENOUGH = 1 << 20;
const at = (path: string): FileRoot => ({ path, identity: null });

t.test('files are read whole, and what is no regular file below real directories is not', async (t) => {
  const dir = scratch(t, {
    root: { a: { one: 'first', two: '', big: 'x'.repeat(101) } },
    outside: { secret: 'secret' },
  });
  const root = join(dir, 'root');
  symlinkSync(join(dir, 'outside'), join(root, 'linked'));
  symlinkSync(join(dir, 'outside', 'secret'), join(root, 'a', 'link'));
  symlinkSync('/dev/zero', join(root, 'a', 'zero'));
  mkdirSync(join(root, 'a', 'directory'));
  execFileSync('mkfifo', [join(root, 'a', 'pipe')]);
  const keys = [
    'a/one',
    'a/link',
    'a/two',
    'linked/secret',
    'a/pipe',
    'a/zero',
    'a/directory',
    'a/big',
    'a/none',
    'none/x',
  ];
  const found = await nativeFiles.reads(at(root), [...keys, 'a/one'], 100, ENOUGH);
  t.same(
    found.map((read) => read?.bytes.toString() ?? null),
    ['first', null, '', null, null, null, null, null, null, null, 'first'],
  );
  t.same(await nativeFiles.reads(at(root), [], 100, ENOUGH), []);
  t.same(await nativeFiles.reads(at(join(dir, 'none')), ['a/one'], 100, ENOUGH), [null]);
  t.same(await nativeFiles.reads(at(join(root, 'linked')), ['secret'], 100, ENOUGH), [null], 'nor is the root a link');
});

t.test('a call ends when it has read enough, but never before it has read one', async (t) => {
  const dir = scratch(t, { a: 'x'.repeat(60), b: 'y'.repeat(60), c: 'z' });
  t.equal((await nativeFiles.reads(at(dir), ['a', 'b', 'c'], 100, 100)).length, 2);
  t.equal((await nativeFiles.reads(at(dir), ['a', 'b', 'c'], 100, 0)).length, 1);
  t.equal((await nativeFiles.reads(at(dir), ['none', 'a', 'b', 'c'], 100, 60)).length, 2);
});

t.test('ten thousand files, and the bytes of each', async (t) => {
  const dir = scratch(t);
  const names = Array.from({ length: 10_000 }, (_, nth) => `${nth}.json`);
  for (const name of names) writeFileSync(join(dir, name), name);
  const found = await nativeFiles.reads(at(dir), names, 100, ENOUGH);
  t.same(
    found.map((read) => read?.bytes.toString()),
    names,
  );
  const { seen, files } = await nativeFiles.changes(at(dir), '');
  t.same(files.map(({ name }) => name).sort(), [...names].sort());
  for (const name of ['5.json', '9999.json']) writeFileSync(join(dir, name), 'other');
  rmSync(join(dir, '77.json'));
  writeFileSync(join(dir, 'new.json'), 'new');
  const changes = await nativeFiles.changes(at(dir), '', seen);
  t.same(changes.files.map(({ name }) => name).sort(), ['5.json', '9999.json', 'new.json']);
  t.same(changes.gone, ['77.json']);
});

t.test('a file is another one when its inode, its size or its time is', async (t) => {
  const dir = scratch(t, { d: { inode: 'x', size: 'x', time: 'x', same: 'x' }, other: 'x' });
  const path = (name: string) => join(dir, 'd', name);
  const { mtime } = statSync(path('inode'));
  utimesSync(path('size'), mtime, mtime);
  utimesSync(join(dir, 'other'), mtime, mtime);
  const { seen } = await nativeFiles.changes(at(dir), 'd/');
  renameSync(join(dir, 'other'), path('inode'));
  writeFileSync(path('size'), 'xx');
  utimesSync(path('size'), mtime, mtime);
  utimesSync(path('time'), new Date(0), new Date(1));
  const { files, gone } = await nativeFiles.changes(at(dir), 'd/', seen);
  t.same(files.map(({ name }) => name).sort(), ['inode', 'size', 'time']);
  t.same(gone, []);
});

t.test('a directory, a link or a pipe in the place of a file means that the file is gone', async (t) => {
  const dir = scratch(t, { a: 'x', b: 'x', c: 'x', d: { x: 'x' } });
  const first = await nativeFiles.changes(at(dir), '');
  t.same(first.files.map(({ name }) => name).sort(), ['a', 'b', 'c']);
  for (const name of ['a', 'b', 'c']) rmSync(join(dir, name));
  rmSync(join(dir, 'd'), { recursive: true });
  mkdirSync(join(dir, 'a'));
  symlinkSync('a', join(dir, 'b'));
  execFileSync('mkfifo', [join(dir, 'c')]);
  writeFileSync(join(dir, 'd'), 'a file where a directory was');
  const { files, gone, seen } = await nativeFiles.changes(at(dir), '', first.seen);
  t.same(
    files.map(({ name }) => name),
    ['d'],
  );
  t.same([...gone].sort(), ['a', 'b', 'c']);
  t.match(await nativeFiles.changes(at(dir), '', seen), { files: [], gone: [] });
});

t.test('what a look has seen that is none is nothing known: every file is new, and nothing breaks', async (t) => {
  const dir = scratch(t, { a: 'x', b: 'y' });
  for (const hostile of [
    Buffer.alloc(0),
    Buffer.from('f'),
    Buffer.from('fa'),
    Buffer.from('fa\0short'),
    Buffer.alloc(5000, 102),
  ]) {
    const { files } = await nativeFiles.changes(at(dir), '', hostile);
    t.same(files.map(({ name }) => name).sort(), ['a', 'b']);
  }
});

t.test('a file that an earlier look has met twice is not gone while it is there', async (t) => {
  const dir = scratch(t, { a: 'first' });
  const { seen: before } = await nativeFiles.changes(at(dir), '');
  renameSync(join(dir, 'a'), join(dir, 'elsewhere'));
  writeFileSync(join(dir, 'a'), 'second');
  rmSync(join(dir, 'elsewhere'));
  const { seen: after } = await nativeFiles.changes(at(dir), '');
  const twice = Buffer.concat([before, after]);
  t.same((await nativeFiles.changes(at(dir), '', twice)).gone, []);
  t.same((await nativeFiles.changes(at(dir), '', Buffer.concat([after, before]))).gone, []);
  rmSync(join(dir, 'a'));
  t.same((await nativeFiles.changes(at(dir), '', twice)).gone, ['a']);
});

t.test('names that are no text, and hidden ones, do no harm', async (t) => {
  const dir = scratch(t, { '.hidden': 'x', 'new\nline': 'x', plain: 'x' });
  const odd = Buffer.concat([Buffer.from(`${dir}/`), Buffer.from([0xff, 0xfe])]);
  writeFileSync(odd, 'x');
  const first = await nativeFiles.changes(at(dir), '');
  t.equal(first.files.length, 3);
  t.ok(first.files.some(({ name }) => name === 'plain'));
  rmSync(odd);
  t.equal((await nativeFiles.changes(at(dir), '', first.seen)).gone.length, 1);
  t.same(readdirSync(dir).sort(), ['.hidden', 'new\nline', 'plain']);
});

t.test('files that the system lets nobody look at are there, and cannot be read', async (t) => {
  const dir = scratch(t, { d: { a: 'x' } });
  const { seen } = await nativeFiles.changes(at(dir), 'd/');
  chmodSync(dir, 0o755);
  chmodSync(join(dir, 'd'), 0o444);
  const isRoot = process.getuid?.() === 0;
  if (isRoot) process.seteuid?.('nobody');
  try {
    const { files, gone } = await nativeFiles.changes(at(dir), 'd/', seen);
    t.match(files, [{ name: 'a', version: '0-0-0-0', sizeBytes: 0 }]);
    t.same(gone, []);
    t.same(await nativeFiles.reads(at(dir), ['d/a'], 100, ENOUGH), [null]);
  } finally {
    if (isRoot) process.seteuid?.(0);
    chmodSync(join(dir, 'd'), 0o755);
  }
  t.match((await nativeFiles.changes(at(dir), 'd/', seen)).files, []);
});

t.test('a directory that goes away has no files; one that cannot be listed is an error', async (t) => {
  const dir = scratch(t, { d: { a: 'x' }, file: 'x' });
  const { seen } = await nativeFiles.changes(at(dir), 'd/');
  rmSync(join(dir, 'd'), { recursive: true });
  t.match(await nativeFiles.changes(at(dir), 'd/', seen), { missing: true, files: [], gone: ['a'] });
  await t.rejects(nativeFiles.list(at(dir), 'd/'), { code: 'ENOENT' });
  await t.rejects(nativeFiles.changes(at(dir), 'file/'), { code: 'ENOTDIR' });
  await t.rejects(nativeFiles.changes(at(dir), 'file/below/'), { code: 'ENOTDIR' });
  symlinkSync(dir, join(dir, 'link'));
  await t.rejects(nativeFiles.changes(at(dir), 'link/'), { message: /ELOOP|ENOTDIR/ });
});

t.test('a root that is another directory than it was is not there', async (t) => {
  const dir = scratch(t, { root: { d: { a: 'x' } } });
  const root = join(dir, 'root');
  const { dev, ino } = statSync(root, { bigint: true });
  const known: FileRoot = { path: root, identity: `${dev}-${ino}` };
  const { seen } = await nativeFiles.changes(known, 'd/');
  t.same([...(await nativeFiles.sizes(known, ['d/a']))], [1]);
  renameSync(root, join(dir, 'old'));
  mkdirSync(join(root, 'd'), { recursive: true });
  writeFileSync(join(root, 'd', 'a'), 'x');
  t.same([...(await nativeFiles.sizes(known, ['d/a']))], [Number.NaN]);
  t.same(await nativeFiles.reads(known, ['d/a'], 100, ENOUGH), [null]);
  const stale = { code: 'ESTALE' };
  await t.rejects(nativeFiles.changes(known, 'd/', seen), stale, 'nobody takes its files for gone');
  await t.rejects(nativeFiles.list(known, ''), stale);
  await t.rejects(nativeFiles.stage(known, '.tmp', Buffer.from('y')), stale);
  await t.rejects(nativeFiles.settle(known, 'd', 'e', false), stale);
  rmSync(root, { recursive: true });
  await t.rejects(nativeFiles.changes(known, 'd/', seen), stale);
  mkdirSync(join(root, 'd'), { recursive: true });
  t.same(readdirSync(root), ['d']);
});

t.test(
  'a file is staged whole, for its owner alone, and settled in the place of another or only where there is none',
  async (t) => {
    const dir = scratch(t, { d: { a: 'old' } });
    const bytes = Buffer.alloc(3 << 20, 'new');
    const read = (name: string) => readFileSync(join(dir, name));
    await nativeFiles.stage(at(dir), '.tmp', bytes);
    t.equal(statSync(join(dir, '.tmp')).mode & 0o777, 0o600);
    t.ok(read('.tmp').equals(bytes));
    await t.rejects(nativeFiles.stage(at(dir), '.tmp', bytes), { code: 'EEXIST', message: /open '.*\.tmp'/ });
    await t.rejects(nativeFiles.settle(at(dir), '.tmp', 'd/a', true), { code: 'EEXIST', message: /link '.*d\/a'/ });
    t.equal(read('d/a').toString(), 'old');
    await nativeFiles.settle(at(dir), '.tmp', 'd/b', true);
    t.ok(read('d/b').equals(bytes));
    t.equal(statSync(join(dir, 'd/b')).nlink, 1);
    await nativeFiles.stage(at(dir), '.tmp', Buffer.alloc(0));
    await nativeFiles.settle(at(dir), '.tmp', 'd/a', false);
    t.equal(read('d/a').length, 0);
    await nativeFiles.stage(at(dir), '.tmp', Buffer.from('top'));
    await nativeFiles.settle(at(dir), '.tmp', 'top', false);
    t.equal(read('top').toString(), 'top');
    t.same(readdirSync(dir).sort(), ['d', 'top']);
  },
);

t.test('of many writers that want an absent name exactly one gets it', async (t) => {
  const dir = scratch(t);
  const put = async (n: number) => {
    await nativeFiles.stage(at(dir), `.tmp-${n}`, Buffer.from(`${n}`));
    await nativeFiles.settle(at(dir), `.tmp-${n}`, 'name', true);
  };
  const results = await Promise.allSettled(Array.from({ length: 20 }, (_, n) => put(n)));
  const winners = results.flatMap((result, n) => (result.status === 'fulfilled' ? [n] : []));
  t.equal(winners.length, 1);
  t.equal(readFileSync(join(dir, 'name'), 'utf8'), `${winners[0]}`);
});

t.test('nothing is settled through a link, in a directory that is not there, or where a directory is', async (t) => {
  const dir = scratch(t, { root: { d: { sub: {} } }, outside: {} });
  const root = join(dir, 'root');
  symlinkSync(join(dir, 'outside'), join(root, 'link'));
  await nativeFiles.stage(at(root), '.tmp', Buffer.from('x'));
  await t.rejects(nativeFiles.settle(at(root), '.tmp', 'link/a', false), { message: /ELOOP|ENOTDIR/ });
  await t.rejects(nativeFiles.settle(at(root), '.tmp', 'none/a', false), { code: 'ENOENT' });
  await t.rejects(nativeFiles.settle(at(root), '.tmp', 'd/sub', false), { code: 'EISDIR' });
  await t.rejects(nativeFiles.settle(at(root), '.other', 'd/a', true), { code: 'ENOENT' });
  t.same(readdirSync(join(dir, 'outside')), []);
  t.same(readdirSync(root).sort(), ['.tmp', 'd', 'link']);
});
