/** Many files in one native call: what is no file of its own is not read, and what changed is told from what did not. */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { nativeFiles } from '../../src/engine/index.js';
import { scratch } from '../support/scratch.js';

const ENOUGH = 1 << 20;

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
  const found = await nativeFiles.reads(root, [...keys, 'a/one'], 100, ENOUGH);
  t.same(
    found.map((bytes) => bytes?.toString() ?? null),
    ['first', null, '', null, null, null, null, null, null, null, 'first'],
  );
  t.same(await nativeFiles.reads(root, [], 100, ENOUGH), []);
  t.same(await nativeFiles.reads(join(dir, 'none'), ['a/one'], 100, ENOUGH), [null]);
  t.same(await nativeFiles.reads(join(root, 'linked'), ['secret'], 100, ENOUGH), [null], 'nor is the root a link');
});

t.test('a call ends when it has read enough, but never before it has read one', async (t) => {
  const dir = scratch(t, { a: 'x'.repeat(60), b: 'y'.repeat(60), c: 'z' });
  t.equal((await nativeFiles.reads(dir, ['a', 'b', 'c'], 100, 100)).length, 2);
  t.equal((await nativeFiles.reads(dir, ['a', 'b', 'c'], 100, 0)).length, 1);
  t.equal((await nativeFiles.reads(dir, ['none', 'a', 'b', 'c'], 100, 60)).length, 2);
});

t.test('ten thousand files, and the bytes of each', async (t) => {
  const dir = scratch(t);
  const names = Array.from({ length: 10_000 }, (_, nth) => `${nth}.json`);
  for (const name of names) writeFileSync(join(dir, name), name);
  const found = await nativeFiles.reads(dir, names, 100, ENOUGH);
  t.same(
    found.map((bytes) => bytes?.toString()),
    names,
  );
  const { seen, files } = await nativeFiles.changes(dir);
  t.same(files.map(({ name }) => name).sort(), [...names].sort());
  for (const name of ['5.json', '9999.json']) writeFileSync(join(dir, name), 'other');
  rmSync(join(dir, '77.json'));
  writeFileSync(join(dir, 'new.json'), 'new');
  const changes = await nativeFiles.changes(dir, seen);
  t.same(changes.files.map(({ name }) => name).sort(), ['5.json', '9999.json', 'new.json']);
  t.same(changes.gone, ['77.json']);
});

t.test('a file is another one when its inode, its size or its time is', async (t) => {
  const dir = scratch(t, { d: { inode: 'x', size: 'x', time: 'x', same: 'x' }, other: 'x' });
  const path = (name: string) => join(dir, 'd', name);
  const { mtime } = statSync(path('inode'));
  utimesSync(path('size'), mtime, mtime);
  utimesSync(join(dir, 'other'), mtime, mtime);
  const { seen } = await nativeFiles.changes(join(dir, 'd'));
  renameSync(join(dir, 'other'), path('inode'));
  writeFileSync(path('size'), 'xx');
  utimesSync(path('size'), mtime, mtime);
  utimesSync(path('time'), new Date(0), new Date(1));
  const { files, gone } = await nativeFiles.changes(join(dir, 'd'), seen);
  t.same(files.map(({ name }) => name).sort(), ['inode', 'size', 'time']);
  t.same(gone, []);
});

t.test('a directory, a link or a pipe in the place of a file means that the file is gone', async (t) => {
  const dir = scratch(t, { a: 'x', b: 'x', c: 'x', d: { x: 'x' } });
  const first = await nativeFiles.changes(dir);
  t.same(first.files.map(({ name }) => name).sort(), ['a', 'b', 'c']);
  for (const name of ['a', 'b', 'c']) rmSync(join(dir, name));
  rmSync(join(dir, 'd'), { recursive: true });
  mkdirSync(join(dir, 'a'));
  symlinkSync('a', join(dir, 'b'));
  execFileSync('mkfifo', [join(dir, 'c')]);
  writeFileSync(join(dir, 'd'), 'a file where a directory was');
  const { files, gone, seen } = await nativeFiles.changes(dir, first.seen);
  t.same(
    files.map(({ name }) => name),
    ['d'],
  );
  t.same([...gone].sort(), ['a', 'b', 'c']);
  t.match(await nativeFiles.changes(dir, seen), { files: [], gone: [] });
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
    const { files } = await nativeFiles.changes(dir, hostile);
    t.same(files.map(({ name }) => name).sort(), ['a', 'b']);
  }
});

t.test('a file that an earlier look has met twice is not gone while it is there', async (t) => {
  const dir = scratch(t, { a: 'first' });
  const { seen: before } = await nativeFiles.changes(dir);
  renameSync(join(dir, 'a'), join(dir, 'elsewhere'));
  writeFileSync(join(dir, 'a'), 'second');
  rmSync(join(dir, 'elsewhere'));
  const { seen: after } = await nativeFiles.changes(dir);
  const twice = Buffer.concat([before, after]);
  t.same((await nativeFiles.changes(dir, twice)).gone, []);
  t.same((await nativeFiles.changes(dir, Buffer.concat([after, before]))).gone, []);
  rmSync(join(dir, 'a'));
  t.same((await nativeFiles.changes(dir, twice)).gone, ['a']);
});

t.test('names that are no text, and hidden ones, do no harm', async (t) => {
  const dir = scratch(t, { '.hidden': 'x', 'new\nline': 'x', plain: 'x' });
  const odd = Buffer.concat([Buffer.from(`${dir}/`), Buffer.from([0xff, 0xfe])]);
  writeFileSync(odd, 'x');
  const first = await nativeFiles.changes(dir);
  t.equal(first.files.length, 3);
  t.ok(first.files.some(({ name }) => name === 'plain'));
  rmSync(odd);
  t.equal((await nativeFiles.changes(dir, first.seen)).gone.length, 1);
  t.same(readdirSync(dir).sort(), ['.hidden', 'new\nline', 'plain']);
});

t.test('files that the system lets nobody look at are there, and cannot be read', async (t) => {
  const dir = scratch(t, { d: { a: 'x' } });
  const { seen } = await nativeFiles.changes(join(dir, 'd'));
  chmodSync(dir, 0o755);
  chmodSync(join(dir, 'd'), 0o444);
  const isRoot = process.getuid?.() === 0;
  if (isRoot) process.seteuid?.('nobody');
  try {
    const { files, gone } = await nativeFiles.changes(join(dir, 'd'), seen);
    t.match(files, [{ name: 'a', version: '0-0-0-0', sizeBytes: 0 }]);
    t.same(gone, []);
    t.same(await nativeFiles.reads(dir, ['d/a'], 100, ENOUGH), [null]);
  } finally {
    if (isRoot) process.seteuid?.(0);
    chmodSync(join(dir, 'd'), 0o755);
  }
  t.match((await nativeFiles.changes(join(dir, 'd'), seen)).files, []);
});

t.test('a directory that goes away has no files; one that cannot be listed is an error', async (t) => {
  const dir = scratch(t, { d: { a: 'x' }, file: 'x' });
  const { seen } = await nativeFiles.changes(join(dir, 'd'));
  rmSync(join(dir, 'd'), { recursive: true });
  t.match(await nativeFiles.changes(join(dir, 'd'), seen), { files: [], gone: ['a'] });
  await t.rejects(nativeFiles.list(join(dir, 'd')), { code: 'ENOENT' });
  await t.rejects(nativeFiles.changes(join(dir, 'file')), { code: 'ENOTDIR' });
  symlinkSync(dir, join(dir, 'link'));
  await t.rejects(nativeFiles.changes(join(dir, 'link')), { message: /ELOOP|ENOTDIR/ });
});
