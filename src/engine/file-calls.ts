/** Whole files through the addon; nothing in it is about a database. */
import { constants } from 'node:os';
import { getSystemErrorMap } from 'node:util';
import type { CopyOutcome, DirectoryListing, FileCalls, FileCopy } from '../base/file-calls.js';
import { type Addon, loadAddon } from './addon.js';

const NUL = '\0';

export const nativeFiles: FileCalls = {
  sizes: (root, keys) => loadAddon().fileSizes(root, keys.length === 0 ? '' : keys.join(NUL) + NUL),
  list,
  copy,
};

async function list(directory: string): Promise<DirectoryListing> {
  const found = await loadAddon().fileList(directory);
  if (found.errno !== 0) {
    const [code, text] = systemError(found.errno);
    throw Object.assign(new Error(`${code}: ${text}, scandir '${directory}'`), { code });
  }
  const versions = parts(found.versions);
  const files = parts(found.names).map((name, nth) => ({
    name,
    version: versions[nth] as string,
    sizeBytes: found.numbers[2 * nth] as number,
    modifiedUs: found.numbers[2 * nth + 1] as number,
  }));
  return { directories: parts(found.directories), files };
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
