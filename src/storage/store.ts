/**
 * Where objects live: a local directory or, later, an object store. A store knows nothing of backups.
 *
 * Contract (test/conformance/store.ts holds every store to it):
 *   - keys are relative, '/'-separated, made of A-Z a-z 0-9 . _ - and never contain an empty part or one that starts
 *     with '.' (so neither '.' nor '..'); anything else is refused before the store is touched. What else lies in the
 *     same place under such names (locks, unfinished files) is no object.
 *   - put and putFile resolve when the object is durable (file and directory entry synced); a reader sees the old
 *     object, none, or the new one whole, never a part.
 *   - delete resolves when the removal is durable; a missing object is not an error (false).
 *   - what an interrupted put leaves is invisible to list, stat and get; sweepPartial removes it.
 *   - get refuses more than maxBytes before it takes the memory.
 *   - long calls take an AbortSignal and report progress in bytes; an aborted call leaves nothing visible.
 *   - errors: CairnError; a missing object is StoreObjectMissing so that callers can tell it from damage, and put with
 *     ifAbsent on a key that has an object is StoreObjectExists. NOSPACE: no room; BACKUPCORRUPT: what has the key is no
 *     object, or larger than maxBytes; CANCELLED: the signal; BACKUPFAILED: the rest (storage-error.ts recodes it).
 *     details.errno has the system's code where there is one.
 */
import { CairnError } from '../base/errors.js';
import type { RoomFor } from '../base/fs.js';

export interface StoreEntry {
  key: string;
  sizeBytes: number;
  /** Changes whenever the content may have changed (ETag, or inode, size, mtime and ctime). */
  version: string;
  modifiedUs: number;
}

export interface TransferOptions {
  signal?: AbortSignal;
  /** Called with bytes moved since the last call. */
  onProgress?: (bytes: number) => void;
  /** Nobody waits for it with more right than clients for theirs: it takes less of the machine while they keep it busy. */
  gentle?: boolean;
}

declare const seen: unique symbol;
/** What a look at a prefix has seen; means something to the store that made it alone. */
export type Seen = { readonly [seen]: true };

export interface StoreChanges {
  seen: Seen;
  /** New ones, and those whose version is another. */
  changed: readonly StoreEntry[];
  /** Keys that were there. */
  gone: readonly string[];
}

/** What getMany found of one object: its bytes and the version that they are of, or what `get` would have thrown. */
export type Got =
  | { key: string; bytes: Buffer; version: string; error: null }
  | { key: string; bytes: null; error: Error };

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

export class StoreObjectExists extends Error {
  override readonly name = 'StoreObjectExists';
  constructor(readonly key: string) {
    super(`object ${key} exists already`);
  }
}

const MAX_KEY_LENGTH = 1024;
const MAX_PART_LENGTH = 255;

const SLASH = 0x2f;
const DOT = 0x2e;
/** By character code: 1 for what a part may have anywhere, and a dot, which may not be its first. */
const inParts = new Uint8Array(128);
for (const letter of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.')
  inParts[letter.charCodeAt(0)] = 1;

/** Asked for every file of a list, so in one walk and without a regular expression. */
export function isKey(text: string): boolean {
  if (text.length > MAX_KEY_LENGTH) return false;
  let partLength = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === SLASH) {
      if (partLength === 0) return false;
      partLength = 0;
    } else {
      if (inParts[code] !== 1 || (code === DOT && partLength === 0) || partLength === MAX_PART_LENGTH) return false;
      partLength++;
    }
  }
  return partLength > 0;
}

/** Every store calls it first: a key that is none never reaches a disk or a network. */
export function requireKey(text: string): void {
  if (!isKey(text)) throw new CairnError('BACKUPFAILED', `${shown(text)} cannot be the key of an object`);
}

/** A prefix is '' or the start of a key: whole parts, and perhaps the start of one more. */
export function requirePrefix(text: string): void {
  const whole = text.endsWith('/') ? text.slice(0, -1) : text;
  if (text !== '' && !isKey(whole))
    throw new CairnError('BACKUPFAILED', `${shown(text)} cannot be the prefix of a key`);
}

function shown(text: string): string {
  return JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}...` : text);
}

export interface Store {
  /** For people and logs, e.g. the directory's path. Never holds a secret. */
  readonly location: string;
  /** `room`: where to, for whoever reads many large objects one after the other; it may be left unused. */
  get(key: string, maxBytes: number, room?: RoomFor): Promise<Buffer>;
  /** The first `length` bytes of an object, fewer where it is shorter. */
  getStart(key: string, length: number): Promise<Buffer>;
  /**
   * Many small objects, whole, in the order of the keys: in batches of bounded size, the next one being read while one is worked on.
   * Each as `get` would give it.
   */
  getMany(keys: readonly string[], maxBytes: number): AsyncIterable<readonly Got[]>;
  /** beforeVisible is awaited when everything is written and synced, just before the object gets its name. */
  put(
    key: string,
    bytes: Buffer,
    options?: { ifAbsent?: boolean; beforeVisible?: () => Promise<void> | undefined },
  ): Promise<void>;
  stat(key: string): Promise<StoreEntry | null>;
  /** Sizes of many objects, in the order of the keys; null where there is none. Throws as `stat` does. */
  sizes(keys: readonly string[]): Promise<(number | null)[]>;
  /** Every object under the prefix ('' for all), in no order. */
  list(prefix: string): AsyncIterable<StoreEntry>;
  /**
   * What of the objects right below a prefix of one part ('backups/') is not as an earlier look has seen it; without one all are new.
   * Deeper ones are not looked at.
   */
  changes(prefix: string, since?: Seen): Promise<StoreChanges>;
  delete(key: string): Promise<boolean>;
  /** The same for many, at the price of few syncs. Answers how many were there; where some fail, the others go all the same. */
  deleteAll(keys: readonly string[]): Promise<number>;
  /**
   * Copies the first `sizeBytes` of a local file in, hashing what it reads in the same pass, then names the object by
   * what it hashed. An object of that size already there under that key is kept as it is (stored: false) unless
   * `replace` says of its hash that it is not to be trusted.
   * A source that is shorter than sizeBytes fails.
   */
  putFile(
    sourcePath: string,
    sizeBytes: number,
    keyFor: (sha256: string) => string,
    options?: TransferOptions & { replace?: (sha256: string) => boolean },
  ): Promise<Digested & { key: string; stored: boolean }>;
  /** Copies an object out to a new local file (must not exist), hashing in the same pass; the file is synced. */
  getFile(key: string, targetPath: string, options?: TransferOptions): Promise<Digested>;
  /** Reads and hashes an object. */
  hash(key: string, options?: TransferOptions): Promise<Digested>;
  freeBytes(): Promise<number | null>;
  /**
   * Removes what interrupted puts left and makes durable what is visible: a process that died between a rename and the
   * sync of the directory left an object that a power cut could still take. Answers how many leftovers it removed. Only
   * the holder of the repository's lock may call it, before it relies on an object that it did not put.
   */
  sweepPartial(): Promise<number>;
  close(): Promise<void>;
}
