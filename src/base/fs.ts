/**
 * Files that survive a power cut. A write is durable once the file and the entry in its directory are both synced, and
 * whole once it got its name by rename: a reader sees the old bytes or the new ones. Everything is private to the
 * server's user: 0600 and 0700. Errors are Node's own, with `code`.
 */
import { constants } from 'node:fs';
import { type FileHandle, lstat, mkdir, open, opendir, realpath, rename, rm, statfs, unlink } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { randomId } from './ids.js';

export const FILE_MODE = 0o600;
export const DIRECTORY_MODE = 0o700;

/** Names that start so are unfinished: never read, swept when found. */
export const TEMPORARY_PREFIX = '.tmp-';

/** A fresh unfinished name. */
export function temporaryName(): string {
  return TEMPORARY_PREFIX + randomId();
}

/** One in a directory. */
export function temporaryPath(directory: string): string {
  return join(directory, temporaryName());
}

export interface AtomicWriteOptions {
  /** Awaited when the bytes are synced, just before they get their name. */
  beforeVisible?: () => Promise<void> | undefined;
}

/** Resolves when the target durably holds exactly these bytes; on failure the target is as it was. */
export async function atomicWriteFile(
  path: string,
  bytes: Uint8Array,
  options: AtomicWriteOptions = {},
): Promise<void> {
  const directory = dirname(path);
  const temporary = temporaryPath(directory);
  try {
    await writeNewFile(temporary, bytes);
    await options.beforeVisible?.();
    await rename(temporary, path);
  } catch (error) {
    await ignoreMissing(unlink(temporary)).catch(() => undefined); // the first error is the one to report
    throw error;
  }
  await fsyncDirectory(directory);
}

/**
 * What atomicWriteFile is to replace where an operator named the file: the one behind a link, which stays a link. A device or a
 * pipe (`/dev/null`) is refused: a file in its place would take it from the whole machine.
 */
export async function replaceable(path: string): Promise<string> {
  const target = await realpath(path);
  const status = await lstat(target);
  if (!status.isFile()) throw notRegular(target, status.isDirectory());
  return target;
}

/** Writes and syncs a file that must not exist; its directory entry is not synced yet. */
export async function writeNewFile(path: string, bytes: Uint8Array): Promise<void> {
  await withFile(path, 'wx', async (file) => {
    await file.writeFile(bytes);
    await file.sync();
  });
}

/** Makes a directory's entries durable. */
export async function fsyncDirectory(path: string): Promise<void> {
  await withFile(path, constants.O_RDONLY | constants.O_DIRECTORY, (directory) => directory.sync());
}

/** durable false: for what need not outlive a power cut, because the next start removes it anyway. */
export interface DurabilityOption {
  durable?: boolean;
}

/** mkdir -p; every directory that it made is durable. */
export async function makeDirectory(path: string, { durable = true }: DurabilityOption = {}): Promise<void> {
  const first = await mkdir(path, { recursive: true, mode: DIRECTORY_MODE }).catch((error: NodeJS.ErrnoException) =>
    error.code === 'ENOENT'
      ? firstMissing(path).then((missing) => mkdir(missing, DIRECTORY_MODE))
      : Promise.reject(error),
  );
  if (first === undefined || !durable) return;
  // Every parent from the deepest new entry up to the one that got the first new entry.
  const top = dirname(resolve(first));
  for (let parent = dirname(resolve(path)); ; parent = dirname(parent)) {
    await fsyncDirectory(parent);
    if (parent === top || parent === dirname(parent)) return;
  }
}

/**
 * The topmost part of a path that is not there. On a read-only file system the recursive mkdir of Node says ENOENT; making this
 * one says what is wrong.
 */
async function firstMissing(path: string): Promise<string> {
  let missing = resolve(path);
  for (;;) {
    const parent = dirname(missing);
    if (parent === missing || (await ignoreMissing(lstat(parent))) !== undefined) return missing;
    missing = parent;
  }
}

/** rm -rf, durable; a missing path is fine. */
export async function removeTree(path: string, { durable = true }: DurabilityOption = {}): Promise<void> {
  await rm(path, { recursive: true, force: true });
  if (durable) await syncParentOf(path);
}

/** unlink, durable; false when there was nothing. */
export async function removeFile(path: string): Promise<boolean> {
  const removed = await ignoreMissing(unlink(path).then(() => true));
  if (removed !== true) return false;
  await fsyncDirectory(dirname(path));
  return true;
}

/** rename, durable in both directories. Replaces a file, or an empty directory, that has the target's name. */
export async function renameDurably(from: string, to: string): Promise<void> {
  await rename(from, to);
  await fsyncDirectory(dirname(to));
  if (dirname(from) !== dirname(to)) await fsyncDirectory(dirname(from));
}

export class FileTooLarge extends Error {
  override readonly name = 'FileTooLarge';
  constructor(
    readonly path: string,
    readonly sizeBytes: number,
    readonly maxBytes: number,
  ) {
    super(`${path} has ${sizeBytes} bytes, more than the ${maxBytes} that are allowed`);
  }
}

/** Reads a whole regular file (no symlink, no device), refusing more than maxBytes before memory is taken. */
export async function readFileBounded(path: string, maxBytes: number, room?: RoomFor): Promise<Buffer> {
  return readRegular(
    path,
    (sizeBytes) => {
      if (sizeBytes > maxBytes) throw new FileTooLarge(path, sizeBytes, maxBytes);
      return sizeBytes;
    },
    room,
  );
}

/** Memory for so many bytes, of the caller's, who reads many files one after the other: fresh memory for each would be garbage for long. */
export type RoomFor = (sizeBytes: number) => Buffer;

/** The first `length` bytes of a regular file, fewer where it is shorter. */
export async function readFileStart(path: string, length: number): Promise<Buffer> {
  return readRegular(path, (sizeBytes) => Math.min(sizeBytes, length));
}

async function readRegular(
  path: string,
  lengthOf: (sizeBytes: number) => number,
  room: RoomFor = Buffer.allocUnsafe,
): Promise<Buffer> {
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  return withFile(path, flags, async (file) => {
    const stats = await file.stat();
    if (!stats.isFile()) throw notRegular(path, stats.isDirectory());
    const wanted = lengthOf(stats.size);
    const buffer = room(wanted);
    let length = 0;
    while (length < wanted) {
      const { bytesRead } = await file.read(buffer, length, wanted - length, length);
      if (bytesRead === 0) break; // it shrank meanwhile: what is there now
      length += bytesRead;
    }
    return buffer.subarray(0, length);
  });
}

export interface TreeFile {
  /** Relative to the root, '/'-separated. */
  name: string;
  path: string;
}

/** Every regular file below a directory, streaming, in no order. Symlinks are neither followed nor listed. */
export async function* walkFiles(root: string): AsyncGenerator<TreeFile> {
  const pending = [''];
  for (let prefix = pending.pop(); prefix !== undefined; prefix = pending.pop()) {
    const directory = await ignoreMissing(opendir(join(root, prefix)));
    if (directory === undefined) continue; // removed while we walked
    for await (const entry of directory) {
      const name = prefix === '' ? entry.name : `${prefix}/${entry.name}`;
      if (entry.isDirectory()) pending.push(name);
      else if (entry.isFile()) yield { name, path: join(root, name) };
    }
  }
}

/** Bytes of every file below a directory. */
export async function treeSize(root: string): Promise<number> {
  let total = 0;
  for await (const file of walkFiles(root)) total += (await ignoreMissing(lstat(file.path)))?.size ?? 0;
  return total;
}

/** Bytes that an ordinary user may still write to the file system that holds `path`. */
export async function freeBytes(path: string): Promise<number> {
  const stats = await statfs(path);
  return stats.bavail * stats.bsize;
}

/** Opens, hands over, and closes on every path. */
export async function withFile<T>(
  path: string,
  flags: string | number,
  body: (file: FileHandle) => Promise<T>,
): Promise<T> {
  const file = await open(path, flags, FILE_MODE);
  try {
    return await body(file);
  } finally {
    await file.close();
  }
}

/** undefined for ENOENT and ENOTDIR; every other failure is thrown. */
export async function ignoreMissing<T>(pending: Promise<T>): Promise<T | undefined> {
  try {
    return await pending;
  } catch (error) {
    if (isErrno(error, 'ENOENT') || isErrno(error, 'ENOTDIR')) return undefined;
    throw error;
  }
}

/** The operating system's code of an error ('ENOSPC'), or null. */
export function errnoOf(thrown: unknown): string | null {
  const code = (thrown as NodeJS.ErrnoException | null)?.code;
  return typeof code === 'string' && /^E[A-Z0-9]+$/.test(code) ? code : null;
}

export function isErrno(thrown: unknown, code: string): boolean {
  return errnoOf(thrown) === code;
}

function notRegular(path: string, isDirectory: boolean): Error {
  const code = isDirectory ? 'EISDIR' : 'EINVAL';
  return Object.assign(new Error(`${basename(path)} is not a regular file`), { code, path });
}

async function syncParentOf(path: string): Promise<void> {
  await ignoreMissing(fsyncDirectory(dirname(resolve(path))));
}
