import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import t from 'tap';
import { start } from '../support/processes.js';
import { scratch } from '../support/scratch.js';
import { waitFor } from '../support/wait.js';
import { cairn, serve } from './program.js';

const levelModule = createRequire(import.meta.url).resolve('level-rocksdb');

/** Runs a program on an open level-rocksdb database, in a process of its own as a foreign application is. */
function level(path: string, body: string): string {
  const code = `const db = require(${JSON.stringify(levelModule)})(${JSON.stringify(path)});
    (async () => { ${body}; await db.close(); })().catch((error) => { console.error(error); process.exit(1); });`;
  return execFileSync(process.execPath, ['-e', code], { encoding: 'utf8' });
}

const writeThousand = `
  for (let i = 0; i < 1000; i++) await db.put('key' + i, 'value' + i);
  await db.put('binary', Buffer.from([0, 255, 13, 10]));
  await db.batch([{ type: 'del', key: 'key7' }, { type: 'put', key: 'ü', value: '' }]);`;

/** Name, kind, content and link count of everything below: what "byte for byte as it was" means. */
function picture(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .sort()
    .map((name) => {
      const path = join(directory, name);
      const { nlink, size, mtimeMs } = statSync(path);
      const content = statSync(path).isFile()
        ? createHash('sha256').update(readFileSync(path)).digest('hex')
        : 'directory';
      return [name, nlink, size, mtimeMs, content].join(' ');
    });
}

t.test('a level-rocksdb directory is taken over whole, served and written to, and stays as it was', async (t) => {
  const root = scratch(t);
  const source = join(root, 'app');
  const dir = join(root, 'data');
  level(source, writeThousand);
  const before = picture(source);

  const adopted = cairn(t, ['adopt', source, '--dir', dir]);
  t.same(await adopted.ended, { code: 0, signal: null });
  t.match(adopted.stdout(), /app was adopted: 1001 keys in .*db-000001.*\nServe it with: cairn serve --dir .*data\n$/);
  t.same(picture(source), before);
  for (const name of readdirSync(join(dir, 'db-000001'))) {
    if (statSync(join(dir, 'db-000001', name)).isFile()) t.equal(statSync(join(dir, 'db-000001', name)).nlink, 1, name);
  }

  const server = await serve(t, ['--dir', dir]);
  t.equal(await server.client.dbsize(), 1001);
  t.equal(await server.client.get('key999'), 'value999');
  t.equal(await server.client.get('key7'), null);
  t.equal(await server.client.get('ü'), '');
  t.same(await server.client.getBuffer('binary'), Buffer.from([0, 255, 13, 10]));
  await server.client.set('key0', 'changed');
  t.equal(await server.client.dbsize(), 1001);
  await server.client.call('ADMIN.BACKUP', 'CREATE', 'FULL', 'VERIFY');
  t.same(await server.end('SIGTERM'), { code: 0, signal: null });
  t.same(picture(source), before);

  const read = `console.log(await db.get('key0'), await db.get('key1'))`;
  t.equal(level(join(dir, 'db-000001'), read), 'changed value1\n', 'and the application can read what Cairn wrote');
});

t.test('what is still in the log of the original is adopted too', async (t) => {
  const root = scratch(t);
  const killed = `await db.put('a', '1'); process.kill(process.pid, 'SIGKILL')`;
  t.throws(() => level(join(root, 'app'), killed), /Command failed/);
  const adopted = cairn(t, ['adopt', 'app'], { cwd: root });
  t.same(await adopted.ended, { code: 0, signal: null });
  const server = await serve(t, [], { cwd: root });
  t.equal(await server.client.get('a'), '1');
});

t.test('a directory that another process has open is refused', async (t) => {
  const root = scratch(t);
  const source = join(root, 'app');
  const code = `const db = require(${JSON.stringify(levelModule)})(${JSON.stringify(source)});
    db.put('a', '1').then(() => console.log('open')); setInterval(() => {}, 1000);`;
  const owner = start(t, [process.execPath, '-e', code]);
  await waitFor(() => owner.stdout() === 'open\n', { what: 'the owner to open' });
  const refused = cairn(t, ['adopt', source, '--dir', join(root, 'data')]);
  t.same(await refused.ended, { code: 1, signal: null });
  t.match(refused.stderr(), /^cairn: cannot lock .*app\/LOCK.* is locked by another process/);
  t.notOk(existsSync(join(root, 'data')));
  await owner.end('SIGKILL');
  t.same(await cairn(t, ['adopt', source, '--dir', join(root, 'data')]).ended, { code: 0, signal: null });
});

// Only rocksdb-tools' ldb makes a second family here; set-up does not install it.
const noLdb = spawnSync('ldb', ['--version']).error !== undefined && 'ldb is not installed';

t.test("more than one column family is refused with RocksDB's reason, nothing is left", { skip: noLdb }, async (t) => {
  const root = scratch(t);
  const source = join(root, 'app');
  level(source, `await db.put('a', '1')`);
  const made = spawnSync('ldb', [`--db=${source}`, 'create_column_family', 'second']);
  t.equal(made.status, 0);
  const before = picture(source);
  mkdirSync(join(root, 'empty'));
  for (const name of ['data', 'empty']) {
    const refused = cairn(t, ['adopt', source, '--dir', join(root, name)]);
    t.same(await refused.ended, { code: 1, signal: null });
    t.match(refused.stderr(), /[Cc]olumn families not opened/);
    t.notMatch(refused.stderr(), /^\s+at /m);
  }
  t.same(readdirSync(root).sort(), ['app', 'empty']);
  t.same(readdirSync(join(root, 'empty')), []);
  t.same(picture(source), before);
});

t.test('a damaged table is found while the copy is read, and nothing is left', async (t) => {
  const root = scratch(t);
  const source = join(root, 'app');
  level(source, `${writeThousand}; await db.close(); await db.open()`);
  const table = readdirSync(source).find((name) => name.endsWith('.sst'));
  if (table === undefined) throw new Error('the writer left no table');
  const bytes = readFileSync(join(source, table));
  bytes[100] = (bytes[100] ?? 0) ^ 1;
  writeFileSync(join(source, table), bytes);
  const refused = cairn(t, ['adopt', source, '--dir', join(root, 'data')]);
  t.same(await refused.ended, { code: 1, signal: null });
  t.match(refused.stderr(), /Corruption|checksum/);
  t.same(readdirSync(root), ['app']);
});

t.test('what is no foreign RocksDB directory, and a target that is not empty, are refused untouched', async (t) => {
  const root = scratch(t, {
    file: 'x',
    nothing: {},
    full: { precious: 'x' },
    own: { LIVE: '{}' },
    half: { LOCK: '', 'db-000001.building': {} },
  });
  const source = join(root, 'app');
  level(source, `await db.put('a', '1')`);
  symlinkSync(join(root, 'nothing'), join(root, 'link'));
  const cases: [string[], RegExp][] = [
    [['absent'], /absent does not exist/],
    [['file'], /file cannot be read: ENOTDIR/],
    [['nothing'], /nothing is not a RocksDB directory: it has no CURRENT and MANIFEST/],
    [['own'], /own is a data directory of Cairn's own.*--dir/],
    [['app', '--dir', 'full'], /full is not empty/],
    [['app', '--dir', 'half'], /interrupted adopt left: remove it/],
    [['app', '--dir', 'file'], /file is a file, not a directory/],
    [['app', '--dir', 'link'], /link is a symlink, not a directory/],
    [['app', '--dir', 'app'], /inside the directory to adopt/],
    [['app', '--dir', 'app/sub'], /inside the directory to adopt/],
  ];
  const before = picture(root);
  for (const [args, expected] of cases) {
    const run = cairn(t, ['adopt', ...args], { cwd: root });
    t.same(await run.ended, { code: 1, signal: null }, args.join(' '));
    t.match(run.stderr(), expected);
  }
  for (const args of [[], ['--dir', 'x'], ['app', '--data-dir', 'x'], ['app', '--nope', 'x'], ['app', 'more']]) {
    t.same(await cairn(t, ['adopt', ...args], { cwd: root }).ended, { code: 2, signal: null }, args.join(' '));
  }
  t.same(picture(root), before);
});

t.test('a log that is kept in another directory is not passed over', async (t) => {
  const root = scratch(t);
  const source = join(root, 'app');
  level(source, `await db.put('a', '1')`);
  mkdirSync(join(root, 'logs'));
  writeFileSync(join(root, 'logs', '000009.log'), 'x');
  const options =
    readdirSync(source)
      .filter((name) => name.startsWith('OPTIONS-'))
      .sort()
      .at(-1) ?? '';
  const text = readFileSync(join(source, options), 'utf8').replace(
    /^ *wal_dir=.*$/m,
    `  wal_dir=${join(root, 'logs')}`,
  );
  writeFileSync(join(source, options), text);
  const refused = cairn(t, ['adopt', source, '--dir', join(root, 'data')]);
  t.same(await refused.ended, { code: 1, signal: null });
  t.match(refused.stderr(), /keeps its log elsewhere, in .*logs/);
  t.notOk(existsSync(join(root, 'data')));
});

t.test('files that nobody may write to give a copy that can be written to', async (t) => {
  const root = scratch(t);
  const source = join(root, 'app');
  level(source, `await db.put('a', '1')`);
  for (const name of readdirSync(source)) chmodSync(join(source, name), name === 'LOCK' ? 0o600 : 0o400);
  const before = picture(source);
  t.same(await cairn(t, ['adopt', source, '--dir', join(root, 'data')]).ended, { code: 0, signal: null });
  const server = await serve(t, ['--dir', join(root, 'data')]);
  t.equal(await server.client.set('a', '2'), 'OK');
  t.same(picture(source), before);
});
