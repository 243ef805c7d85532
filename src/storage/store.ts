/**
 * Where objects live: a local directory or, later, an object store. A store knows nothing of backups.
 *
 * Contract (test/conformance/store.ts holds every store to it):
 *   - keys are relative, '/'-separated, made of A-Z a-z 0-9 . _ - and never contain an empty, '.' or '..' part;
 *     anything else is refused before the store is touched.
 *   - put and putFile resolve when the object is durable (file and directory entry synced); a reader sees the old
 *     object, none, or the new one whole, never a part.
 *   - delete resolves when the removal is durable; a missing object is not an error (false).
 *   - what an interrupted put leaves is invisible to list, stat and get; sweepPartial removes it.
 *   - get refuses more than maxBytes before it takes the memory.
 *   - long calls take an AbortSignal and report progress in bytes; an aborted call leaves nothing visible.
 *   - errors: CairnError; a missing object is StoreObjectMissing so that callers can tell it from damage.
 */
export interface StoreEntry {
  key: string;
  sizeBytes: number;
  /** Changes whenever the content may have changed (ETag, or mtime+inode+size). */
  version: string;
  modifiedUs: number;
}

export interface TransferOptions {
  signal?: AbortSignal;
  /** Called with bytes moved since the last call. */
  onProgress?: (bytes: number) => void;
}

export interface Digested {
  /** Lower-case hex. */
  sha256: string;
  sizeBytes: number;
}

export class StoreObjectMissing extends Error {
  override readonly name = 'StoreObjectMissing';
  constructor(readonly key: string) {
    super(`object ${key} does not exist`);
  }
}

export interface Store {
  /** For people and logs, e.g. the directory's path. Never holds a secret. */
  readonly location: string;
  get(key: string, maxBytes: number): Promise<Buffer>;
  /** beforeVisible is awaited when everything is written and synced, just before the object gets its name. */
  put(key: string, bytes: Buffer, options?: { ifAbsent?: boolean; beforeVisible?: () => Promise<void> | undefined }): Promise<void>;
  stat(key: string): Promise<StoreEntry | null>;
  /** Every object under the prefix ('' for all), in no order. */
  list(prefix: string): AsyncIterable<StoreEntry>;
  delete(key: string): Promise<boolean>;
  /**
   * Copies the first `sizeBytes` of a local file in, hashing what it reads in the same pass, then names the object by
   * what it hashed. An object already there under that key is kept as it is unless `replace` (stored: false).
   * A source that is shorter than sizeBytes fails.
   */
  putFile(
    sourcePath: string,
    sizeBytes: number,
    keyFor: (sha256: string) => string,
    options?: TransferOptions & { replace?: boolean },
  ): Promise<Digested & { key: string; stored: boolean }>;
  /** Copies an object out to a new local file (must not exist), hashing in the same pass; the file is synced. */
  getFile(key: string, targetPath: string, options?: TransferOptions): Promise<Digested>;
  /** Reads and hashes an object. */
  hash(key: string, options?: TransferOptions): Promise<Digested>;
  freeBytes(): Promise<number | null>;
  /** Removes what interrupted puts left. Only the holder of the repository's lock may call it. */
  sweepPartial(): Promise<number>;
  close(): Promise<void>;
}
