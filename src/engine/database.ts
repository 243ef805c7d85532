/**
 * A RocksDB database. What answers from memory runs on the calling thread; what can touch the disk runs in libuv's pool
 * and returns a promise. Every failure is a CairnError (status.ts). A closed database refuses every call; `close` waits
 * for what is in flight and ends iterators, WAL readers and snapshots that are still there.
 */
import { CairnError } from '../base/errors.js';
import type { NativeCachedRead, NativeDatabase } from './addon.js';
import { DatabaseIterator } from './block-iterator.js';
import { DatabaseCommitReader, digestOf, markOf } from './commit-reader.js';
import { engineError } from './status.js';
import {
  type BlockIterator,
  type CommitReader,
  type CommitReaderOptions,
  type Database,
  type IterateOptions,
  type LiveFile,
  NO_PREFIX,
  type Snapshot,
  type TornTail,
  type WalReader,
} from './types.js';
import { DatabaseWalReader, nameDamagedLog } from './wal-reader.js';

const WRITE_SYNC = 1;
const WRITE_NO_WAL = 2;
const WRITE_LOW_PRIORITY = 4;
const SCAN_REVERSE = 1;
const SCAN_NO_VALUES = 2;
const SCAN_FILL_CACHE = 4;
const DEFAULT_BLOCK_BYTES = 64 * 1024;

const READ_HAS_PREFIX = 1 << 16;
const READ_TO_BE_WRITTEN = 1 << 17;
const READ_ONLY_WHETHER = 1 << 18;
const NOT_FOUND = -1;
const ON_DISK = -2;
const SLAB_FULL = -3;
/** Small cached values are handed out as views of a shared slab, as Node does with small Buffers. */
const SLAB_BYTES = 16 * 1024;
const MISSING = 0xffffffff;
const NOT_READ = 0xfffffffe;

const natives = new WeakMap<Database, NativeDatabase>();

/** For the engine's own operations that are no methods: what stands behind a database. */
export function nativeOf(database: Database): NativeDatabase {
  const native = natives.get(database);
  if (native === undefined) throw new TypeError('this is no database that the engine opened');
  return native;
}

class DatabaseSnapshot implements Snapshot {
  constructor(
    readonly owner: NativeDatabase,
    readonly id: number,
    readonly sequence: number,
  ) {}

  release(): void {
    this.owner.releaseSnapshot(this.id);
  }
}

export class RocksDatabase implements Database {
  readonly path: string;
  readonly #native: NativeDatabase;
  #closing: Promise<void> | undefined;
  readonly #readCached: NativeCachedRead;
  #slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
  #slabUsed = 0;
  /** The native side puts values into this slab. Where a call that gave it failed, nobody knows. */
  #slabTaken = true;

  constructor(
    native: NativeDatabase,
    path: string,
    readonly tornTail: TornTail | null,
  ) {
    this.#native = native;
    this.#readCached = native.cachedReads(this.#slab);
    this.path = path;
    natives.set(this, native);
  }

  get closed(): boolean {
    return this.#closing !== undefined;
  }

  getCached(key: Buffer, prefix = NO_PREFIX, toBeWritten = false): Buffer | undefined | null {
    try {
      const how = (prefix === NO_PREFIX ? 0 : READ_HAS_PREFIX | prefix) | (toBeWritten ? READ_TO_BE_WRITTEN : 0);
      let answer = this.#slabTaken ? this.#readCached(key, how) : this.#readCached(key, how, this.#slab);
      if (answer === SLAB_FULL) {
        // Every value that is answered through the slab fits a new one.
        this.#slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
        this.#slabTaken = false;
        this.#slabUsed = 0;
        answer = this.#readCached(key, how, this.#slab);
      }
      this.#slabTaken = true;
      if (typeof answer !== 'number') return answer;
      if (answer >= 0) {
        const start = this.#slabUsed;
        this.#slabUsed = start + answer;
        return this.#slab.subarray(start, this.#slabUsed);
      }
      return answer === NOT_FOUND ? undefined : null;
    } catch (thrown) {
      throw this.#error(thrown, 'read');
    }
  }

  isCached(key: Buffer, toBeWritten: boolean): boolean {
    const how = READ_ONLY_WHETHER | (toBeWritten ? READ_TO_BE_WRITTEN : 0);
    return this.#runSync('read', () => this.#readCached(key, how)) !== ON_DISK;
  }

  get(key: Buffer, snapshot?: Snapshot): Promise<Buffer | undefined> {
    return this.#run('read', () => this.#native.get(key, this.#snapshotId(snapshot)));
  }

  multiGet(keys: Buffer[]): Promise<(Buffer | undefined)[]> {
    return this.#run('read', async () => {
      const packed = await this.#native.multiGet(keys);
      return unpack(packed, keys.length) as (Buffer | undefined)[];
    });
  }

  multiGetSome(keys: Buffer[], enoughBytes: number): Promise<(Buffer | undefined | null)[]> {
    return this.#run('read', async () => unpack(await this.#native.multiGet(keys, enoughBytes), keys.length));
  }

  write(
    rep: Buffer | readonly Buffer[],
    options?: { sync?: boolean; disableWal?: boolean; lowPriority?: boolean },
  ): Promise<void> {
    let flags = 0;
    if (options !== undefined) {
      if (options.sync === true) flags |= WRITE_SYNC;
      if (options.disableWal === true) flags |= WRITE_NO_WAL;
      if (options.lowPriority === true) flags |= WRITE_LOW_PRIORITY;
    }
    return this.#run('write to', () => this.#native.write(rep, flags));
  }

  iterate(options: IterateOptions = {}): BlockIterator {
    let flags = 0;
    if (options.reverse === true) flags |= SCAN_REVERSE;
    if (options.values === false) flags |= SCAN_NO_VALUES;
    if (options.bypassCache === false) flags |= SCAN_FILL_CACHE;
    const blockBytes = Math.max(1, Math.trunc(options.blockBytes ?? DEFAULT_BLOCK_BYTES));
    const blockEntries = Math.max(0, Math.trunc(options.blockEntries ?? 0));
    const native = this.#runSync('scan', () =>
      this.#native.iterate(
        options.gte,
        options.lt,
        flags,
        blockBytes,
        blockEntries,
        this.#snapshotId(options.snapshot),
      ),
    );
    return new DatabaseIterator(native, this.path);
  }

  snapshot(): Snapshot {
    const [id, sequence] = this.#runSync('take a snapshot of', () => this.#native.snapshot());
    return new DatabaseSnapshot(this.#native, id, sequence);
  }

  latestSequence(): number {
    return this.#runSync('read', () => this.#native.latestSequence());
  }

  flush(): Promise<void> {
    return this.#run('flush', () => this.#native.flush());
  }

  flushWal(): Promise<void> {
    return this.#run('flush the WAL of', () => this.#native.flushWal());
  }

  syncWal(): Promise<void> {
    return this.#run('sync the WAL of', () => this.#native.syncWal());
  }

  disableFileDeletions(): Promise<void> {
    return this.#run('hold the files of', () => this.#native.disableFileDeletions());
  }

  enableFileDeletions(): Promise<void> {
    return this.#run('release the files of', () => this.#native.enableFileDeletions());
  }

  liveFiles(): Promise<LiveFile[]> {
    return this.#run('list the files of', () => this.#native.liveFiles() as Promise<LiveFile[]>).catch(
      async (error: unknown) => {
        throw error instanceof CairnError ? await nameDamagedLog(error, this.path) : error;
      },
    );
  }

  checkpoint(path: string): Promise<void> {
    return this.#run('checkpoint', () => this.#native.checkpoint(path));
  }

  updatesSince(sequence: number): WalReader {
    const native = this.#runSync('read the WAL of', () => this.#native.updatesSince(sequence));
    return new DatabaseWalReader(native, this.path);
  }

  commitsSince(sequenceFrom: number, options: CommitReaderOptions): CommitReader {
    const { timeline, digest, lastTimeUs, mark } = options;
    const native = this.#runSync('read the WAL of', () =>
      this.#native.commitsSince(sequenceFrom, timeline, digestOf(digest), lastTimeUs, ...markOf(mark)),
    );
    return new DatabaseCommitReader(native, this.path);
  }

  verifyChecksums(): Promise<void> {
    return this.#run('verify', () => this.#native.verifyChecksums());
  }

  compactRange(gte?: Buffer, lt?: Buffer): Promise<void> {
    return this.#run('compact', () => this.#native.compactRange(gte, lt));
  }

  resume(): Promise<void> {
    return this.#run('resume', () => this.#native.resume());
  }

  get logUnusable(): boolean {
    return this.#runSync('read', () => this.#native.logUnusable());
  }

  /** A secondary takes over what its primary has written since; NotSupported on any other. */
  catchUp(): Promise<void> {
    return this.#run('catch up', () => this.#native.catchUp());
  }

  property(name: string): string | null {
    return this.#runSync('read', () => this.#native.property(name));
  }

  valueCache(): { bytes: number; hits: number; misses: number } {
    return this.#runSync('read', () => this.#native.valueCache());
  }

  statistics(): Record<string, number> {
    return this.#runSync('read', () => this.#native.statistics());
  }

  tableProperties(): Promise<Record<string, Record<string, string | number>>> {
    return this.#run('read the tables of', () => this.#native.tableProperties());
  }

  close(): Promise<void> {
    this.#closing ??= this.#native.close().catch((thrown: unknown) => {
      throw this.#error(thrown, 'close');
    });
    return this.#closing;
  }

  #snapshotId(snapshot: Snapshot | undefined): number {
    if (snapshot === undefined) return 0;
    // One of another database would name some snapshot of this one.
    if (!(snapshot instanceof DatabaseSnapshot) || snapshot.owner !== this.#native) {
      throw new TypeError('the snapshot belongs to another database');
    }
    return snapshot.id;
  }

  async #run<T>(verb: string, call: () => Promise<T>): Promise<T> {
    try {
      return await call();
    } catch (thrown) {
      throw this.#error(thrown, verb);
    }
  }

  #runSync<T>(verb: string, call: () => T): T {
    try {
      return call();
    } catch (thrown) {
      throw this.#error(thrown, verb);
    }
  }

  #error(thrown: unknown, verb: string): Error {
    if (thrown instanceof TypeError) return thrown;
    return engineError(thrown, `cannot ${verb} ${this.path}`, this.path);
  }
}

function unpack(packed: Buffer, count: number): (Buffer | undefined | null)[] {
  const values: (Buffer | undefined | null)[] = [];
  let offset = 0;
  for (let i = 0; i < count; i++) {
    const length = packed.readUInt32LE(offset);
    offset += 4;
    if (length === MISSING || length === NOT_READ) {
      values.push(length === MISSING ? undefined : null);
    } else {
      values.push(packed.subarray(offset, offset + length));
      offset += length;
    }
  }
  return values;
}
