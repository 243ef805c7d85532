/** Whole files through the addon; nothing in it is about a database. */
import { getSystemErrorMap } from 'node:util';
import type { CopyOutcome, FileCalls, FileCopy } from '../base/file-calls.js';
import { loadAddon } from './addon.js';

const NUL = '\0';

export const nativeFiles: FileCalls = {
  sizes: (root, keys) => loadAddon().fileSizes(root, keys.length === 0 ? '' : keys.join(NUL) + NUL),
  copy,
};

async function copy({ sourcePath, targetPath, sizeBytes, chunkBytes, control }: FileCopy): Promise<CopyOutcome> {
  const found = await loadAddon().copyFile(sourcePath, targetPath, sizeBytes ?? -1, chunkBytes, control);
  const { kind, side, call, bytes } = found;
  if (kind === 'done') return { kind, sha256: found.sha256.toString('hex'), sizeBytes: bytes };
  const [name, text] = getSystemErrorMap().get(-found.errno) ?? [null, `error ${found.errno}`];
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
