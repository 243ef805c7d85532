/**
 * lists/<sha256>: which files a base consists of, stored once and shared by every backup on that base. Its key is the
 * SHA-256 of its bytes, so it carries no hash of itself, and equal lists have equal bytes: sorted by name, one line each.
 *
 * The names become files in a directory that RocksDB opens, so they are one level of harmless characters; a list that
 * says anything else is refused as a whole. Entries are checked one by one and the first bad one ends it: a hostile list
 * of millions must not cost more than its bytes.
 */
import { assert } from '../base/assert.js';
import { isSha256 } from '../base/hash.js';
import { decodeNamedByHash, FORMAT, FormatError, render } from './document.js';

export interface FileEntry {
  name: string;
  size: number;
  sha256: string;
}

export interface FileList {
  files: FileEntry[];
}

export const MAX_LIST_BYTES = 256 * 1024 * 1024;
export const MAX_LIST_FILES = 1_000_000;
const KIND = 'file list';

/** True for a name that may be created in a restored directory. */
export function isFileName(name: string): boolean {
  return /^[A-Za-z0-9._-]{1,255}$/.test(name) && name !== '.' && name !== '..';
}

/** The bytes whose SHA-256 is the list's key. Sorts; throws FormatError for what decode would refuse. */
export function encodeFileList(list: FileList): Buffer {
  const files = list.files.map(({ name, size, sha256 }) => ({ name, size, sha256 }));
  files.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  checkEntries(files);
  return Buffer.from(render({ format: FORMAT, files }));
}

/** `expected` is what the manifest says of the list; the caller has compared the bytes' SHA-256 with the key. */
export function decodeFileList(bytes: Uint8Array, expected?: { files: number; size: number }): FileList {
  const { files } = decodeNamedByHash(bytes, KIND, MAX_LIST_BYTES);
  if (!Array.isArray(files)) throw refused('it has no files');
  const size = checkEntries(files);
  const entries = files as FileEntry[];
  if (expected !== undefined && (files.length !== expected.files || size !== expected.size)) {
    const said = `${expected.files} files of ${expected.size} bytes`;
    throw refused(`it has ${files.length} files of ${size} bytes, its manifest says ${said}`);
  }
  return { files: entries.map(({ name, size, sha256 }) => ({ name, size, sha256 })) };
}

/** The bytes of all files of a list. */
export function listSize(list: FileList): number {
  const size = list.files.reduce((sum, file) => sum + file.size, 0);
  assert(Number.isSafeInteger(size), 'the files of a list add up');
  return size;
}

/** Checks every entry and answers the sum of the sizes. */
function checkEntries(entries: unknown[]): number {
  if (entries.length > MAX_LIST_FILES) throw refused(`it has ${entries.length} files, more than ${MAX_LIST_FILES}`);
  let total = 0;
  let previous = '';
  for (const [at, entry] of entries.entries()) {
    const { name, size, sha256 } = (entry ?? {}) as Partial<Record<keyof FileEntry, unknown>>;
    if (typeof name !== 'string' || !isFileName(name)) throw refused(`the name of file ${at} is not allowed`);
    if (name <= previous) throw refused(`file ${name} is there twice, or not in order`);
    if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0)
      throw refused(`the size of ${name} is none`);
    if (typeof sha256 !== 'string' || !isSha256(sha256)) throw refused(`the SHA-256 of ${name} is none`);
    total += size;
    if (!Number.isSafeInteger(total)) throw refused('its sizes add up to more than any disk has');
    previous = name;
  }
  return total;
}

function refused(what: string): FormatError {
  return new FormatError(KIND, 'schema', what);
}
