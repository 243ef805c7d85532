/**
 * Loads the addon and says what it offers. The shapes here are those of native/: positional arguments, nothing checked
 * twice. Nothing outside src/engine imports this file.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CairnError } from '../base/errors.js';
import type { CopyFailureKind } from '../base/file-calls.js';
import type { FramedCommits, RecordProgress } from './types.js';

export interface NativeStatus {
  code: number;
  subcode: number;
  severity: number;
}

export interface NativeIterator {
  next(): Promise<Buffer | null>;
  nextSync(): Buffer | null;
  close(): void;
}

export interface NativeWalReader {
  next(maxBytes: number): Promise<{ sequence: number; count: number; rep: Buffer }[]>;
  close(): void;
}

export interface NativeCommitReader {
  next(maxBytes: number, upToSequence: number, continues: boolean): Promise<FramedCommits>;
  close(): void;
}

export type NativeMark = [prefix: Buffer, bytes: number, timeOffset: number, timelineOffset: number];

/** digest null: none was given. */
export type NativeProgress = Omit<RecordProgress, 'digest'> & { digest: Buffer | null };

/** A stop below 0: none; digest null: it is not computed. */
export type NativeRange = [
  bytes: Buffer,
  from: number,
  to: number,
  timeline: number,
  digest: Buffer | null,
  sequence: number,
  stopSequence: number,
  stopTimeUs: number,
];

/**
 * The value's length (its bytes follow in the slab those of the call before), -1 not found, -2 on disk, -3 slab full; or a large value.
 * `how`: READ_HAS_PREFIX and two bytes before the key, READ_TO_BE_WRITTEN, READ_ONLY_WHETHER (-2 or another one). `slab`: another one
 * from here on.
 */
export type NativeCachedRead = (key: Buffer, how: number, slab?: Buffer) => number | Buffer;

export interface NativeDatabase {
  close(): Promise<void>;
  cachedReads(slab: Buffer): NativeCachedRead;
  get(key: Buffer, snapshot: number): Promise<Buffer | undefined>;
  /** u32le length and value per key, length 0xffffffff for a missing one; 0xfffffffe for what was left out after enoughBytes of values. */
  multiGet(keys: Buffer[], enoughBytes?: number): Promise<Buffer>;
  write(rep: Buffer | readonly Buffer[], flags: number): Promise<void>;
  iterate(
    gte: Buffer | undefined,
    lt: Buffer | undefined,
    flags: number,
    blockBytes: number,
    blockEntries: number,
    snapshot: number,
  ): NativeIterator;
  updatesSince(sequence: number): NativeWalReader;
  commitsSince(
    sequenceFrom: number,
    timeline: number,
    digest: Buffer,
    lastTimeUs: number,
    ...mark: NativeMark
  ): NativeCommitReader;
  readCommit(sequence: number, unmarkedTimeUs: number, ...mark: NativeMark): Promise<Buffer | null>;
  replay(...args: [...NativeRange, batchBytes: number]): Promise<NativeProgress>;
  unlinkArchivedLog(name: string): Promise<void>;
  snapshot(): [id: number, sequence: number];
  releaseSnapshot(id: number): void;
  latestSequence(): number;
  property(name: string): string | null;
  logUnusable(): boolean;
  statistics(): Record<string, number>;
  valueCache(): { bytes: number; hits: number; misses: number };
  flush(): Promise<void>;
  flushWal(): Promise<void>;
  syncWal(): Promise<void>;
  disableFileDeletions(): Promise<void>;
  enableFileDeletions(): Promise<void>;
  liveFiles(): Promise<unknown[]>;
  checkpoint(path: string): Promise<void>;
  verifyChecksums(): Promise<void>;
  compactRange(gte: Buffer | undefined, lt: Buffer | undefined): Promise<void>;
  resume(): Promise<void>;
  catchUp(): Promise<void>;
  tableProperties(): Promise<Record<string, Record<string, string | number>>>;
}

export interface NativeOpenOptions {
  path: string;
  secondaryPath?: string;
  readOnly?: boolean;
  createIfMissing?: boolean;
  errorIfExists?: boolean;
  blockCacheBytes?: number;
  valueCacheBytes?: number;
  writeBufferBytes?: number;
  maxBackgroundJobs?: number;
  keepWal?: boolean;
  walTtlSeconds?: number;
  fileChecksum?: string;
  paranoidChecks?: boolean;
  load?: boolean;
  flushThreads?: number;
  deferCompaction?: boolean;
  stopAtTornTail?: boolean;
}

export interface Addon {
  readonly rocksdbVersion: string;
  open(options: NativeOpenOptions): Promise<NativeDatabase>;
  /** A root: its path, and what `device-inode` it has to be, or ''. Keys below it are each ended by NUL. */
  fileSizes(root: string, identity: string, keys: string): Promise<Float64Array>;
  /**
   * `lengths` of what `bytes` holds, in the order of the keys; -1: not read, -2: not looked at, since enough bytes were read. Versions of
   * those that were looked at, each ended by NUL.
   */
  fileReads(
    root: string,
    identity: string,
    keys: string,
    maxBytes: number,
    enoughBytes: number,
  ): Promise<{ lengths: Int32Array; versions: string; bytes: Buffer }>;
  /** errno 0: done. The Buffer must not be changed meanwhile. */
  stageFile(root: string, identity: string, name: string, bytes: Buffer): Promise<{ errno: number; call: string }>;
  settleFile(
    root: string,
    identity: string,
    name: string,
    key: string,
    ifAbsent: boolean,
  ): Promise<{ errno: number; call: string }>;
  /**
   * Each name and version ended by NUL; numbers: size, µs of the last change, of each; errno 0: none. Where `seen` of an earlier call is
   * given back: of those alone that were not there then, or other, and the names of files that are gone; no `seen` where it is the same.
   */
  fileList(
    root: string,
    identity: string,
    prefix: string,
    known: Buffer | undefined,
  ): Promise<{
    errno: number;
    directories: string;
    names: string;
    versions: string;
    numbers: Float64Array;
    gone: string;
    seen?: Buffer;
  }>;
  releaseMemory(buffer: Buffer): void;
  /** In the place of each socket's descriptor: how many bytes of its piece were taken, or -errno. */
  sendToSockets(sockets: Int32Array, pieces: readonly Buffer[]): void;
  /** sizeBytes below 0: all; control: newCopyControl; errno 0: none. */
  copyFile(
    source: string,
    target: string | null,
    sizeBytes: number,
    chunkBytes: number,
    control: BigInt64Array,
  ): Promise<{
    kind: 'done' | CopyFailureKind;
    side: 'source' | 'target' | null;
    errno: number;
    call: string;
    bytes: number;
    sha256: Buffer;
  }>;
  lockFile(path: string): unknown;
  crc32c(bytes: Buffer, start: number, end: number): number;
  unlockFile(lock: unknown): void;
  /** In the pool, without a copy: the Buffer must not be changed meanwhile. */
  sha256(bytes: Buffer): Promise<Buffer>;
  verifyRecords(...range: NativeRange): Promise<RecordProgress>;
  /** Waits for what is in the pool, then closes every database that this thread has open. */
  exiting(): void;
}

const FILE = join('build', 'Release', 'cairn.node');

/** The addon is built at the project's root; this file runs from dist/ or dist-test/, at different depths. */
function findAddon(from: string): string {
  for (let directory = from; ; directory = dirname(directory)) {
    const candidate = join(directory, FILE);
    if (existsSync(candidate)) return candidate;
    if (dirname(directory) === directory) break;
  }
  throw new CairnError('MISCONF', `the RocksDB addon ${FILE} was not found above ${from}`, {
    hint: 'Build it with `npm rebuild` in the project directory (needs librocksdb, a C++ compiler and make).',
    details: { kind: 'addon-missing' },
  });
}

let loaded: Addon | undefined;

export function loadAddon(): Addon {
  if (loaded === undefined) {
    const addon = createRequire(import.meta.url)(findAddon(dirname(fileURLToPath(import.meta.url)))) as Addon;
    // process.exit() and an uncaught exception: RocksDB must be closed before the process runs its exit handlers.
    process.once('exit', () => addon.exiting());
    loaded = addon;
  }
  return loaded;
}
