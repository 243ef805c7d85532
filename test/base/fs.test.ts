/** The durable file helpers, on a real directory, with their failing paths. */
import { lstatSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import {
  atomicWriteFile,
  errnoOf,
  FileTooLarge,
  freeBytes,
  makeDirectory,
  readFileBounded,
  removeFile,
  removeTree,
  renameDurably,
  treeSize,
  walkFiles,
} from '../../src/base/fs.js';
import { scratch } from '../support/scratch.js';

t.test('an atomic write replaces a file whole, privately, and leaves nothing else', async (t) => {
  const dir = scratch(t, { target: 'old' });
  const path = join(dir, 'target');
  await atomicWriteFile(path, Buffer.from('new'));
  t.equal(readFileSync(path, 'utf8'), 'new');
  t.equal(lstatSync(path).mode & 0o777, 0o600);
  t.same(readdirSync(dir), ['target']);
});

t.test('an atomic write that fails leaves the target and no unfinished file', async (t) => {
  const dir = scratch(t, { 'in-the-way': { file: '' } });
  await t.rejects(atomicWriteFile(join(dir, 'in-the-way'), Buffer.from('x')));
  await t.rejects(atomicWriteFile(join(dir, 'absent', 'file'), Buffer.from('x')), { code: 'ENOENT' });
  t.same(readdirSync(dir), ['in-the-way']);
});

t.test('makeDirectory makes every level private and is content with one that is there', async (t) => {
  const dir = scratch(t, { file: '' });
  await makeDirectory(join(dir, 'a', 'b', 'c'));
  await makeDirectory(join(dir, 'a', 'b', 'c'));
  t.equal(lstatSync(join(dir, 'a')).mode & 0o777, 0o700);
  t.equal(lstatSync(join(dir, 'a/b/c')).mode & 0o777, 0o700);
  await t.rejects(makeDirectory(join(dir, 'file', 'x')));
});

t.test('readFileBounded refuses what is too large, a symlink and a directory', async (t) => {
  const dir = scratch(t, { file: 'abc' });
  symlinkSync(join(dir, 'file'), join(dir, 'link'));
  t.equal((await readFileBounded(join(dir, 'file'), 3)).toString(), 'abc');
  await t.rejects(readFileBounded(join(dir, 'file'), 2), FileTooLarge);
  await t.rejects(readFileBounded(join(dir, 'link'), 10), { code: 'ELOOP' });
  await t.rejects(readFileBounded(dir, 10), { code: 'EISDIR' });
});

t.test('walking sees every file once, follows no symlink, and sizes add up', async (t) => {
  const dir = scratch(t, { a: '1', b: { c: '22', d: { e: '333' } }, '.tmp-x': '4444' });
  symlinkSync('/', join(dir, 'b', 'root'));
  const names: string[] = [];
  for await (const file of walkFiles(dir)) names.push(file.name);
  t.same(names.sort(), ['.tmp-x', 'a', 'b/c', 'b/d/e']);
  t.equal(await treeSize(dir), 10);
  t.equal(await treeSize(join(dir, 'absent')), 0);
});

t.test('removing and renaming are idempotent where they say so', async (t) => {
  const dir = scratch(t, { a: 'x', tree: { b: { c: '' } } });
  mkdirSync(join(dir, 'other'));
  await renameDurably(join(dir, 'a'), join(dir, 'other', 'a'));
  t.equal(await removeFile(join(dir, 'other', 'a')), true);
  t.equal(await removeFile(join(dir, 'other', 'a')), false);
  await removeTree(join(dir, 'tree'));
  await removeTree(join(dir, 'tree'));
  t.same(readdirSync(dir), ['other']);
});

t.test('no file handle stays open', async (t) => {
  const dir = scratch(t, { file: 'abc' });
  const openFiles = () => readdirSync('/proc/self/fd').length;
  const before = openFiles();
  for (let n = 0; n < 50; n++) {
    await atomicWriteFile(join(dir, 'x'), Buffer.from('x'));
    await t.rejects(atomicWriteFile(dir, Buffer.from('x')));
    await t.rejects(readFileBounded(join(dir, 'file'), 1));
  }
  t.ok(openFiles() <= before + 2, `${before} before, ${openFiles()} after`);
});

t.test('free space is a number and errors keep the code of the operating system', async (t) => {
  const dir = scratch(t);
  writeFileSync(join(dir, 'x'), '');
  t.ok((await freeBytes(dir)) > 0);
  t.equal(errnoOf(Object.assign(new Error('x'), { code: 'ENOSPC' })), 'ENOSPC');
  t.equal(errnoOf(Object.assign(new Error('x'), { code: 'ERR_INVALID_ARG' })), null);
  t.equal(errnoOf(null), null);
});
