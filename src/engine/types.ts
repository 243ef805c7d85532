/** What the rest of Cairn may know of RocksDB. The addon is touched in src/engine alone. */

export interface OpenOptions {
  createIfMissing?: boolean;
  errorIfExists?: boolean;
  readOnly?: boolean;
  /** Bytes for the shared block cache. */
  blockCacheBytes?: number;
  writeBufferBytes?: number;
  maxBackgroundJobs?: number;
  /** RocksDB's own words: 0/0 deletes logs at once; ttl UINT64_MAX (as 'forever') archives and never purges. */
  walTtlSeconds?: number | 'forever';
  /** Stored per table in RocksDB's MANIFEST while the table is written. */
  fileChecksum?: 'sha256' | 'crc32c' | 'none';
  paranoidChecks?: boolean;
}

/** One file of getLiveFilesStorageInfo. */
export interface LiveFile {
  /** e.g. "000012.sst", "MANIFEST-000005", "CURRENT", "000011.log" */
  name: string;
  directory: string;
  kind: 'table' | 'blob' | 'wal' | 'manifest' | 'current' | 'options' | 'identity' | 'other';
  /** RocksDB's file number, 0 where it has none. */
  number: number;
  /** Valid bytes; the file on disk may be longer when trimToSize. */
  sizeBytes: number;
  trimToSize: boolean;
  /** The file's content where the file on disk is to be ignored (CURRENT). */
  contents: Buffer | null;
  /** Lower-case hex SHA-256 where RocksDB has it in its MANIFEST, else null. */
  sha256: string | null;
}

export interface IterateOptions {
  /** Inclusive lower and exclusive upper bound. */
  gte?: Buffer;
  lt?: Buffer;
  reverse?: boolean;
  /** false leaves the values out (every value length is 0). */
  values?: boolean;
  /** Approximate bytes per block, default 64 KiB. */
  blockBytes?: number;
  /** At most this many entries in a block. */
  blockEntries?: number;
  snapshot?: Snapshot;
  /** Keep what is read out of the block cache (long scans). Default true = do not fill. */
  bypassCache?: boolean;
}

/** Entries back to back: u32le key length, u32le value length, key, value. `decodeBlock` reads it. */
export type EntryBlock = Buffer;

export interface BlockIterator {
  /** The next block in the pool; null at the end. One call at a time. */
  next(): Promise<EntryBlock | null>;
  /** The same on the calling thread (inside EXEC only). */
  nextSync(): EntryBlock | null;
  /** Idempotent; waits for a running next(). */
  close(): Promise<void>;
}

export interface Snapshot {
  readonly sequence: number;
  release(): void;
}

/** A batch as the WAL has it. rep is RocksDB's WriteBatch representation. */
export interface WalBatch {
  sequence: number;
  count: number;
  rep: Buffer;
}

export interface WalReader {
  /** The next batches (up to about maxBytes); empty when at the tail (call again later). WALGAP and others throw. */
  next(maxBytes: number): Promise<WalBatch[]>;
  close(): Promise<void>;
}

/** What a crash left of the last log: everything from offset on was never whole, and is gone. */
export interface TornTail {
  path: string;
  offset: number;
  droppedBytes: number;
}

export interface Database {
  readonly path: string;
  /** Set when the last log ended in a torn record when the database was opened. */
  readonly tornTail: TornTail | null;
  readonly closed: boolean;
  /** On the calling thread, from memtable and block cache alone: value, undefined (no such key), null (would touch the disk). */
  getCached(key: Buffer): Buffer | undefined | null;
  get(key: Buffer, snapshot?: Snapshot): Promise<Buffer | undefined>;
  multiGet(keys: Buffer[]): Promise<(Buffer | undefined)[]>;
  /** Applies a WriteBatch representation (see BatchBuilder), atomically. */
  write(rep: Buffer, options?: { sync?: boolean; disableWal?: boolean; lowPriority?: boolean }): Promise<void>;
  iterate(options?: IterateOptions): BlockIterator;
  snapshot(): Snapshot;
  latestSequence(): number;
  flush(): Promise<void>;
  /** Hands buffered WAL bytes to the operating system. */
  flushWal(): Promise<void>;
  /** Makes the WAL durable. */
  syncWal(): Promise<void>;
  disableFileDeletions(): Promise<void>;
  enableFileDeletions(): Promise<void>;
  /** getLiveFilesStorageInfo without a flush, checksums included. */
  liveFiles(): Promise<LiveFile[]>;
  /** RocksDB's own checkpoint: the reference, used in tests and by tools. */
  checkpoint(path: string): Promise<void>;
  updatesSince(sequence: number): WalReader;
  /** Reads every block of every table and compares block checksums. */
  verifyChecksums(): Promise<void>;
  compactRange(gte?: Buffer, lt?: Buffer): Promise<void>;
  /** Tries to leave RocksDB's background error state after a storage error. */
  resume(): Promise<void>;
  property(name: string): string | null;
  statistics(): Record<string, number>;
  tableProperties(): Promise<Record<string, Record<string, string | number>>>;
  /** Waits for everything in flight, then closes. Idempotent. */
  close(): Promise<void>;
}

export interface FileLock {
  release(): void;
}
