/**
 * `cairn adopt DIR`: takes a copy of a foreign RocksDB directory over as a data directory with keyspace raw.
 *
 *   lock DIR (nobody may write meanwhile) → copy its files → open the copy, read every record of it
 *     → name it db-000001 → write LIVE, last: until then there is no data directory
 *
 * The original is only read: nothing is opened in it, no file made, no inode shared. What RocksDB cannot open or read
 * without the program that wrote it (several column families, a comparator or merge operator of its own) is found on
 * the copy and refused with RocksDB's reason; what was copied by then is removed.
 */
import { constants } from 'node:fs';
import { type FileHandle, lstat, readdir, realpath, stat } from 'node:fs/promises';
import { join, resolve, sep } from 'node:path';
import { DataDirectory, emptiness, isRocksDirectory, newLive } from '../backup/data-directory.js';
import { requireSpace } from '../backup/space.js';
import { CairnError, toCairnError } from '../base/errors.js';
import {
  freeBytes,
  fsyncDirectory,
  ignoreMissing,
  makeDirectory,
  readFileBounded,
  removeTree,
  renameDurably,
  withFile,
} from '../base/fs.js';
import { loadConfig } from '../config/load.js';
import { ConfigError } from '../config/sources.js';
import { acquireFileLock, openDatabase } from '../engine/index.js';
import type { OpenOptions } from '../engine/types.js';
import { saveRawState } from '../keyspace/raw.js';
import { emptyState } from '../keyspace/state-record.js';
import { survey } from '../keyspace/survey.js';
import { databaseOptions } from './data.js';
import { exitCode } from './exit-codes.js';

/** RocksDB's own are a few KB. */
const MAX_OPTIONS_BYTES = 16 << 20;
const DATABASE = 'db-000001';
const COPY_BYTES = 1 << 20;
/** The sweep of a later start removes a directory of this name. */
const BUILDING = `${DATABASE}.building`;
const RAW_STATE = 'raw-state.json';

interface SourceFile {
  name: string;
  path: string;
  sizeBytes: number;
}

export async function adopt(args: readonly string[]): Promise<number> {
  const [from = '', ...options] = args;
  if (from === '' || from.startsWith('-'))
    throw new ConfigError(['adopt needs the directory to take over: cairn adopt DIR']);
  const { config } = loadConfig({ args: options });
  if (config.values.data_dir !== null)
    throw new ConfigError(['adopt makes a data directory: --dir names it, not --data-dir']);
  const source = await requireForeign(resolve(from));
  const target = config.values.dir;
  await requireEmpty(target, source);
  const keys = await withSourceLocked(source, () => takeOver(source, target, databaseOptions(config)));
  process.stdout.write(
    `${source} was adopted: ${keys} keys in ${join(target, DATABASE)}, the original is as it was.\n`,
  );
  process.stdout.write(`Serve it with: cairn serve --dir ${target}\n`);
  return exitCode.ok;
}

async function requireForeign(path: string): Promise<string> {
  const source = await ignoreMissing(realpath(path));
  if (source === undefined) throw new CairnError('ERR', `${path} does not exist`);
  const entries = await readdir(source).catch((error: unknown) => {
    throw toCairnError(error, 'ERR', `${source} cannot be read`);
  });
  if (entries.includes('LIVE') && !entries.includes('CURRENT')) {
    throw new CairnError('ERR', `${source} is a data directory of Cairn's own`, { hint: 'Serve it with --dir.' });
  }
  if (!(await isRocksDirectory(source))) {
    throw new CairnError('ERR', `${source} is not a RocksDB directory: it has no CURRENT and MANIFEST`, {
      hint: 'Name the directory that the other program gives to RocksDB.',
    });
  }
  return source;
}

async function requireEmpty(target: string, source: string): Promise<void> {
  if (target === source || target.startsWith(source + sep)) {
    throw new CairnError('ERR', `${target} is inside the directory to adopt`, { hint: 'Choose another --dir.' });
  }
  const found = await emptiness(target);
  if (found === 'absent' || found === 'empty') return;
  if (found !== 'occupied') throw new CairnError('ERR', `${target} is a ${found}, not a directory`);
  const entries = await readdir(target);
  const interrupted = entries.every((entry) => ['LOCK', BUILDING, DATABASE, RAW_STATE].includes(entry));
  throw new CairnError('ERR', `${target} is not empty`, {
    hint: interrupted
      ? 'It holds what an interrupted adopt left: remove it and try again.'
      : 'Adopting makes a new data directory: name one that is absent or empty with --dir.',
  });
}

/** Holds RocksDB's own lock of the source. Where the file is missing nobody has the database open, and none is made. */
async function withSourceLocked<T>(source: string, body: () => Promise<T>): Promise<T> {
  const file = join(source, 'LOCK');
  if ((await ignoreMissing(stat(file))) === undefined) return body();
  const lock = acquireFileLock(file);
  try {
    return await body();
  } finally {
    lock.release();
  }
}

/** Answers how many keys there are. On failure the target is as it was before. */
async function takeOver(source: string, target: string, options: OpenOptions): Promise<number> {
  const files = await filesOf(source);
  await requireLogsInside(source);
  const wasThere = (await emptiness(target)) === 'empty';
  await makeDirectory(target);
  const lock = acquireFileLock(join(target, 'LOCK'));
  try {
    const sizeBytes = files.reduce((sum, file) => sum + file.sizeBytes, 0);
    requireSpace('the copy', target, sizeBytes, await freeBytes(target));
    const building = join(target, BUILDING);
    await copyAll(files, building);
    const keys = await readThrough(building, options);
    await renameDurably(building, join(target, DATABASE));
    await recordState(target, keys, options);
    await DataDirectory.create(target, newLive(DATABASE, 'raw', false));
    return keys;
  } catch (error) {
    for (const entry of await readdir(target)) await removeTree(join(target, entry));
    if (!wasThere) await removeTree(target);
    throw error;
  } finally {
    lock.release();
  }
}

/** RocksDB can keep its log in another directory: a copy without it would lack the newest writes, in silence. */
async function requireLogsInside(source: string): Promise<void> {
  const optionFiles = (await readdir(source)).filter((name) => /^OPTIONS-\d+$/.test(name)).sort();
  const newest = optionFiles.at(-1);
  if (newest === undefined) return;
  const bytes = await readFileBounded(join(source, newest), MAX_OPTIONS_BYTES).catch((error: unknown) => {
    throw toCairnError(error, 'ERR', `${join(source, newest)} cannot be read`);
  });
  const text = bytes.toString('utf8');
  const logDirectory = /^\s*wal_dir=(.+)$/m.exec(text)?.[1]?.trim();
  if (logDirectory === undefined || logDirectory === '') return;
  const elsewhere = await ignoreMissing(realpath(resolve(source, logDirectory)));
  if (elsewhere === undefined || elsewhere === source) return;
  const logs = (await readdir(elsewhere).catch(() => [])).filter((name) => /^\d+\.log$/.test(name));
  if (logs.length === 0) return;
  throw new CairnError(
    'ERR',
    `${source} keeps its log elsewhere, in ${elsewhere}: a copy would lack the newest writes`,
    {
      hint: 'Let the other program open and close it with its log in the directory itself (wal_dir), then adopt it.',
    },
  );
}

/** Everything that makes the database; not its lock and not its diary (LOG). Directories below hold none of it. */
async function filesOf(source: string): Promise<SourceFile[]> {
  const files: SourceFile[] = [];
  for (const name of (await readdir(source)).sort()) {
    if (name === 'LOCK' || name === 'LOG' || name.startsWith('LOG.old')) continue;
    const path = join(source, name);
    const status = await lstat(path);
    if (status.isSymbolicLink() && !(await stat(path).catch(() => null))?.isDirectory()) {
      throw new CairnError('ERR', `${path} is a symbolic link, which is not followed`, {
        hint: 'It could lead to anything. If it is meant, adopt a copy with the files themselves: cp -rL.',
      });
    }
    if (status.isFile()) files.push({ name, path, sizeBytes: status.size });
  }
  return files;
}

async function copyAll(files: readonly SourceFile[], directory: string): Promise<void> {
  await makeDirectory(directory);
  for (const { name, path } of files) {
    // By descriptors: what was looked at is what is read, and the copy is a new file of our own, 0600.
    await withFile(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK, async (original) => {
      if (!(await original.stat()).isFile()) throw new CairnError('ERR', `${path} is not a regular file any more`);
      await withFile(join(directory, name), 'wx', async (copy) => {
        await copyBytes(original, copy);
        await copy.sync();
      });
    });
  }
  await fsyncDirectory(directory);
}

async function copyBytes(from: FileHandle, to: FileHandle): Promise<void> {
  const buffer = Buffer.allocUnsafe(COPY_BYTES);
  for (;;) {
    const { bytesRead } = await from.read(buffer, 0, buffer.length, null);
    if (bytesRead === 0) return;
    for (let written = 0; written < bytesRead; ) {
      written += (await to.write(buffer, written, bytesRead - written, null)).bytesWritten;
    }
  }
}

/** Every key and value once: what cannot be read is better known now than when somebody asks for it. */
async function readThrough(path: string, options: OpenOptions): Promise<number> {
  const database = await openDatabase(path, { ...options, createIfMissing: false });
  try {
    const { keyCounts } = await survey(database, 'raw');
    return keyCounts[0] ?? 0;
  } finally {
    await database.close();
  }
}

/** Leaves the count beside the database, so that the first start need not count again. */
async function recordState(target: string, keys: number, options: OpenOptions): Promise<void> {
  const database = await openDatabase(join(target, DATABASE), { ...options, createIfMissing: false });
  try {
    const state = { ...emptyState(1, 1), keyCounts: [keys] };
    await saveRawState(database, join(target, RAW_STATE), state);
  } finally {
    await database.close();
  }
}
