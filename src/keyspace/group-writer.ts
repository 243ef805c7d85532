/**
 * Group commit. Executed transactions gather in the open group; at the end of the event loop's turn, or as soon as the
 * write before it is done, the group is sealed and written as one batch:
 *
 *   per commit   LogData (commit-mark.ts), range deletions, the map of the databases if it changed, then its records
 *   at the end   one Put of the reserved key (state-record.ts), native keyspaces only; it belongs to the last commit
 *
 * One group is in the pool at a time. When a write fails, everything that is executed but not written is dropped: each
 * waiting reply is rejected with the first cause, and memory is again what the database has.
 */
import { assert } from '../base/assert.js';
import type { CairnError } from '../base/errors.js';
import { BatchBuilder } from '../engine/index.js';
import type { Database } from '../engine/types.js';
import type { CommitClock } from './commit-clock.js';
import { encodeCommitMark } from './commit-mark.js';
import type { DatabaseMap } from './database-map.js';
import type { Layout } from './layout.js';
import type { LiveTransaction } from './live-transaction.js';
import { cloneState, encodeState, type State } from './state-record.js';
import { PendingGroups, WriteGroup } from './write-group.js';

/** A group that has as much is sealed: replies should not wait for others' bulk. */
const MAX_GROUP_BYTES = 4 << 20;

export interface GroupWriterHost {
  readonly openDatabase: Database;
  readonly layout: Layout;
  readonly clock: CommitClock;
  /** The write's fsync precedes the reply. */
  readonly syncEachWrite: boolean;
  /** Bytes are in the WAL that are not synced. */
  groupWritten(): void;
  /** A record was executed: it exists now, or does not. */
  executed(id: string, exists: boolean): void;
  executedExpiry(slot: number, expiresAtMs: number): void;
  executedFlush(slot: number): void;
  /** Databases changed their slots; these watched keys changed by that. */
  executedSwap(before: DatabaseMap, after: DatabaseMap, changed: ReadonlySet<string>): void;
  /** Swaps were executed whose write failed: the databases are where they were. */
  swapsLost(): void;
  /** A write failed; says what waiting replies answer. */
  failed(cause: unknown): CairnError;
}

export class GroupWriter {
  readonly pending = new PendingGroups();
  /** With every executed commit. */
  current: State;
  /** As the database has it. */
  private written: State;
  /** With every executed commit. */
  map: DatabaseMap;
  /** As the database has it. */
  private writtenMap: DatabaseMap;
  private open: WriteGroup | null = null;
  /** The open group's batch. */
  private readonly batch = new BatchBuilder();
  private writing: Promise<void> | null = null;
  private scheduled = false;
  private paused = false;
  /** Time of the first commit whose write failed: it may be in the log all the same. null: none did. */
  private failedUs: number | null = null;

  constructor(
    private readonly host: GroupWriterHost,
    state: State,
    map: DatabaseMap,
  ) {
    this.current = cloneState(state);
    this.written = cloneState(state);
    this.map = map;
    this.writtenMap = map;
  }

  get writtenState(): Readonly<State> {
    return this.written;
  }

  /** Another database, or the same one read anew: only while nothing is pending. */
  reset(state: State, map: DatabaseMap): void {
    this.correct(state);
    this.map = map;
    this.writtenMap = map;
    this.failedUs = null;
  }

  /** The same database, whose state is known better: only while nothing is pending. */
  correct(state: State): void {
    this.current = cloneState(state);
    this.written = cloneState(state);
  }

  /** Makes the transaction's draft a commit of the open group. */
  append(tx: LiveTransaction): WriteGroup {
    const { clock, layout } = this.host;
    const flushes = tx.flushed === 0 ? null : this.flushRanges(tx.flushed);
    const timeUs = clock.next();
    const group = this.open ?? this.begin(timeUs);
    this.batch.logData(encodeCommitMark(timeUs, this.current.timeline));
    if (flushes !== null) for (const [slot, ranges] of flushes) this.appendFlush(group, slot, ranges);
    if (tx.map !== null) this.appendMap(tx.map, tx.swapped);
    for (const entry of tx.entries) {
      const { id, mainKey, record, existed, expiredAtMs } = entry;
      if (record !== null) this.batch.put(mainKey, record);
      else if (existed) this.batch.delete(mainKey);
      group.set(id, record);
      this.host.executed(id, record !== null);
      const expiresAtMs = record === null ? null : layout.expiryOf(record);
      if (expiresAtMs !== expiredAtMs) this.appendExpiry(entry.slot, mainKey, expiredAtMs, expiresAtMs);
    }
    for (const orphan of tx.orphans) this.batch.delete(orphan);
    this.current.lastCommitUs = timeUs;
    this.current.commitCount += 1;
    if (tx.counts !== null) this.current.keyCounts = tx.counts;
    if (tx.expiryCounts !== null) this.current.expiryCounts = tx.expiryCounts;
    if (this.batch.byteLength >= MAX_GROUP_BYTES) this.seal();
    this.schedule();
    return group;
  }

  /** A commit that changes nothing but the reserved key (native keyspaces only). It is the last one of its group. */
  appendState(): WriteGroup {
    const timeUs = this.host.clock.next();
    const group = this.open ?? this.begin(timeUs);
    this.batch.logData(encodeCommitMark(timeUs, this.current.timeline));
    this.current.lastCommitUs = timeUs;
    this.current.commitCount += 1;
    // A commit has records: this one has the Put that ends the group.
    this.seal();
    this.schedule();
    return group;
  }

  /** Resolves when everything that was executed is written or failed. */
  async drain(): Promise<void> {
    for (let last = this.pending.last; last !== undefined; last = this.pending.last) {
      await last.settled.catch(() => {});
    }
  }

  /** Resolves when no write is running; none begins until `resume`. */
  async pause(): Promise<void> {
    this.paused = true;
    if (this.writing !== null) await this.writing;
  }

  resume(): void {
    this.paused = false;
    this.pump();
  }

  /**
   * A moment after every written commit and before every other one. What is executed already has its time: then it
   * is just before the first of those. (Between two groups one moment is always left free, see `seal`.)
   */
  markUs(): number {
    const firstUs = this.failedUs ?? this.pending.first?.firstCommitUs;
    return firstUs === undefined ? this.host.clock.next() : firstUs - 1;
  }

  private begin(timeUs: number): WriteGroup {
    this.open = new WriteGroup(timeUs, this.host.layout);
    this.pending.push(this.open);
    return this.open;
  }

  /** By slot that is to be flushed. May read the disk, so it comes before anything is appended. */
  private flushRanges(flushed: number): Map<number, [Buffer, Buffer][]> {
    const { layout } = this.host;
    const ranges = new Map<number, [Buffer, Buffer][]>();
    for (let slot = 0; flushed !== 0 && slot < layout.databases; slot += 1) {
      if ((flushed & (1 << slot)) === 0) continue;
      ranges.set(
        slot,
        layout.flushRanges(slot, () => this.lastMainKey()),
      );
    }
    return ranges;
  }

  private appendFlush(group: WriteGroup, slot: number, ranges: [Buffer, Buffer][]): void {
    for (const [from, to] of ranges) this.batch.deleteRange(from, to);
    group.flush(slot);
    this.host.executedFlush(slot);
  }

  private appendMap(map: DatabaseMap, changed: ReadonlySet<string>): void {
    const { databasesKey } = this.host.layout;
    assert(databasesKey !== null, 'databases were swapped in a keyspace that has one');
    const record = map.encode();
    if (record === null) this.batch.delete(databasesKey);
    else this.batch.put(databasesKey, record);
    const before = this.map;
    this.map = map;
    this.host.executedSwap(before, map, changed);
  }

  private appendExpiry(slot: number, mainKey: Buffer, before: number | null, after: number | null): void {
    const { layout } = this.host;
    const index = layout.expiryIndex;
    if (index === null) return;
    const key = layout.userKey(mainKey);
    if (before !== null) this.batch.delete(index.key(slot, before, key));
    if (after === null) return;
    this.batch.put(index.key(slot, after, key), EMPTY);
    this.host.executedExpiry(slot, after);
  }

  /** The highest main key of database and pending groups: where a flush of a raw keyspace ends. Reads the disk. */
  private lastMainKey(): Buffer | null {
    const blocks = this.host.openDatabase.iterate({
      reverse: true,
      values: false,
      blockEntries: 1,
    });
    const block = blocks.nextSync();
    void blocks.close();
    let last = block === null ? null : block.subarray(8, 8 + block.readUInt32LE(0));
    for (const group of this.pending) {
      for (const [id] of group.entries()) {
        const key = Buffer.from(id, 'latin1');
        if (last === null || Buffer.compare(key, last) > 0) last = key;
      }
    }
    return last;
  }

  private schedule(): void {
    if (this.scheduled || this.writing !== null || this.paused) return;
    this.scheduled = true;
    setImmediate(() => {
      this.scheduled = false;
      this.pump();
    });
  }

  private seal(): void {
    const group = this.open;
    if (group === null) return;
    this.open = null;
    group.stateAfter = cloneState(this.current);
    group.mapAfter = this.map;
    const { stateKey } = this.host.layout;
    if (stateKey !== null) this.batch.put(stateKey, encodeState(group.stateAfter, !this.map.isPlain));
    group.rep = this.batch.finishPieces();
    // A moment that no commit has: a cut between this group and the next has a time of its own.
    this.host.clock.next();
  }

  private pump(): void {
    if (this.writing !== null || this.paused) return;
    const group = this.pending.first;
    if (group === undefined) return;
    if (group === this.open) this.seal();
    this.writing = this.write(group);
  }

  private async write(group: WriteGroup): Promise<void> {
    try {
      await this.host.openDatabase.write(group.rep as Buffer[], {
        sync: this.host.syncEachWrite,
      });
    } catch (error) {
      this.writing = null;
      this.fail(error);
      return;
    }
    this.writing = null;
    this.pending.shift();
    this.written = group.stateAfter as State;
    this.writtenMap = group.mapAfter as DatabaseMap;
    this.host.groupWritten();
    group.resolve();
    this.pump();
  }

  private fail(cause: unknown): void {
    this.failedUs ??= this.pending.first?.firstCommitUs ?? null;
    const error = this.host.failed(cause);
    this.open = null;
    this.batch.reset();
    this.current = cloneState(this.written);
    const swapsLost = this.map !== this.writtenMap;
    this.map = this.writtenMap;
    if (swapsLost) this.host.swapsLost();
    for (const group of this.pending.clear()) {
      group.failure = cause;
      group.reject(error);
    }
  }
}

const EMPTY = Buffer.alloc(0);
