/**
 * A store in a local directory: keys are paths below it. An object becomes visible by rename, after its bytes are synced
 * and before its directory is; whatever is unfinished lies in the root under a name that starts with '.tmp-' and is
 * swept. Files are 0600 and directories 0700. Symbolic links below the root are refused, read or written: a hostile or
 * careless link must not make a backup read or overwrite something else. (The root itself may be reached through one.)
 *
 * The root is never created after the start, and has to stay the directory that was opened: when its disk is unmounted,
 * a put fails instead of filling the mount point.
 */
import type { BigIntStats } from 'node:fs';
import { lstat, mkdir, readdir, realpath, rename, stat, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { assert } from '../base/assert.js';
import { CairnError } from '../base/errors.js';
import type { FileCalls, FileRoot, ReadFile } from '../base/file-calls.js';
import {
  DIRECTORY_MODE,
  errnoOf,
  freeBytes,
  fsyncDirectory,
  ignoreMissing,
  isErrno,
  makeDirectory,
  type RoomFor,
  readFileBounded,
  readFileStart,
  removeFile,
  TEMPORARY_PREFIX,
  temporaryName,
  temporaryPath,
} from '../base/fs.js';
import { CopyPool } from './copy-pool.js';
import { cancelled, type StorageAction, storageError } from './storage-error.js';
import {
  type Digested,
  type Got,
  isKey,
  requireKey,
  requirePrefix,
  type Seen,
  type Store,
  type StoreChanges,
  type StoreEntry,
  StoreObjectExists,
  StoreObjectMissing,
  type TransferOptions,
} from './store.js';

/** Files that a listing asks the file system about together. */
const LOOKS_AT_ONCE = 64;
/** Sizes that one call asks for; the next keys are checked while it looks. */
const SIZES_AT_ONCE = 2048;
/** Objects and bytes that one call reads: what is made of them holds up the event loop until the next call is awaited. */
const READS_AT_ONCE = 128;
const ENOUGH_BYTES = 1 << 20;
const RETRIES_AT_ONCE = 16;
/** Of larger ones each thread of the pool would be busy for long: Node reads them in parts. */
const MOST_IN_ONE_READ = 256 << 20;

export interface LocalStoreOptions {
  files: FileCalls;
  /** Make the directory when it is missing. */
  create?: boolean;
}

/** Opens a directory as a store. */
export async function openLocalStore(directory: string, options: LocalStoreOptions): Promise<LocalStore> {
  try {
    if (options.create === true) await makeDirectory(directory);
    const root = await realpath(directory);
    await fsyncDirectory(root); // also proves that it is a directory that we may read
    const identity = identityOf(await stat(root, { bigint: true }));
    return new LocalStore({ path: root, identity }, options.files);
  } catch (error) {
    throw await storageError(error, { doing: `open the directory ${directory}`, path: directory });
  }
}

export class LocalStore implements Store {
  readonly location: string;
  /** As it was when it was opened. */
  readonly #root: FileRoot & { readonly identity: string };
  readonly #pool: CopyPool;
  readonly #files: FileCalls;
  /** Directories whose own entry is known durable: made or synced by this process. */
  readonly #durable = new Set<string>();

  /** Use openLocalStore: root must be a real, existing directory of that identity. */
  constructor(root: FileRoot & { readonly identity: string }, files: FileCalls) {
    this.location = root.path;
    this.#root = root;
    this.#files = files;
    this.#pool = new CopyPool(files.copy);
  }

  async get(key: string, maxBytes: number, room?: RoomFor): Promise<Buffer> {
    requireKey(key);
    if (maxBytes <= MOST_IN_ONE_READ && room === undefined) {
      const [found] = await this.#files.reads(this.#root, [key], maxBytes, ENOUGH_BYTES).catch(() => []);
      if (found != null) return found.bytes;
    }
    return this.#getOrThrow(key, maxBytes, room);
  }

  /** Finds out why it cannot be read, unless it can. */
  async #getOrThrow(key: string, maxBytes: number, room?: RoomFor): Promise<Buffer> {
    const path = await this.#existing(key);
    return this.#mapped({ doing: `read ${key}`, path, details: { key } }, async () => {
      try {
        return await readFileBounded(path, maxBytes, room);
      } catch (error) {
        if (isNothing(error)) throw new StoreObjectMissing(key);
        throw isErrno(error, 'EINVAL') ? notAnObject(key, path) : error;
      }
    });
  }

  async getStart(key: string, length: number): Promise<Buffer> {
    const path = await this.#existing(key);
    return this.#mapped({ doing: `read ${key}`, path, details: { key } }, async () => {
      try {
        return await readFileStart(path, length);
      } catch (error) {
        if (isNothing(error)) throw new StoreObjectMissing(key);
        throw isErrno(error, 'EINVAL') ? notAnObject(key, path) : error;
      }
    });
  }

  async *getMany(keys: readonly string[], maxBytes: number): AsyncGenerator<readonly Got[]> {
    for (const key of keys) requireKey(key);
    const readFrom = (at: number): Promise<(ReadFile | null)[]> => {
      const reading = this.#files.reads(this.#root, keys.slice(at, at + READS_AT_ONCE), maxBytes, ENOUGH_BYTES);
      reading.catch(() => undefined); // awaited below, unless nobody asks for more
      return reading;
    };
    if (keys.length === 0) return;
    let reading = readFrom(0);
    for (let at = 0; at < keys.length; ) {
      const found = await reading;
      assert(found.length > 0, 'a call that reads files reads at least one');
      const end = at + found.length;
      if (end < keys.length) reading = readFrom(end);
      yield await this.#got(keys.slice(at, end), found, maxBytes);
      at = end;
    }
  }

  /** What could not be read: get tells why. */
  async #got(keys: readonly string[], found: readonly (ReadFile | null)[], maxBytes: number): Promise<Got[]> {
    const all: Got[] = [];
    const others: number[] = [];
    for (const [nth, key] of keys.entries()) {
      const read = found[nth] ?? null;
      if (read !== null) all[nth] = { key, ...read, error: null };
      else others.push(nth);
    }
    if (others.length > 0) await this.#requireRoot();
    for (let from = 0; from < others.length; from += RETRIES_AT_ONCE) {
      const readAgain = async (nth: number) => {
        const key = keys[nth] as string;
        all[nth] = await this.#getAgain(key, maxBytes).catch((error: Error): Got => ({ key, bytes: null, error }));
      };
      await Promise.all(others.slice(from, from + RETRIES_AT_ONCE).map(readAgain));
    }
    return all;
  }

  async #getAgain(key: string, maxBytes: number): Promise<Got> {
    // Before the bytes: of a file that changes between the two the older version is told, and the next look sees another.
    const version = (await this.stat(key))?.version ?? '';
    return { key, bytes: await this.#getOrThrow(key, maxBytes), version, error: null };
  }

  async put(
    key: string,
    bytes: Buffer,
    options: { ifAbsent?: boolean; beforeVisible?: () => Promise<void> | undefined } = {},
  ): Promise<void> {
    requireKey(key);
    const ifAbsent = options.ifAbsent === true;
    const path = join(this.location, key);
    const action = { doing: `store ${key}`, path, neededBytes: bytes.length, details: { key } };
    const directories = key.split('/').slice(0, -1);
    if (!this.#isDurable(directories)) await this.#directory(directories, 'make');
    const temporary = temporaryName();
    const settle = (): Promise<void> => this.#files.settle(this.#root, temporary, key, ifAbsent);
    await this.#mapped(action, async () => {
      try {
        await this.#files.stage(this.#root, temporary, bytes);
        await options.beforeVisible?.();
        await settle().catch(async (error: unknown) => {
          if (!isNothing(error)) throw error;
          // A directory that was removed meanwhile is made again; one that is something else now is an error that says so.
          await this.#directory(directories, 'make');
          await settle();
        });
      } catch (error) {
        await ignoreMissing(unlink(join(this.location, temporary))).catch(() => undefined); // swept later; the first error is reported
        if (ifAbsent && isErrno(error, 'EEXIST')) throw new StoreObjectExists(key);
        await this.#requireRoot();
        throw error;
      }
    });
  }

  async stat(key: string): Promise<StoreEntry | null> {
    const path = await this.#existing(key, null);
    if (path === null) return null;
    return this.#mapped({ doing: `look at ${key}`, path, details: { key } }, async () => {
      const stats = await ignoreMissing(lstat(path, { bigint: true }));
      if (stats === undefined || stats.isDirectory()) return null;
      if (!stats.isFile()) throw notAnObject(key, path);
      return entryOf(key, stats);
    });
  }

  async sizes(keys: readonly string[]): Promise<(number | null)[]> {
    const parts: Promise<Float64Array>[] = [];
    for (let from = 0; from < keys.length; from += SIZES_AT_ONCE) {
      const part = keys.slice(from, from + SIZES_AT_ONCE);
      for (const key of part) requireKey(key);
      await parts.at(-2); // the pool is others' too
      const looking = this.#files.sizes(this.#root, part);
      looking.catch(() => undefined); // awaited below, unless a key is refused first
      parts.push(looking);
    }
    const sizes: (number | null)[] = [];
    const others: number[] = [];
    for (const part of await Promise.all(parts)) {
      for (const size of part) {
        if (!(size >= 0)) others.push(sizes.length);
        sizes.push(size >= 0 ? size : null);
      }
    }
    // What is no regular file below real directories: stat tells why.
    for (let from = 0; from < others.length; from += LOOKS_AT_ONCE) {
      const look = async (at: number) => {
        sizes[at] = (await this.stat(keys[at] as string))?.sizeBytes ?? null;
      };
      await Promise.all(others.slice(from, from + LOOKS_AT_ONCE).map(look));
    }
    return sizes;
  }

  async *list(prefix: string): AsyncGenerator<StoreEntry> {
    requirePrefix(prefix);
    const parent = prefix.slice(0, prefix.lastIndexOf('/') + 1);
    const pending = [parent];
    for (let under = pending.pop(); under !== undefined; under = pending.pop()) {
      const found = await this.#files
        .list(this.#root, under)
        .catch((error: unknown) => this.#notListed(under, error, isNothing));
      if (found === null) continue; // there is none, or it was removed while we walked
      for (const name of found.directories) if (reaches(`${under}${name}/`, prefix)) pending.push(`${under}${name}/`);
      for (const { name, ...known } of found.files) {
        const key = under + name;
        if (key.startsWith(prefix) && isKey(key)) yield { key, ...known };
      }
    }
  }

  async changes(prefix: string, since?: Seen): Promise<StoreChanges> {
    requirePrefix(prefix);
    assert(prefix.indexOf('/') === prefix.length - 1, 'a prefix of one part ends with its only slash');
    const found = await this.#files
      .changes(this.#root, prefix, since as (Buffer & Seen) | undefined)
      .catch((error: unknown) => this.#notListed(prefix, error));
    if (found === null || found.missing) await this.#directory([prefix.slice(0, -1)], 'refuse');
    const { seen, files, gone } = found ?? { seen: Buffer.alloc(0), files: [], gone: [] };
    const changed: StoreEntry[] = [];
    for (const { name, sizeBytes, version, modifiedUs } of files) {
      const key = prefix + name;
      if (isKey(key)) changed.push({ key, sizeBytes, version, modifiedUs });
    }
    return { seen: seen as Buffer & Seen, changed, gone: gone.map((name) => prefix + name).filter(isKey) };
  }

  /** Why a directory could not be listed, as an error that says what to do; null: it is not there. */
  async #notListed(prefix: string, error: unknown, isMissing = isAbsent): Promise<null> {
    const path = join(this.location, prefix);
    const found = await this.#directory(prefix.split('/').slice(0, -1), 'refuse');
    if (found === null || isMissing(error)) return null;
    throw await storageError(error, { doing: `list ${path}`, path });
  }

  async delete(key: string): Promise<boolean> {
    const path = await this.#existing(key, null);
    if (path === null) return false;
    return this.#mapped({ doing: `delete ${key}`, path, details: { key } }, async () => {
      const stats = await ignoreMissing(lstat(path));
      return stats === undefined || stats.isDirectory() ? false : removeFile(path);
    });
  }

  async deleteAll(keys: readonly string[]): Promise<number> {
    const touched = new Set<string>();
    let removed = 0;
    let failure: { error: unknown } | null = null;
    for (const key of keys) {
      const path = await this.#existing(key, null);
      if (path === null) continue;
      // One that is refused keeps none of the others.
      await this.#mapped({ doing: `delete ${key}`, path, details: { key } }, async () => {
        const isGone = await unlink(path).then(
          () => true,
          (error: unknown) => {
            if (isNothing(error)) return false;
            throw error;
          },
        );
        if (!isGone) return;
        removed += 1;
        touched.add(dirname(path));
      }).catch((error: unknown) => {
        failure ??= { error };
      });
    }
    for (const path of touched) {
      await this.#mapped({ doing: `sync ${path}`, path }, () => fsyncDirectory(path));
    }
    if (failure !== null) throw (failure as { error: unknown }).error;
    return removed;
  }

  async putFile(
    sourcePath: string,
    sizeBytes: number,
    keyFor: (sha256: string) => string,
    options: TransferOptions & { replace?: (sha256: string) => boolean } = {},
  ): Promise<Digested & { key: string; stored: boolean }> {
    assert(Number.isSafeInteger(sizeBytes) && sizeBytes >= 0, `a file cannot have ${sizeBytes} bytes`);
    const temporary = temporaryPath(this.location);
    const copied = await this.#pool.copy(
      { sourcePath, sizeBytes, targetPath: temporary },
      { ...options, gentle: true },
    );
    try {
      options.signal?.throwIfAborted();
      const key = keyFor(copied.sha256);
      const path = await this.#placeFor(key);
      const action = { doing: `store ${key}`, path, neededBytes: sizeBytes, details: { key } };
      const replace = options.replace?.(copied.sha256) ?? false;
      const stored = await this.#mapped(action, () => this.#settle(temporary, path, copied.sizeBytes, replace));
      return { ...copied, key, stored };
    } catch (error) {
      await ignoreMissing(unlink(temporary)).catch(() => undefined); // swept later; the first error is reported
      throw options.signal?.aborted === true ? cancelled(`store ${sourcePath}`) : error;
    }
  }

  async getFile(key: string, targetPath: string, options: TransferOptions = {}): Promise<Digested> {
    return this.#transfer(key, targetPath, options);
  }

  async hash(key: string, options: TransferOptions = {}): Promise<Digested> {
    return this.#transfer(key, null, { ...options, gentle: true });
  }

  async freeBytes(): Promise<number | null> {
    return this.#mapped({ doing: 'ask for free space', path: this.location }, () => freeBytes(this.location));
  }

  async sweepPartial(): Promise<number> {
    return this.#mapped({ doing: 'sweep unfinished files', path: this.location }, async () => {
      let swept = 0;
      for (const name of await readdir(this.location)) {
        if (!name.startsWith(TEMPORARY_PREFIX)) continue;
        if ((await ignoreMissing(unlink(join(this.location, name)).then(() => true))) === true) swept += 1;
      }
      await this.#syncDirectories('');
      return swept;
    });
  }

  async close(): Promise<void> {
    await this.#pool.close();
  }

  /** Gives a finished temporary file its name, unless the object is there already. */
  async #settle(temporary: string, path: string, sizeBytes: number, replace: boolean): Promise<boolean> {
    const present = replace ? undefined : await ignoreMissing(lstat(path));
    const keep = present?.isFile() === true && present.size === sizeBytes;
    await (keep ? unlink(temporary) : rename(temporary, path));
    await fsyncDirectory(dirname(path)); // also when kept: its own put may have died before this
    return !keep;
  }

  async #transfer(key: string, targetPath: string | null, options: TransferOptions): Promise<Digested> {
    const sourcePath = await this.#existing(key);
    try {
      return await this.#pool.copy({ sourcePath, sizeBytes: null, targetPath }, options);
    } catch (error) {
      const { side, errno, reason } = error instanceof CairnError ? error.details : {};
      if (side === 'source' && isNothing({ code: errno })) throw new StoreObjectMissing(key);
      if (reason === 'not-a-file') throw notAnObject(key, sourcePath);
      throw error;
    }
  }

  /** The path of a key that is to be read; StoreObjectMissing (or null when asked for) if a directory is missing. */
  async #existing(key: string): Promise<string>;
  async #existing(key: string, whenMissing: null): Promise<string | null>;
  async #existing(key: string, whenMissing?: null): Promise<string | null> {
    requireKey(key);
    const parts = key.split('/');
    const directory = await this.#directory(parts.slice(0, -1), 'refuse');
    if (directory !== null) return join(directory, parts.at(-1) ?? '');
    if (whenMissing === null) return null;
    throw new StoreObjectMissing(key);
  }

  /** The path of a key that is to be written, its directories made and durable. */
  async #placeFor(key: string): Promise<string> {
    requireKey(key);
    const parts = key.split('/');
    const directory = await this.#directory(parts.slice(0, -1), 'make');
    assert(directory !== null, `the directories of ${key} were made`);
    return join(directory, parts.at(-1) ?? '');
  }

  /** Walks down from the root through real directories only; null when one is missing and not to be made. */
  async #directory(parts: string[], missing: 'make' | 'refuse'): Promise<string | null> {
    await this.#requireRoot();
    let path = this.location;
    for (const part of parts) {
      const parent = path;
      path = join(path, part);
      const here = path;
      const found = await this.#mapped({ doing: `use the directory ${here}`, path: here }, async () => {
        const stats = await ignoreMissing(lstat(here));
        if (stats?.isSymbolicLink() === true) throw Object.assign(new Error('symbolic link'), { code: 'ELOOP' });
        if (missing === 'make') await this.#makeDurable(here, parent, stats !== undefined);
        return stats !== undefined || missing === 'make';
      });
      if (!found) return null;
    }
    return path;
  }

  /** Made or synced before; not whether they are still there. */
  #isDurable(directories: readonly string[]): boolean {
    let path = this.location;
    return directories.every((name) => {
      path = join(path, name);
      return this.#durable.has(path);
    });
  }

  /** One level only: a root that is gone is an error, not something to make. */
  async #makeDurable(path: string, parent: string, exists: boolean): Promise<void> {
    if (exists && this.#durable.has(path)) return;
    await mkdir(path, { mode: DIRECTORY_MODE }).catch((error) => {
      if (!isErrno(error, 'EEXIST')) throw error;
    });
    await fsyncDirectory(parent); // also when it existed: who made it may not have synced it yet
    this.#durable.add(path);
  }

  /** Another directory under the same name is another disk, or somebody's second thoughts: never a place to write. */
  async #requireRoot(): Promise<void> {
    const now = await ignoreMissing(stat(this.location, { bigint: true })).catch(() => undefined);
    if (now !== undefined && identityOf(now) === this.#root.identity) return;
    const what = `${this.location} is ${now === undefined ? 'gone' : 'no longer the directory that was opened'}`;
    throw new CairnError('BACKUPFAILED', what, {
      hint: 'If its disk was unmounted, mount it again; otherwise restart the server.',
      details: { path: this.location, errno: now === undefined ? 'ENOENT' : null },
    });
  }

  async #syncDirectories(prefix: string): Promise<void> {
    const path = join(this.location, prefix);
    for (const entry of await readdir(path, { withFileTypes: true })) {
      if (entry.isDirectory() && !entry.name.startsWith('.')) await this.#syncDirectories(join(prefix, entry.name));
    }
    await fsyncDirectory(path);
  }

  async #mapped<T>(action: StorageAction, body: () => Promise<T>): Promise<T> {
    try {
      return await body();
    } catch (error) {
      if (error instanceof StoreObjectMissing || error instanceof StoreObjectExists) throw error;
      throw await storageError(error, action);
    }
  }
}

function entryOf(key: string, stats: BigIntStats): StoreEntry {
  return {
    key,
    sizeBytes: Number(stats.size),
    version: `${unsigned(stats.ino)}-${stats.size}-${stats.mtimeNs}-${stats.ctimeNs}`,
    modifiedUs: Number(stats.mtimeNs / 1000n),
  };
}

/** Whether keys below a directory may begin with the prefix. */
function reaches(directory: string, prefix: string): boolean {
  return directory.startsWith(prefix) || prefix.startsWith(directory);
}

function identityOf(stats: BigIntStats): string {
  return `${unsigned(stats.dev)}-${unsigned(stats.ino)}`;
}

/** Node tells what the system counts in 64 bits with a sign: overlays and pooled disks have inodes from 2^63 on. */
function unsigned(number: bigint): bigint {
  return BigInt.asUintN(64, number);
}

function isAbsent(thrown: unknown): boolean {
  return isErrno(thrown, 'ENOENT');
}

/** No file of that name; a directory is the start of other keys, not an object. */
function isNothing(thrown: unknown): boolean {
  return ['ENOENT', 'ENOTDIR', 'EISDIR'].includes(errnoOf(thrown) ?? '');
}

function notAnObject(key: string, path: string): CairnError {
  return new CairnError('BACKUPCORRUPT', `${key} is not a regular file`, {
    hint: `Remove or replace ${path}.`,
    details: { key, path },
  });
}
