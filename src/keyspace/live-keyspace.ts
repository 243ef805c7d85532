/**
 * The keyspace: executes transactions, lets the group writer make them durable, pauses it for a cut, and exchanges the
 * database under everything for a restore in place.
 *
 *   execute → LiveTransaction (draft) → GroupWriter (open group → RocksDB) → Outcome.durable
 *                    │ missed
 *                    └→ Fetches (pool) → the body once more
 *
 * Everything runs on the event loop's thread. A pause, an exchange and a storage check exclude each other.
 */
import { assert } from '../base/assert.js';
import { CairnError, toCairnError } from '../base/errors.js';
import type { Database } from '../engine/types.js';
import { CommitClock } from './commit-clock.js';
import { COMMIT_MARK } from './commit-mark.js';
import { stateOf } from './correct-position.js';
import { DatabaseMap, loadDatabaseMap } from './database-map.js';
import { Exclusive } from './exclusive.js';
import { type Due, Expirer, type ExpirerHost } from './expirer.js';
import { withExpiryCounts } from './expiry-counts.js';
import { Fetch, Fetches, type ReadAhead, type Residents } from './fetches.js';
import { GroupWriter, type GroupWriterHost } from './group-writer.js';
import type { KeyRef, Keyspace, Outcome, Watch } from './keyspace.js';
import { type Layout, nativeLayout } from './layout.js';
import { LiveTransaction, type View } from './live-transaction.js';
import { type KeyspaceOptions, loadState } from './open.js';
import type { Exchanged, KeyspaceKind, Position } from './port.js';
import { rawLayout, saveRawState } from './raw.js';
import {
  commitsLost,
  didNotOpen,
  loading,
  refusedAfter,
  reopening,
  starting,
  stillRefused,
  stopping,
  writesStopped,
} from './refusals.js';
import { collectLayer, ScanMerge } from './scan.js';
import { ScanCursors } from './scan-cursors.js';
import { cloneState, decodeState, emptyState, type State } from './state-record.js';
import { requireRoomToReopen, requireWritable, resumeStorage } from './storage-check.js';
import type { ScanPage, ScanRequest, Transaction } from './transaction.js';
import { type Durability, WalSyncer, type WalSyncerHost } from './wal-syncer.js';
import { KeyWatch, type WatchedRecord, Watches } from './watches.js';

/** After a miss, for so many transactions that miss nothing, keys are looked up before the body asks for them. */
const MISSES_LATELY = 64;

export class LiveKeyspace implements Keyspace, View, GroupWriterHost, ExpirerHost, WalSyncerHost {
  readonly cursors = new ScanCursors();
  readonly commitMark = COMMIT_MARK;
  readonly clock: CommitClock;
  readonly expire: boolean;
  database: Database | null;
  layout: Layout;
  unavailable: CairnError | null;
  generation = 1;
  private storageError: CairnError | null = null;
  private readOnly = false;
  expiryHeld = false;
  readonly lookups = { hits: 0, misses: 0, expired: 0 };
  private missesLately = 0;
  private begun: boolean;
  private closing: Promise<void> | null = null;
  /** Settles when the running exchange is over, null: none runs. */
  private exchanging: Promise<void> | null = null;
  /** The database could not be opened anew: why, where it lies, and the sequence that it has to have. */
  private lost: { path: string; failure: CairnError; sequence: number } | null = null;
  private readonly exclusive = new Exclusive();
  private readonly writer: GroupWriter;
  private readonly tx: LiveTransaction;
  private readonly fetches = new Fetches(this);
  private readonly watches: Watches;
  private readonly expirer: Expirer;
  private readonly syncer: WalSyncer;

  /** state and map: of options.database, null when there is none. */
  constructor(
    private readonly options: KeyspaceOptions,
    state: State | null,
    map: DatabaseMap | null,
  ) {
    this.database = options.database;
    this.layout = layoutOf(options.kind);
    this.expire = options.expire;
    this.begun = options.paused !== true;
    this.unavailable = this.availability();
    const start = state ?? emptyState(options.timeline, this.layout.databases);
    this.clock = new CommitClock(options.wallClock, Math.max(options.clockFloorUs, start.lastCommitUs + 1));
    this.writer = new GroupWriter(this, start, map ?? DatabaseMap.plain(this.layout.databases));
    this.tx = new LiveTransaction(this);
    this.watches = new Watches(
      (id, slot) => this.peek(id, slot),
      () => (this.expire ? this.clock.wallMs() : null),
    );
    this.expirer = new Expirer(this);
    this.syncer = new WalSyncer(this);
    if (this.begun) this.expirer.start();
    this.syncer.start();
  }

  begin(): void {
    if (this.begun || this.closing !== null) return;
    this.begun = true;
    if (this.exchanging === null) this.unavailable = this.availability();
    this.expirer.start();
  }

  /** What data commands answer while nothing is exchanged. */
  private availability(): CairnError | null {
    if (this.database === null) return didNotOpen(this.lost?.failure ?? this.options.failure);
    return this.begun ? null : starting();
  }

  get kind(): KeyspaceKind {
    return this.layout.kind;
  }

  get writesRefused(): CairnError | null {
    return this.storageError ?? (this.readOnly ? writesStopped() : null);
  }

  get position(): Position {
    return {
      sequence: this.openDatabase.latestSequence(),
      ...cloneState(this.writer.writtenState),
    };
  }

  nowUs(): number {
    return this.clock.now();
  }

  raiseClock(us: number): void {
    this.clock.raise(us);
  }

  // ── transactions ──────────────────────────────────────────────────────────────────────────────────────────────

  execute<T>(body: (tx: Transaction) => T, keys?: () => KeyRef[], ahead?: ReadAhead): Outcome<T> | Promise<Outcome<T>> {
    if (this.unavailable !== null) throw this.unavailable;
    const known = this.missesLately > 0 && keys !== undefined ? this.within(keys()) : null;
    const outcome = this.attempt(body, ahead === undefined ? null : ahead.residents, known);
    if (outcome !== null) {
      if (this.missesLately > 0) this.missesLately--;
      return outcome;
    }
    this.missesLately = MISSES_LATELY;
    return this.executeFetched(body, known ?? this.within(keys?.() ?? []), this.tx.missed as Buffer, ahead);
  }

  /** The keys that there can be: others have an error coming from their command. */
  private within(keys: KeyRef[]): KeyRef[] {
    const { databases } = this.layout;
    return keys.every(({ database }) => database < databases)
      ? keys
      : keys.filter(({ database }) => database < databases);
  }

  /** null: a key has to be fetched first, `tx.missed` is it. known: what the body will ask for, where it is to be looked up before. */
  private attempt<B extends Transaction, T>(
    body: (tx: B) => T,
    resident: Residents | null,
    known: readonly KeyRef[] | null,
  ): Outcome<T> | null {
    const { tx } = this;
    assert(!tx.active, 'a transaction was begun inside another one');
    tx.begin(resident);
    let value: T;
    try {
      if (known?.length === 1 && tx.lacks(known[0] as KeyRef)) return null;
      value = body(tx as unknown as B);
    } catch (error) {
      if (tx.missed !== null) return null;
      throw error;
    } finally {
      tx.end();
    }
    if (tx.missed !== null) return null;
    this.lookups.hits += tx.hits;
    this.lookups.misses += tx.misses;
    this.lookups.expired += tx.expired;
    const group = tx.dirty ? this.writer.append(tx) : tx.seen;
    return { value, durable: group === null ? null : group.settled };
  }

  private async executeFetched<T>(
    body: (tx: Transaction) => T,
    keys: readonly KeyRef[],
    missed: Buffer,
    ahead: ReadAhead | undefined,
  ): Promise<Outcome<T>> {
    const fetch = new Fetch(ahead);
    try {
      let wanted = [missed];
      // A single one is what was missed.
      if (keys.length > 1) for (const { database, key } of keys) wanted.push(this.mainKeyOf(database, key));
      const upcoming = ahead?.keys() ?? [];
      let loadingAhead =
        ahead === undefined || upcoming.length === 0 ? null : this.fetches.loadAhead(ahead, upcoming, wanted);
      for (;;) {
        const { generation } = this;
        if (loadingAhead === null) await this.fetches.load(fetch, wanted);
        else await this.loadBoth(fetch, wanted, loadingAhead, ahead as ReadAhead);
        loadingAhead = null;
        if (this.unavailable !== null) {
          ahead?.end();
          await this.becomeAvailable();
        }
        // Another database: what was missed there may be in memory here, and keys may be laid out otherwise.
        if (generation !== this.generation) this.fetches.end(fetch);
        const outcome = this.attempt(body, fetch, null);
        if (outcome !== null) return outcome;
        wanted = [this.tx.missed as Buffer];
      }
    } finally {
      this.fetches.end(fetch);
    }
  }

  private mainKeyOf(database: number, key: Buffer): Buffer {
    return this.layout.mainKey(this.databaseMap.slotOf(database), key);
  }

  /** Both end: a read ahead that ran on could meet the next one, and what was written between the two. */
  private async loadBoth(fetch: Fetch, wanted: Buffer[], loadingAhead: Promise<void>, ahead: ReadAhead): Promise<void> {
    const loading = this.fetches.load(fetch, wanted).finally(() => ahead.withdraw());
    for (const load of await Promise.allSettled([loading, loadingAhead])) {
      if (load.status === 'rejected') throw load.reason;
    }
  }

  private async becomeAvailable(): Promise<void> {
    if (this.exchanging !== null) await this.exchanging;
    if (this.unavailable !== null) throw this.unavailable;
  }

  async scan(asked: ScanRequest): Promise<ScanPage> {
    if (this.unavailable !== null) throw this.unavailable;
    const { layout } = this;
    const request = { ...asked, database: this.databaseMap.slotOf(asked.database) };
    const database = this.openDatabase;
    const layer = collectLayer(layout, this.writer.pending, request);
    const merge = new ScanMerge(layout, request, layer.sorted(), this.expire ? this.clock.wallMs() : null);
    if (!layer.hidden) await this.scanDatabase(database, merge);
    const page = merge.finish();
    if (layer.seen !== null) await layer.seen.settled;
    return page;
  }

  private async scanDatabase(database: Database, merge: ScanMerge): Promise<void> {
    const { generation } = this;
    const snapshot = database.snapshot();
    const blocks = database.iterate({ ...merge.range, snapshot });
    try {
      for (let block = await blocks.next(); block !== null && merge.take(block); block = await blocks.next());
    } catch (error) {
      // The database was exchanged and closed under the scan: to be asked again.
      throw generation === this.generation ? error : loading();
    } finally {
      await blocks.close();
      if (!database.closed) snapshot.release();
    }
  }

  watch(previous: Watch | null, keys: KeyRef[]): Watch {
    if (this.unavailable !== null) throw this.unavailable;
    const watch = previous instanceof KeyWatch ? previous : this.watches.create();
    for (const { database, key } of keys) {
      const slot = this.databaseMap.slotOf(database);
      this.watches.add(watch, this.layout.mainKey(slot, key).toString('latin1'), slot);
    }
    return watch;
  }

  watchedIn(slots: readonly number[]): string[] {
    return this.watches.size === 0 ? [] : this.watches.inSlots(slots);
  }

  private peek(id: string, slot: number): WatchedRecord | Promise<WatchedRecord> {
    const pending = this.writer.pending.find(id, slot)?.lookup(id, slot);
    if (pending !== undefined) return this.watchedRecord(pending);
    const mainKey = Buffer.from(id, 'latin1');
    const cached = this.openDatabase.getCached(mainKey);
    if (cached !== null) return this.watchedRecord(cached ?? null);
    return this.openDatabase.get(mainKey).then((record) => this.watchedRecord(record ?? null));
  }

  private watchedRecord(record: Buffer | null): WatchedRecord {
    if (record === null) return { exists: false, expiresAtMs: null };
    const expiresAtMs = this.expire ? this.layout.expiryOf(record) : null;
    if (expiresAtMs !== null && this.clock.wallMs() > expiresAtMs) return { exists: false, expiresAtMs: null };
    return { exists: true, expiresAtMs };
  }

  // ── cut and exchange ──────────────────────────────────────────────────────────────────────────────────────────

  pausedBetweenGroups<T>(body: (position: Position, markUs: number) => Promise<T>): Promise<T> {
    return this.exclusive.run(async () => {
      if (this.database === null) throw this.unavailable ?? didNotOpen(undefined);
      await this.writer.pause();
      try {
        const { position } = this;
        await this.saveRawState();
        return await body(position, this.writer.markUs());
      } finally {
        this.writer.resume();
      }
    });
  }

  written(): { sequence: number; throughUs: number; commitCount: number } {
    const { commitCount } = this.writer.writtenState;
    // A write that runs may be counted already: its commits are after the mark all the same.
    return { sequence: this.openDatabase.latestSequence(), throughUs: this.writer.markUs(), commitCount };
  }

  exchange(
    body: (position: Position | null) => Promise<Exchanged>,
  ): Promise<{ previous: Database | null; downtimeMs: number }> {
    return this.exclusive.run(async () => {
      assert(this.closing === null, 'an exchange was begun on a closed keyspace');
      const startedAt = performance.now();
      this.unavailable = loading();
      let finish = (): void => {};
      this.exchanging = new Promise((resolve) => (finish = resolve));
      try {
        await this.writer.drain();
        await this.saveRawState();
        const next = await body(this.database === null ? null : this.position);
        const state = await this.stateAfter(next);
        const previous = this.database;
        if (next.database === previous && next.kind === this.kind) this.goOn(state);
        else this.serve(next, state, await loadDatabaseMap(next.database, next.kind));
        if (next.position !== undefined) await this.writePosition();
        return {
          previous: previous === next.database ? null : previous,
          downtimeMs: Math.round(performance.now() - startedAt),
        };
      } finally {
        this.exchanging = null;
        this.unavailable = this.availability();
        finish();
      }
    });
  }

  /** Where the state stands that an exchange brought. */
  private async stateAfter({ database, kind, timeline, position, expiryCounts }: Exchanged): Promise<State> {
    if (position !== undefined) return stateOf(database, kind, position, timeline);
    // The same one: memory knows, also after a write that failed.
    if (database === this.database && kind === this.kind) return { ...cloneState(this.writer.writtenState), timeline };
    return loadState(database, kind, timeline, this.options.rawStatePath, expiryCounts);
  }

  /** Makes the state say where it is. The exchange is done: a failure refuses writes, as any failed write does. */
  private async writePosition(): Promise<void> {
    // The check that allows writes again does it.
    if (this.storageError !== null) return;
    try {
      if (this.layout.stateKey === null) return await this.saveRawState();
      await this.writer.appendState().settled;
      await this.openDatabase.syncWal();
    } catch (error) {
      this.syncFailed(error);
    }
  }

  /** The same database, on another timeline or at a corrected position. */
  private goOn(state: State): void {
    this.clock.raise(state.lastCommitUs + 1);
    if (this.storageError === null) this.writer.reset(state, this.writer.map);
    else this.writer.correct(state);
  }

  private serve({ database, kind }: Exchanged, state: State, map: DatabaseMap): void {
    this.database = database;
    this.layout = layoutOf(kind);
    this.clock.raise(state.lastCommitUs + 1);
    this.writer.reset(state, map);
    this.storageError = null;
    this.lost = null;
    this.generation += 1;
    this.fetches.spoilAll();
    this.watches.touchAll();
    this.expirer.reset();
    this.syncer.clear();
  }

  // ── writes stopped and resumed ────────────────────────────────────────────────────────────────────────────────

  holdExpiry(on: boolean): void {
    this.expiryHeld = on;
  }

  async setReadOnly(on: boolean): Promise<void> {
    if (on) {
      this.readOnly = true;
      // What was executed before is answered for before this is.
      await this.writer.drain();
      return;
    }
    await this.exclusive.run(async () => {
      // One that could not be opened anew is what the check is for; after `close` nothing is opened any more.
      if (this.unavailable !== null && (this.lost === null || this.closing !== null)) throw this.unavailable;
      await this.writer.drain();
      await this.checkStorage();
      this.storageError = null;
      this.readOnly = false;
    });
  }

  /** Throws MISCONF when the storage does not take writes. One commit of the reserved key goes all the way. */
  private async checkStorage(): Promise<void> {
    let { database } = this;
    const path = database?.path ?? this.lost?.path ?? '';
    try {
      if (database === null || database.logUnusable) database = await this.reopen(database, path);
      else if (this.storageError !== null) database = await this.resumeOrReopen(database, path);
      if (this.storageError !== null) await this.readAnew(database);
      if (this.layout.stateKey !== null) {
        const group = this.writer.appendState();
        await group.settled.catch(() => {
          throw group.failure;
        });
      }
      await database.syncWal();
    } catch (error) {
      this.storageError ??= refusedAfter(error);
      throw stillRefused(error, path);
    }
  }

  private async resumeOrReopen(database: Database, path: string): Promise<Database> {
    try {
      await resumeStorage(database);
      return database;
    } catch (error) {
      if (!database.logUnusable) throw error;
      return this.reopen(database, path);
    }
  }

  /** Closes the database and opens it anew: RocksDB gives a failed log no new writer otherwise. Data calls answer LOADING. */
  private async reopen(database: Database | null, path: string): Promise<Database> {
    const { reopen: open, log } = this.options;
    if (open === undefined) throw new CairnError('MISCONF', `the log of ${path} takes writes again after a restart`);
    if (database !== null) await requireRoomToReopen(database);
    await requireWritable(path);
    const sequence = database?.latestSequence() ?? this.lost?.sequence ?? 0;
    this.unavailable = reopening();
    let finish = (): void => {};
    this.exchanging = new Promise((resolve) => (finish = resolve));
    this.generation += 1;
    try {
      // Of a log that failed RocksDB says at its close that it failed.
      await database
        ?.close()
        .catch((error: unknown) => log.warn('the database did not close cleanly', { path, error }));
      this.database = await this.openWhole(open, path, sequence);
      this.lost = null;
      this.fetches.spoilAll();
      this.watches.touchAll();
      this.syncer.clear();
      return this.database;
    } catch (error) {
      this.database = null;
      this.lost = { path, failure: toCairnError(error, 'MISCONF'), sequence };
      throw error;
    } finally {
      this.exchanging = null;
      this.unavailable = this.availability();
      finish();
    }
  }

  /** What a sync that failed was for, the disk may have lost; that is for a start to find, which goes on on a line of its own. */
  private async openWhole(
    open: (path: string) => Promise<Database>,
    path: string,
    sequence: number,
  ): Promise<Database> {
    const database = await open(path);
    const found = database.latestSequence();
    if (found >= sequence) return database;
    await database
      .close()
      .catch((error: unknown) => this.options.log.warn('the database did not close cleanly', { path, error }));
    throw commitsLost(path, sequence, found);
  }

  /** Whether a failed write is there after all is the database's to say; where else the state stands memory knows. */
  private async readAnew(database: Database): Promise<void> {
    const { stateKey, databases } = this.layout;
    const known = cloneState(this.writer.writtenState);
    const record = stateKey === null ? undefined : await database.get(stateKey);
    const stored = record === undefined ? known : { ...decodeState(record, databases), timeline: known.timeline };
    // An exchange may know better than the reserved key, and may have failed to say so in it.
    const newer = stored.lastCommitUs > known.lastCommitUs ? stored : known;
    this.writer.reset(await withExpiryCounts(database, this.kind, newer), await loadDatabaseMap(database, this.kind));
    this.clock.raise(stored.lastCommitUs + 1);
    this.fetches.spoilAll();
    this.expirer.reset();
  }

  // ── what the parts ask of the keyspace ────────────────────────────────────────────────────────────────────────

  get openDatabase(): Database {
    if (this.database === null) throw this.unavailable ?? didNotOpen(undefined);
    return this.database;
  }

  get pending(): GroupWriter['pending'] {
    return this.writer.pending;
  }

  get keyCounts(): readonly number[] {
    return this.writer.current.keyCounts;
  }

  get expiryCounts(): readonly number[] {
    return this.writer.current.expiryCounts;
  }

  get databaseMap(): DatabaseMap {
    return this.writer.map;
  }

  get durability(): Durability {
    return this.options.durability();
  }

  get syncEachWrite(): boolean {
    return this.options.durability() === 'always';
  }

  groupWritten(): void {
    if (!this.syncEachWrite) this.syncer.mark();
  }

  executed(id: string, exists: boolean): void {
    if (this.watches.size > 0) this.watches.touch(id, exists);
    if (this.fetches.size > 0) this.fetches.spoil(id);
  }

  executedExpiry(slot: number, expiresAtMs: number): void {
    this.expirer.noteExpiry(slot, expiresAtMs);
  }

  executedFlush(slot: number): void {
    this.watches.flush(slot);
    this.fetches.spoilAll();
  }

  executedSwap(before: DatabaseMap, after: DatabaseMap, changed: ReadonlySet<string>): void {
    if (this.watches.size === 0) return;
    const { layout } = this;
    this.watches.move(changed, (id) => {
      const slot = after.slotOf(before.databaseIn(layout.slotOf(id)));
      return { id: layout.mainKey(slot, layout.userKey(Buffer.from(id, 'latin1'))).toString('latin1'), slot };
    });
  }

  swapsLost(): void {
    this.watches.touchAll();
  }

  failed(cause: unknown): CairnError {
    this.fetches.spoilAll();
    // While writes are refused only the check of the storage writes: its failure is answered, not logged.
    if (this.storageError !== null) return this.storageError;
    this.storageError = refusedAfter(cause);
    this.options.log.error('write failed, writes are refused', { path: this.database?.path, error: cause });
    return this.storageError;
  }

  syncFailed(error: unknown): void {
    // It is tried again once a second, and writes are refused already.
    if (this.storageError !== null) return;
    this.storageError = refusedAfter(error);
    this.options.log.error('sync failed, writes are refused', {
      path: this.database?.path,
      error,
    });
  }

  expirySource(): ReturnType<ExpirerHost['expirySource']> {
    const { database, layout } = this;
    if (!this.expire || database === null || layout.expiryIndex === null) return null;
    if (this.unavailable !== null || this.writesRefused !== null || this.expiryHeld) return null;
    return {
      database,
      index: layout.expiryIndex,
      slots: layout.databases,
      nowMs: this.clock.wallMs(),
    };
  }

  async settled(): Promise<void> {
    await this.writer.pending.last?.settled;
  }

  async removeDue(due: Due[]): Promise<void> {
    if (this.unavailable !== null || this.writesRefused !== null || this.expiryHeld) return;
    const outcome = await this.execute(
      (tx) => {
        for (const { slot, key, expiresAtMs } of due) (tx as LiveTransaction).expireDue(slot, key, expiresAtMs);
      },
      () => due.map(({ slot, key }) => ({ database: this.databaseMap.databaseIn(slot), key })),
    );
    await outcome.durable;
  }

  expiryFailed(error: unknown): void {
    // A failed write is logged where it failed; an exchange may take the walk's database away.
    if (this.unavailable !== null || this.storageError !== null || isClosed(error)) return;
    this.options.log.error('removing expired keys failed', { error });
  }

  private async saveRawState(): Promise<void> {
    if (this.layout.kind !== 'raw' || this.database === null || this.options.rawStatePath === undefined) return;
    await saveRawState(this.database, this.options.rawStatePath, this.writer.writtenState);
  }

  // ── the end ───────────────────────────────────────────────────────────────────────────────────────────────────

  close(): Promise<void> {
    this.closing ??= this.exclusive.run(async () => {
      this.unavailable = stopping();
      await this.expirer.stop();
      await this.syncer.stop();
      const { database } = this;
      if (database === null) return;
      await this.writer.drain();
      try {
        if (this.storageError === null) {
          await database.syncWal();
          await this.saveRawState();
          await this.options.beforeClose?.(database);
        }
      } finally {
        await database.close();
      }
    });
    return this.closing;
  }
}

function isClosed(error: unknown): boolean {
  return error instanceof CairnError && error.details.kind === 'closed';
}

function layoutOf(kind: KeyspaceKind): Layout {
  return kind === 'native' ? nativeLayout : rawLayout;
}
