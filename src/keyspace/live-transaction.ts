/**
 * The one transaction object of a keyspace. Transactions are serial, so it is used again for every one: `begin`, then
 * body, then the writer takes the draft away (or nobody does, and it never was).
 *
 * A read looks into the draft, the groups that are not written yet, what was fetched for this try, and at last into
 * RocksDB's memory. Where all that does not know the key the transaction is `missed`: the body is stopped, the key
 * fetched from disk, and the body run again. The mark stays if the body swallows the exception.
 */
import type { CairnError } from '../base/errors.js';
import { type Database, NO_PREFIX } from '../engine/types.js';
import type { CommitClock } from './commit-clock.js';
import type { DatabaseMap } from './database-map.js';
import type { Residents } from './fetches.js';
import type { KeyRef } from './keyspace.js';
import type { Layout } from './layout.js';
import { collectLayer, ScanMerge } from './scan.js';
import type { ScanPage, ScanRequest, Transaction, Value } from './transaction.js';
import type { PendingGroups, WriteGroup } from './write-group.js';

/** What a transaction sees of its keyspace. */
export interface View {
  readonly layout: Layout;
  readonly openDatabase: Database;
  readonly pending: PendingGroups;
  /** By database, with every executed commit. */
  readonly keyCounts: readonly number[];
  /** By database, with every executed commit: how many keys have an expiry. */
  readonly expiryCounts: readonly number[];
  /** With every executed commit. */
  readonly databaseMap: DatabaseMap;
  readonly clock: CommitClock;
  /** Ids of the keys in these slots that somebody watches. */
  watchedIn(slots: readonly number[]): string[];
  readonly writesRefused: CairnError | null;
  /** Keys whose time has come are hidden, and stay. */
  readonly expiryHeld: boolean;
  /** false: nothing expires. */
  readonly expire: boolean;
}

/** A key that this transaction wrote; the last write counts. */
export interface DraftEntry {
  id: string;
  slot: number;
  mainKey: Buffer;
  /** null: deleted. */
  record: Buffer | null;
  /** What was there before the transaction. */
  existed: boolean;
  expiredAtMs: number | null;
}

const MISS = new Error('a key has to be fetched from disk before this can go on');
const INDEX_ABOVE = 8;

export class LiveTransaction implements Transaction {
  /** 0: nobody has asked. */
  private askedMs = 0;
  active = false;
  counting = false;
  hits = 0;
  misses = 0;
  /** Keys whose removal, because their time had come, is in the draft. */
  expired = 0;
  /** The main key that has to be fetched, null: none. */
  missed: Buffer | null = null;
  /** The newest group not yet written of which something was seen. */
  seen: WriteGroup | null = null;
  entries: DraftEntry[] = [];
  /** Slots to be emptied before the entries are written, one bit each. */
  flushed = 0;
  /** Key counts after this transaction; null: as before. */
  counts: number[] | null = null;
  /** Counts of keys with an expiry after this transaction; null: as before. */
  expiryCounts: number[] | null = null;
  /** Which slots the databases are in after this transaction; null: the same ones. */
  map: DatabaseMap | null = null;
  /** Watched keys that a swap changed. */
  swapped = new Set<string>();
  /** Index entries without a main record, to be removed. */
  orphans: Buffer[] = [];
  private index: Map<string, DraftEntry> | null = null;
  private resident: Residents | null = null;
  /** The key that was looked up last: reading and then writing it is the common case. */
  private lastKey: Buffer | null = null;
  private lastSlot = 0;
  private lastPrefix = NO_PREFIX;
  /** Made when something asks for them: a read of what nobody writes needs none. */
  private lastMainKeyMade: Buffer | null = null;
  private lastIdMade: string | null = null;
  private lastBase: Buffer | null | undefined;

  constructor(private readonly view: View) {}

  begin(resident: Residents | null): void {
    this.askedMs = 0;
    this.active = true;
    this.counting = false;
    this.hits = 0;
    this.misses = 0;
    this.expired = 0;
    this.missed = null;
    this.seen = null;
    if (this.entries.length > 0) this.entries = [];
    if (this.orphans.length > 0) this.orphans = [];
    this.index = null;
    this.flushed = 0;
    this.counts = null;
    this.expiryCounts = null;
    this.map = null;
    if (this.swapped.size > 0) this.swapped = new Set();
    this.resident = resident;
    this.lastKey = null;
  }

  /** One moment for the whole transaction; most need none. */
  get nowMs(): number {
    if (this.askedMs === 0) this.askedMs = this.view.clock.wallMs();
    return this.askedMs;
  }

  end(): void {
    this.active = false;
    this.resident = null;
    this.lastKey = null;
    this.lastBase = undefined;
  }

  get dirty(): boolean {
    return this.entries.length > 0 || this.flushed !== 0 || this.map !== null || this.orphans.length > 0;
  }

  get(database: number, key: Buffer): Value | undefined {
    const record = this.current(this.slotOf(database), key);
    if (this.counting) this.countLookup(record !== null);
    return record === null ? undefined : this.view.layout.decode(record);
  }

  /**
   * Whether the key has to be fetched: looked up before anything else is done, which a read of it then takes over. Without this, what
   * stops the body is an exception, and V8 never compiles what always ends in one.
   */
  lacks({ database, key, toBeWritten }: KeyRef): boolean {
    this.identify(this.slotOf(database), key);
    this.lastBase = this.lookup(toBeWritten === true);
    return this.lastBase === undefined;
  }

  storedBytes(database: number, key: Buffer): number | undefined {
    const slot = this.slotOf(database);
    const record = this.current(slot, key);
    if (record === null) return undefined;
    const { layout } = this.view;
    const expiresAtMs = layout.expiryOf(record);
    const indexed = expiresAtMs === null ? 0 : (layout.expiryIndex?.key(slot, expiresAtMs, key).length ?? 0);
    return this.lastMainKey.length + record.length + indexed;
  }

  put(database: number, key: Buffer, value: Value): void {
    this.requireWritable();
    const slot = this.slotOf(database);
    const record = this.view.layout.encode(value);
    this.set(this.entry(slot, key), record);
  }

  delete(database: number, key: Buffer): boolean {
    const slot = this.slotOf(database);
    if (this.current(slot, key) === null) return false;
    this.requireWritable();
    this.set(this.entry(slot, key), null);
    return true;
  }

  flush(database: number | 'all'): void {
    this.requireWritable();
    if (database === 'all') {
      for (let slot = 0; slot < this.view.layout.databases; slot += 1) this.flushOne(slot);
    } else {
      this.flushOne(this.slotOf(database));
    }
  }

  swap(first: number, second: number): void {
    this.requireWritable();
    if (first === second) return;
    const map = this.map ?? this.view.databaseMap;
    const slots = [map.slotOf(first), map.slotOf(second)] as const;
    for (const id of this.view.watchedIn(slots)) if (this.swapChanges(id, slots)) this.swapped.add(id);
    this.counts = exchanged(this.counts ?? this.view.keyCounts, first, second);
    this.expiryCounts = exchanged(this.expiryCounts ?? this.view.expiryCounts, first, second);
    this.map = map.swapped(first, second);
  }

  keyCount(database: number): number {
    this.seen = this.view.pending.last ?? null;
    return (this.counts ?? this.view.keyCounts)[database] ?? 0;
  }

  expiryCount(database: number): number {
    this.seen = this.view.pending.last ?? null;
    return (this.expiryCounts ?? this.view.expiryCounts)[database] ?? 0;
  }

  scan(asked: ScanRequest): ScanPage {
    const { layout, pending, openDatabase, expire } = this.view;
    const request = { ...asked, database: this.slotOf(asked.database) };
    const layer = collectLayer(layout, pending, request);
    if (layer.seen !== null) this.seen = layer.seen;
    layer.add(this.entries, (this.flushed & (1 << request.database)) !== 0);
    const merge = new ScanMerge(layout, request, layer.sorted(), expire ? this.nowMs : null);
    if (layer.hidden) return merge.finish();
    const blocks = openDatabase.iterate(merge.range);
    try {
      for (let block = blocks.nextSync(); block !== null && merge.take(block); block = blocks.nextSync());
    } finally {
      // Nothing of it runs in the pool, so there is nothing to wait for.
      void blocks.close();
    }
    return merge.finish();
  }

  /** For the active expiry: removes the key if it still expires at that time, and an index entry that stands for none. */
  expireDue(slot: number, key: Buffer, expiresAtMs: number): void {
    const index = this.view.layout.expiryIndex;
    if (index === null) return;
    const record = this.read(slot, key);
    if (record !== null && this.view.layout.expiryOf(record) === expiresAtMs) this.current(slot, key);
    else this.orphans.push(index.key(slot, expiresAtMs, key));
  }

  private slotOf(database: number): number {
    return (this.map ?? this.view.databaseMap).slotOf(database);
  }

  /** Whether who watches a key of one of two slots sees it change when they are exchanged: it is in either, or was changed before. */
  private swapChanges(id: string, slots: readonly [number, number]): boolean {
    const { layout } = this.view;
    const key = layout.userKey(Buffer.from(id, 'latin1'));
    if (this.find(id) !== undefined || (this.flushed & (1 << layout.slotOf(id))) !== 0) return true;
    return slots.some((slot) => this.current(slot, key) !== null);
  }

  /** The record as a command may see it: an expired one is null, and removed where that is allowed. */
  private current(slot: number, key: Buffer): Buffer | null {
    const record = this.read(slot, key);
    if (record === null || !this.view.expire) return record;
    const expiresAtMs = this.view.layout.expiryOf(record);
    if (expiresAtMs === null || this.nowMs <= expiresAtMs) return record;
    if (this.view.writesRefused === null && !this.view.expiryHeld) {
      this.set(this.entry(slot, key), null);
      this.expired++;
    }
    return null;
  }

  private read(slot: number, key: Buffer): Buffer | null {
    this.identify(slot, key);
    const entry = this.drafted();
    if (entry !== undefined) return entry.record;
    return this.base();
  }

  /** The draft's entry for a key, made from what was there before where it is new. */
  private entry(slot: number, key: Buffer): DraftEntry {
    this.identify(slot, key);
    const known = this.drafted();
    if (known !== undefined) return known;
    const record = this.base(true);
    const entry: DraftEntry = {
      id: this.lastId,
      slot,
      mainKey: this.lastMainKey,
      record,
      existed: record !== null,
      expiredAtMs: record === null ? null : this.view.layout.expiryOf(record),
    };
    this.entries.push(entry);
    if (this.index !== null) this.index.set(entry.id, entry);
    else if (this.entries.length > INDEX_ABOVE) this.index = new Map(this.entries.map((each) => [each.id, each]));
    return entry;
  }

  private countLookup(hit: boolean): void {
    if (hit) this.hits++;
    else this.misses++;
  }

  private drafted(): DraftEntry | undefined {
    return this.entries.length === 0 ? undefined : this.find(this.lastId);
  }

  private get lastMainKey(): Buffer {
    this.lastMainKeyMade ??= this.view.layout.mainKey(this.lastSlot, this.lastKey as Buffer);
    return this.lastMainKeyMade;
  }

  private get lastId(): string {
    this.lastIdMade ??= this.lastMainKey.toString('latin1');
    return this.lastIdMade;
  }

  private find(id: string): DraftEntry | undefined {
    if (this.index !== null) return this.index.get(id);
    for (const entry of this.entries) if (entry.id === id) return entry;
    return undefined;
  }

  private identify(slot: number, key: Buffer): void {
    if (this.lastKey === key && this.lastSlot === slot) return;
    this.lastPrefix = this.view.layout.mainKeyPrefix(slot, key);
    this.lastMainKeyMade = null;
    this.lastIdMade = null;
    this.lastKey = key;
    this.lastSlot = slot;
    this.lastBase = undefined;
  }

  /** What was there before this transaction, for the key that was identified last. */
  private base(toBeWritten = false): Buffer | null {
    if ((this.flushed & (1 << this.lastSlot)) !== 0) return null;
    if (this.lastBase === undefined) this.lastBase = this.lookup(toBeWritten);
    if (this.lastBase === undefined) throw MISS;
    return this.lastBase;
  }

  /** undefined: missed. */
  private lookup(toBeWritten: boolean): Buffer | null | undefined {
    const { pending } = this.view;
    if (pending.length > 0) {
      const id = this.lastId;
      const group = pending.find(id, this.lastSlot);
      if (group !== undefined) {
        this.see(group);
        return group.lookup(id, this.lastSlot) as Buffer | null;
      }
    }
    const fetched = this.resident?.get(this.lastId);
    if (fetched !== undefined) return fetched;
    const cached = this.view.openDatabase.getCached(this.lastKey as Buffer, this.lastPrefix, toBeWritten);
    if (cached === undefined) return null;
    if (cached !== null) return cached;
    this.missed = this.lastMainKey;
    return undefined;
  }

  private see(group: WriteGroup): void {
    if (this.seen === null || group.firstCommitUs > this.seen.firstCommitUs) this.seen = group;
  }

  private flushOne(slot: number): void {
    const database = (this.map ?? this.view.databaseMap).databaseIn(slot);
    const counts = this.counts ?? this.view.keyCounts;
    if (counts[database] === 0) return;
    this.counts = counts.slice();
    this.counts[database] = 0;
    const expiring = this.expiryCounts ?? this.view.expiryCounts;
    if (expiring[database] !== 0) {
      this.expiryCounts = expiring.slice();
      this.expiryCounts[database] = 0;
    }
    this.flushed |= 1 << slot;
    this.entries = this.entries.filter((entry) => entry.slot !== slot);
    if (this.index !== null) this.index = new Map(this.entries.map((each) => [each.id, each]));
    this.lastBase = undefined;
  }

  /** What the key is from here on, and what that makes of the counts. */
  private set(entry: DraftEntry, record: Buffer | null): void {
    const before = entry.record;
    entry.record = record;
    if (before === null || record === null)
      this.count(entry.slot, (record === null ? 0 : 1) - (before === null ? 0 : 1));
    const expired = this.expires(before);
    const expires = this.expires(record);
    if (expires !== expired) this.countExpiry(entry.slot, expires ? 1 : -1);
  }

  private expires(record: Buffer | null): boolean {
    return record !== null && this.view.layout.expiryOf(record) !== null;
  }

  private count(slot: number, by: number): void {
    if (by === 0) return;
    const database = (this.map ?? this.view.databaseMap).databaseIn(slot);
    this.counts ??= this.view.keyCounts.slice();
    this.counts[database] = (this.counts[database] ?? 0) + by;
  }

  private countExpiry(slot: number, by: number): void {
    const database = (this.map ?? this.view.databaseMap).databaseIn(slot);
    this.expiryCounts ??= this.view.expiryCounts.slice();
    this.expiryCounts[database] = (this.expiryCounts[database] ?? 0) + by;
  }

  private requireWritable(): void {
    if (this.view.writesRefused !== null) throw this.view.writesRefused;
  }
}

function exchanged(counts: readonly number[], first: number, second: number): number[] {
  const result = counts.slice();
  [result[first], result[second]] = [counts[second] ?? 0, counts[first] ?? 0];
  return result;
}
