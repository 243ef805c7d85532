/** Whole files through the addon; nothing in it is about a database. */
import { constants } from 'node:os';
import { getSystemErrorMap } from 'node:util';
import type {
  CopyOutcome,
  DirectoryChanges,
  DirectoryListing,
  FileCalls,
  FileCopy,
  ListedFile,
} from '../base/file-calls.js';
import { type Addon, loadAddon } from './addon.js';

const NUL = '\0';
/** In the place of a length; below 0 otherwise: not read. */
const NOT_LOOKED_AT = -2;

export const nativeFiles: FileCalls = {
  sizes: (root, keys) => loadAddon().fileSizes(root, joined(keys)),
  reads,
  list,
  changes,
  copy,
};

async function reads(
  root: string,
  keys: readonly string[],
  maxBytes: number,
  enoughBytes: number,
): Promise<(Buffer | null)[]> {
  const { lengths, bytes } = await loadAddon().fileReads(root, joined(keys), maxBytes, enoughBytes);
  const found: (Buffer | null)[] = [];
  let at = 0;
  for (const length of lengths) {
    if (length === NOT_LOOKED_AT) break;
    found.push(length < 0 ? null : bytes.subarray(at, at + length));
    at += Math.max(length, 0);
  }
  return found;
}

async function list(directory: string): Promise<DirectoryListing> {
  const found = await loadAddon().fileList(directory, undefined);
  if (found.errno !== 0) throw cannotList(directory, found.errno);
  return { directories: parts(found.directories), files: filesOf(found) };
}

async function changes(directory: string, since?: Buffer): Promise<DirectoryChanges> {
  const found = await loadAddon().fileList(directory, since);
  if (found.errno !== 0 && found.errno !== constants.errno.ENOENT) throw cannotList(directory, found.errno);
  return { seen: found.seen ?? since ?? Buffer.alloc(0), files: filesOf(found), gone: parts(found.gone) };
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

function cannotList(directory: string, errno: number): Error {
  const [code, text] = systemError(errno);
  return Object.assign(new Error(`${code}: ${text}, scandir '${directory}'`), { code });
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
