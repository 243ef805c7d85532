/** What the rest of Cairn may know of RocksDB. The addon is touched in src/engine alone. */

export interface OpenOptions {
  createIfMissing?: boolean;
  errorIfExists?: boolean;
  readOnly?: boolean;
  /** Bytes for the shared block cache. */
  blockCacheBytes?: number;
  /** Bytes for values by key, which getCached answers first; default: none. */
  valueCacheBytes?: number;
  writeBufferBytes?: number;
  maxBackgroundJobs?: number;
  /** RocksDB's own words: 0/0 deletes logs at once; ttl UINT64_MAX (as 'forever') archives and never purges. */
  walTtlSeconds?: number | 'forever';
  /** Stored per table in RocksDB's MANIFEST while the table is written. */
  fileChecksum?: 'sha256' | 'crc32c' | 'none';
  paranoidChecks?: boolean;
  /** For replayRecords: a memtable that takes records fastest. Nothing should be read until it is opened again. */
  load?: boolean;
  /** With `load`: how many threads write out what was gathered, each a write buffer; one more is being filled. Default: 1. */
  flushThreads?: number;
  /** With `load`: tables are left as they come, up to about sixteen of them. */
  deferCompaction?: boolean;
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

/** Which log data is a commit's mark: `bytes` bytes that begin with `prefix`; time and timeline in it are big endian. */
export interface CommitMarkShape {
  prefix: Buffer;
  bytes: number;
  /** Of the commit time, µs, 8 bytes. */
  timeOffset: number;
  /** Of the timeline, 4 bytes. */
  timelineOffset: number;
}

export interface CommitReaderOptions {
  /** Of the archive that is written. Marks of an earlier timeline are taken, of a later one refused. */
  timeline: number;
  /** The running digest at the sequence where reading begins. */
  digest: Buffer;
  /** The time of the commit before; a commit without a mark (somebody else's write) gets that of the one before it. */
  lastTimeUs: number;
  mark: CommitMarkShape;
}

/** A place in a records area: the first record that starts in one of its stretches of 64 KiB. */
export interface FramedIndexEntry {
  /** The record's first sequence. */
  sequence: number;
  timeUs: number;
  /** From the beginning of the records area. */
  offset: number;
  /** The running digest before the record. */
  digest: Buffer;
}

/** Consecutive commits as the records of a segment, back to back (docs/backup-format.md). */
export interface FramedCommits {
  records: Buffer;
  /** Commits; 0: nothing to take now. */
  count: number;
  /** Exclusive. */
  sequenceFrom: number;
  sequenceTo: number;
  /** 0 when count is 0. */
  firstTimeUs: number;
  lastTimeUs: number;
  /** The running digest at sequenceFrom and at sequenceTo. */
  digestFrom: Buffer;
  digest: Buffer;
  index: FramedIndexEntry[];
}

export interface CommitReader {
  /**
   * The next whole commits, up to about maxBytes (one always), none that ends after `upToSequence`; count 0 when there
   * are none: at the tail, call again later. With `continues` they belong behind those of the last call, in the same
   * segment: offsets and the index go on. WALGAP and others throw, once what lies before was delivered. One call at a time.
   */
  next(maxBytes: number, upToSequence: number, options?: { continues?: boolean }): Promise<FramedCommits>;
  close(): Promise<void>;
}

/** Which records to check or apply, and what must hold where they begin. */
export interface RecordRange {
  /** Offsets in the bytes: of the first record, and where the last one ends. Default: all bytes. */
  from?: number;
  to?: number;
  timeline: number;
  /** The running digest before the first record. */
  digest: Buffer;
  /** The last sequence before the first record. */
  expectedSequence: number;
  /** Commits that end after it are not taken. */
  stopAfterSequence?: number;
  /** The first commit with a later time is not taken, nor what follows it. */
  stopAfterTimeUs?: number;
  /** What the running digest must be at `to`; compared unless the stop comes first. */
  expectedDigest?: Buffer;
}

/** Records of bytes that are proven already, by the SHA-256 of all of them: nobody computes the running digest once more. */
export type ProvenRange = Omit<RecordRange, 'digest' | 'expectedDigest'>;

/** Where checking or applying records has come to. */
export interface RecordProgress {
  commits: number;
  /** The last commit's last sequence; expectedSequence when none was taken. */
  sequence: number;
  /** 0 when none was taken. */
  lastTimeUs: number;
  digest: Buffer;
  /** Of the first record that was not taken. */
  offset: number;
  /** Of the bodies taken. */
  bytes: number;
}

/** A log that RocksDB has done with and moved to archive/. */
export interface ArchivedLog {
  name: string;
  path: string;
  number: number;
  sizeBytes: number;
  /** Of its first batch; null: it holds none. */
  firstSequence: number | null;
  modifiedMs: number;
}

/** What a crash left of the last log: everything from offset on was never whole, and is gone. */
export interface TornTail {
  path: string;
  offset: number;
  droppedBytes: number;
}

/** For `getCached`: the key is the whole key. */
export const NO_PREFIX = -1;

export interface Database {
  readonly path: string;
  /** Set when the last log ended in a torn record when the database was opened. */
  readonly tornTail: TornTail | null;
  readonly closed: boolean;
  /**
   * On the calling thread, from memtable and block cache alone: value, undefined (no such key), null (would touch the disk).
   * `prefix`: two bytes before the key, big endian; NO_PREFIX: none. `toBeWritten`: the key is asked for because it will be put.
   */
  getCached(key: Buffer, prefix?: number, toBeWritten?: boolean): Buffer | undefined | null;
  /** Whether getCached of such a key would answer something else than null. */
  isCached(key: Buffer, toBeWritten: boolean): boolean;
  get(key: Buffer, snapshot?: Snapshot): Promise<Buffer | undefined>;
  multiGet(keys: Buffer[]): Promise<(Buffer | undefined)[]>;
  /** The same, for what need not be read: once the values have that many bytes the others are left out (null), and so is what cannot be read. */
  multiGetSome(keys: Buffer[], enoughBytes: number): Promise<(Buffer | undefined | null)[]>;
  /** Applies a WriteBatch representation (see BatchBuilder), in one piece or in several that follow each other, atomically. */
  write(
    rep: Buffer | readonly Buffer[],
    options?: { sync?: boolean; disableWal?: boolean; lowPriority?: boolean },
  ): Promise<void>;
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
  /** Commits after `sequenceFrom` (exclusive; it must be a commit's last sequence, or 0), framed. */
  commitsSince(sequenceFrom: number, options: CommitReaderOptions): CommitReader;
  /** Reads every block of every table and compares block checksums. */
  verifyChecksums(): Promise<void>;
  compactRange(gte?: Buffer, lt?: Buffer): Promise<void>;
  /** Tries to leave RocksDB's background error state after a storage error. */
  resume(): Promise<void>;
  /** A write or sync failed, and `resume` would not give the log another writer: only opening anew does. */
  readonly logUnusable: boolean;
  property(name: string): string | null;
  statistics(): Record<string, number>;
  /** How full the cache of values is, and how often it answered getCached; since the database was opened. */
  valueCache(): { bytes: number; hits: number; misses: number };
  tableProperties(): Promise<Record<string, Record<string, string | number>>>;
  /** Waits for everything in flight, then closes. Idempotent. */
  close(): Promise<void>;
}

export interface FileLock {
  release(): void;
}
