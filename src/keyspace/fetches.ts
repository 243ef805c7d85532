/**
 * Records on their way from the disk to a transaction that missed them. Between the fetch and the moment when the body
 * runs again the key may be written by others: then what was fetched is dropped, and the transaction finds the new
 * record among the pending groups or in the memtable. No stale record is ever resident.
 */
import type { Database } from '../engine/types.js';
import type { DatabaseMap } from './database-map.js';
import type { KeyRef } from './keyspace.js';
import type { Layout } from './layout.js';
import { ReadsTogether } from './reads-together.js';
import type { PendingGroups } from './write-group.js';

/** Once the values of a call have that many bytes, the other keys are not read ahead. */
const ENOUGH_AHEAD_BYTES = 4 << 20;
/** While what was read ahead for a client has that many bytes, no more is. */
const ENOUGH_OF_ONE_BYTES = 1 << 20;
const LONGEST_KEY_AHEAD = 1 << 16;
/** Reads ahead take no more than two threads of the pool, and none for long. */
const AHEAD = { calls: 2, running: 2, keys: 512 };

const nothing = (): void => {};

/** What a transaction can look up besides what is cached. */
export interface Residents {
  /** By main key; null: no such key. undefined: it is not resident. */
  get(id: string): Buffer | null | undefined;
}

export class Fetch implements Residents {
  /** Asked for and not spoiled by a write; undefined: it has not come yet. */
  readonly records = new Map<string, Buffer | null | undefined>();

  /** ahead: of the same client. */
  constructor(private readonly ahead?: ReadAhead) {}

  get(id: string): Buffer | null | undefined {
    const own = this.records.get(id);
    return own === undefined ? this.ahead?.residents?.get(id) : own;
  }

  /** What was read of a key, unless that was written since it was asked for. */
  arrived(id: string, record: Buffer | null): void {
    if (this.records.has(id)) this.records.set(id, record);
  }
}

/**
 * What one client's next commands ask for is read together with what its current one misses: one after the other, each would wait for
 * the disk by itself. Nothing fails for it: what could not be read ahead is read when its command runs.
 */
export class ReadAhead {
  private fetches: Fetches | null = null;
  private fetch: Fetch | null = null;
  /** More would be too much: the values are large, or too many others read ahead. */
  spent = false;
  /** Withdraws what is not being read yet: the command that waits for it needs it no longer. */
  withdraw: () => void = nothing;

  /** keys: of the client's next commands, as far as they are known. */
  constructor(readonly keys: () => readonly KeyRef[]) {}

  /** null: nothing was read ahead. */
  get residents(): Residents | null {
    return this.fetch;
  }

  begin(fetches: Fetches): Fetch {
    this.fetches = fetches;
    this.fetch ??= new Fetch();
    return this.fetch;
  }

  /** To be called when the commands have run, or do not run for a while. Idempotent. */
  end(): void {
    if (this.fetch === null) return;
    this.withdraw();
    this.fetches?.end(this.fetch);
    this.fetch = null;
    this.spent = false;
  }
}

export interface FetchesHost {
  readonly openDatabase: Database;
  readonly pending: PendingGroups;
  readonly layout: Layout;
  readonly databaseMap: DatabaseMap;
  /** Changes with the database. */
  readonly generation: number;
}

export class Fetches {
  private readonly byId = new Map<string, Fetch[]>();
  private readonly reads = new ReadsTogether((database, keys) => database.multiGet(keys), { calls: 3 });
  private readonly readsAhead = new ReadsTogether(
    (database, keys) => database.multiGetSome(keys, ENOUGH_AHEAD_BYTES),
    AHEAD,
  );

  constructor(private readonly host: FetchesHost) {}

  get size(): number {
    return this.byId.size;
  }

  /** Makes the records of these keys resident. */
  async load(fetch: Fetch, mainKeys: readonly Buffer[]): Promise<void> {
    const { generation, openDatabase, pending, layout } = this.host;
    const ids: string[] = [];
    const wanted: Buffer[] = [];
    for (const mainKey of mainKeys) {
      const id = mainKey.toString('latin1');
      if (fetch.records.has(id) || fetch.get(id) !== undefined) continue;
      // What is executed but not written is not in the database: the transaction will find it among the groups.
      if (pending.find(id, layout.slotOf(id)) !== undefined) continue;
      ids.push(id);
      wanted.push(mainKey);
      this.await(fetch, id);
    }
    if (wanted.length === 0) return;
    let records: (Buffer | undefined)[];
    try {
      records = await this.reads.read(openDatabase, wanted);
    } catch (error) {
      // Another database is served: what this one has no longer matters.
      if (generation !== this.host.generation) return;
      throw error;
    }
    for (let at = 0; at < ids.length; at += 1) fetch.arrived(ids[at] as string, records[at] ?? null);
  }

  /**
   * Makes the records of the client's next commands resident, those that are on disk and can be read. keys: of these. current: what the
   * command that waits asks for, which may have been read ahead.
   */
  async loadAhead(ahead: ReadAhead, keys: readonly KeyRef[], current: readonly Buffer[]): Promise<void> {
    const { openDatabase, pending, layout, databaseMap } = this.host;
    const fetch = ahead.begin(this);
    const upcoming = new Map<string, { mainKey: Buffer; slot: number; toBeWritten: boolean }>();
    for (const { database, key, toBeWritten } of keys) {
      if (database >= layout.databases || key.length > LONGEST_KEY_AHEAD) continue;
      const slot = databaseMap.slotOf(database);
      const mainKey = layout.mainKey(slot, key);
      upcoming.set(mainKey.toString('latin1'), { mainKey, slot, toBeWritten: toBeWritten === true });
    }
    const kept = new Set([...upcoming.keys(), ...current.map((mainKey) => mainKey.toString('latin1'))]);
    if (this.dropOthers(fetch, kept) >= ENOUGH_OF_ONE_BYTES || ahead.spent) return;
    const wanted = new Map<string, Buffer>();
    for (const [id, { mainKey, slot, toBeWritten }] of upcoming) {
      if (fetch.records.get(id) !== undefined || pending.find(id, slot) !== undefined) continue;
      if (!openDatabase.isCached(mainKey, toBeWritten)) wanted.set(id, mainKey);
    }
    if (wanted.size === 0) return;
    for (const id of wanted.keys()) this.await(fetch, id);
    const asked = this.readsAhead.ask(openDatabase, [...wanted.values()]);
    ahead.withdraw = asked.withdraw;
    const records = await asked.records.catch(() => []);
    ahead.withdraw = nothing;
    if (ahead.residents !== fetch || records === null) return;
    let at = 0;
    for (const id of wanted.keys()) {
      // Left out, or it could not be read.
      const record = at < records.length ? records[at] : null;
      at += 1;
      if (record === null) ahead.spent = true;
      else fetch.arrived(id, record === undefined ? null : ownBytes(record));
    }
  }

  /** What was read ahead for commands that have run. Answers how many bytes are left. */
  private dropOthers(fetch: Fetch, kept: ReadonlySet<string>): number {
    let bytes = 0;
    for (const [id, record] of fetch.records) {
      if (kept.has(id)) bytes += record?.length ?? 0;
      else {
        this.forget(fetch, id);
        fetch.records.delete(id);
      }
    }
    return bytes;
  }

  private await(fetch: Fetch, id: string): void {
    if (fetch.records.has(id)) return;
    fetch.records.set(id, undefined);
    const others = this.byId.get(id);
    if (others === undefined) this.byId.set(id, [fetch]);
    else others.push(fetch);
  }

  /** The key was written: what was read of it before does not count. */
  spoil(id: string): void {
    const fetches = this.byId.get(id);
    if (fetches === undefined) return;
    this.byId.delete(id);
    for (const { records } of fetches) records.delete(id);
  }

  /** Anything may have changed: a flush, a failed write, another database. */
  spoilAll(): void {
    for (const id of [...this.byId.keys()]) this.spoil(id);
  }

  /** Nothing of it is resident any more. */
  end(fetch: Fetch): void {
    for (const id of fetch.records.keys()) this.forget(fetch, id);
    fetch.records.clear();
  }

  private forget(fetch: Fetch, id: string): void {
    const fetches = this.byId.get(id);
    if (fetches === undefined) return;
    if (fetches.length > 1) fetches.splice(fetches.indexOf(fetch), 1);
    else this.byId.delete(id);
  }
}

/** A small record does not keep the answer of a whole call. */
function ownBytes(record: Buffer): Buffer {
  return record.length * 4 < record.buffer.byteLength ? Buffer.from(record) : record;
}
