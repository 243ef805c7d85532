/**
 * What is done with whole files outside the event loop, by the addon: handed to the stores, which do not know it. The bytes
 * never come into JavaScript.
 */

/**
 * A directory that files are looked for in, below. Links are followed neither in their place nor in that of a directory on the way; in that
 * of the root itself where its identity is known.
 */
export interface FileRoot {
  readonly path: string;
  /** `device-inode` of the directory that it has to be: where there is another one, or none, calls throw ESTALE, or find nothing. null: whichever it is. */
  readonly identity: string | null;
}

/** Keys are '/'-separated and have no NUL. What throws, throws what the system says, as Node does: an Error with `code`. */
export interface FileCalls {
  /** In bytes, in the order of the keys: NaN for what is missing, not a regular file, or cannot be looked at. */
  sizes(root: FileRoot, keys: readonly string[]): Promise<Float64Array>;
  /**
   * In the order of the keys: null for what is missing, not a regular file, larger than maxBytes (or 2 GiB), or cannot be read. Once
   * enoughBytes were read the rest is left out: fewer answers than keys, and at least one.
   */
  reads(root: FileRoot, keys: readonly string[], maxBytes: number, enoughBytes: number): Promise<(ReadFile | null)[]>;
  /** Writes and syncs a new file (0600) right below the root; on failure a part of it may be there. The bytes must not be changed meanwhile. */
  stage(root: FileRoot, name: string, bytes: Buffer): Promise<void>;
  /**
   * Gives a staged file the name of the key, durably: in the place of what has it, or with EEXIST where something has (`ifAbsent`).
   * Directories are not made. On failure it may have either name.
   */
  settle(root: FileRoot, name: string, key: string, ifAbsent: boolean): Promise<void>;
  /** What lies in a directory (a prefix: '' or ends with '/'): regular files and directories whose names do not begin with a dot. */
  list(root: FileRoot, prefix: string): Promise<DirectoryListing>;
  /** What of a directory's files is not as an earlier look has seen it; without one all are new. One that is missing has none. */
  changes(root: FileRoot, prefix: string, since?: Buffer): Promise<DirectoryChanges>;
  /**
   * Copies or hashes a file in one pass over its bytes, on a thread of its own with lower priority than the event loop. Resolves
   * when the target's bytes are synced (its directory is the caller's to sync), or with why there is no target.
   */
  copy(order: FileCopy): Promise<CopyOutcome>;
}

export interface ReadFile {
  bytes: Buffer;
  /** As in ListedFile, when it was opened. */
  version: string;
}

export interface DirectoryListing {
  readonly directories: readonly string[];
  readonly files: readonly ListedFile[];
}

export interface DirectoryChanges {
  /** There is no such directory. */
  readonly missing: boolean;
  /** For the next look. */
  readonly seen: Buffer;
  /** New ones, and those whose version is another. */
  readonly files: readonly ListedFile[];
  /** Names that were there. */
  readonly gone: readonly string[];
}

export interface ListedFile {
  name: string;
  sizeBytes: number;
  /** `inode-size-mtime-ctime`: changes whenever the content may have changed. */
  version: string;
  modifiedUs: number;
}

export interface CopyRequest {
  /** A regular file; links are not followed. */
  sourcePath: string;
  /** Copy this many bytes from the start; null: the whole file. */
  sizeBytes: number | null;
  /** A file that must not exist, made for the owner alone (0600); null only hashes. */
  targetPath: string | null;
}

export interface FileCopy extends CopyRequest {
  /** The unit of read, hash and write: the memory of one copy. */
  chunkBytes: number;
  /** A CopyControl. */
  control: BigInt64Array;
}

/** The slots of a copy's control, for Atomics. */
export const COPY_CANCEL = 0;
export const COPY_BYTES = 1;
export const COPY_REST = 2;

/**
 * Shared with the thread while a copy runs: [not 0: stop between two chunks, bytes copied so far, percent of the time of its work
 * for which it rests after each chunk].
 */
export function newCopyControl(): BigInt64Array {
  return new BigInt64Array(3);
}

/** short: the source ended before sizeBytes. */
export type CopyFailureKind = 'system' | 'short' | 'not-a-file' | 'cancelled';

export interface CopyFailure {
  kind: CopyFailureKind;
  side: 'source' | 'target' | null;
  /** The system's code, e.g. ENOSPC. */
  errno: string | null;
  message: string;
  /** Bytes that were copied before it failed. */
  copiedBytes: number;
}

export type CopyOutcome = { kind: 'done'; sha256: string; sizeBytes: number } | CopyFailure;
