/** Whole files through the addon; nothing in it is about a database. */
import { constants } from 'node:os';
import { join } from 'node:path';
import { getSystemErrorMap } from 'node:util';
import type {
  CopyOutcome,
  DirectoryChanges,
  DirectoryListing,
  FileCalls,
  FileCopy,
  FileRoot,
  ListedFile,
  ReadFile,
} from '../base/file-calls.js';
import { type Addon, loadAddon } from './addon.js';

const NUL = '\0';
/** In the place of a length; below 0 otherwise: not read. */
const NOT_LOOKED_AT = -2;

export const nativeFiles: FileCalls = {
  sizes: ({ path, identity }, keys) => loadAddon().fileSizes(path, identity ?? '', joined(keys)),
  reads,
  stage: async ({ path, identity }, name, bytes) => {
    requireDone(await loadAddon().stageFile(path, identity ?? '', name, bytes), join(path, name));
  },
  settle: async ({ path, identity }, name, key, ifAbsent) => {
    requireDone(await loadAddon().settleFile(path, identity ?? '', name, key, ifAbsent), join(path, key));
  },
  list,
  changes,
  copy,
};

async function reads(
  { path, identity }: FileRoot,
  keys: readonly string[],
  maxBytes: number,
  enoughBytes: number,
): Promise<(ReadFile | null)[]> {
  const read = await loadAddon().fileReads(path, identity ?? '', joined(keys), maxBytes, enoughBytes);
  const versions = parts(read.versions);
  const found: (ReadFile | null)[] = [];
  let at = 0;
  for (const [nth, length] of read.lengths.entries()) {
    if (length === NOT_LOOKED_AT) break;
    const end = at + Math.max(length, 0);
    found.push(length < 0 ? null : { bytes: read.bytes.subarray(at, end), version: versions[nth] as string });
    at = end;
  }
  return found;
}

async function list({ path, identity }: FileRoot, prefix: string): Promise<DirectoryListing> {
  const found = await loadAddon().fileList(path, identity ?? '', prefix, undefined);
  if (found.errno !== 0) throw failure(found.errno, 'scandir', join(path, prefix));
  return { directories: parts(found.directories), files: filesOf(found) };
}

async function changes({ path, identity }: FileRoot, prefix: string, since?: Buffer): Promise<DirectoryChanges> {
  const found = await loadAddon().fileList(path, identity ?? '', prefix, since);
  const missing = found.errno === constants.errno.ENOENT;
  if (found.errno !== 0 && !missing) throw failure(found.errno, 'scandir', join(path, prefix));
  return { missing, seen: found.seen ?? since ?? Buffer.alloc(0), files: filesOf(found), gone: parts(found.gone) };
}

function filesOf({ names, versions, numbers }: Awaited<ReturnType<Addon['fileList']>>): ListedFile[] {
  const all = parts(versions);
  return parts(names).map((name, nth) => ({
    name,
    version: all[nth] as string,
    sizeBytes: numbers[2 * nth] as number,
    modifiedUs: numbers[2 * nth + 1] as number,
  }));
}

function requireDone({ errno, call }: { errno: number; call: string }, path: string): void {
  if (errno !== 0) throw failure(errno, call, path);
}

/** As Node says it. */
function failure(errno: number, call: string, path: string): Error {
  const [code, text] = systemError(errno);
  return Object.assign(new Error(`${code}: ${text}, ${call} '${path}'`), { code });
}

/** It rejects only where it could not begin. */
function noThread(error: unknown): Awaited<ReturnType<Addon['copyFile']>> {
  const call = error instanceof Error ? error.message : String(error);
  return { kind: 'system', side: null, errno: constants.errno.EAGAIN, call, bytes: 0, sha256: Buffer.alloc(0) };
}

/** Node's own table lacks a few, EDQUOT among them. */
function systemError(errno: number): [name: string | null, text: string] {
  const known = getSystemErrorMap().get(-errno);
  if (known !== undefined) return known;
  const [name] = Object.entries(constants.errno).find(([, number]) => number === errno) ?? [null];
  return [name, `error ${errno}`];
}

/** Each ended by NUL. */
function joined(keys: readonly string[]): string {
  return keys.length === 0 ? '' : keys.join(NUL) + NUL;
}

/** The same taken apart. */
function parts(text: string): string[] {
  const all = text.split(NUL);
  all.pop();
  return all;
}

async function copy({ sourcePath, targetPath, sizeBytes, chunkBytes, control }: FileCopy): Promise<CopyOutcome> {
  const found = await loadAddon()
    .copyFile(sourcePath, targetPath, sizeBytes ?? -1, chunkBytes, control)
    .catch((error: unknown) => noThread(error));
  const { kind, side, call, bytes } = found;
  if (kind === 'done') return { kind, sha256: found.sha256.toString('hex'), sizeBytes: bytes };
  const [name, text] = systemError(found.errno);
  const failure = { kind, side, errno: found.errno === 0 ? null : name, copiedBytes: bytes };
  switch (kind) {
    case 'short':
      return { ...failure, message: `it ended after ${bytes} of ${sizeBytes} bytes` };
    case 'not-a-file':
      return { ...failure, message: 'it is not a regular file' };
    case 'cancelled':
      return { ...failure, message: 'cancelled' };
    case 'system':
      return { ...failure, message: `${name ?? 'failed'}: ${text}, ${call}` };
  }
}
