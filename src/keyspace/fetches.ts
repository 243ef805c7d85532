/**
 * Records on their way from the disk to a transaction that missed them. Between the fetch and the moment when the body
 * runs again the key may be written by others: then what was fetched is dropped, and the transaction finds the new
 * record among the pending groups or in the memtable. No stale record is ever resident.
 */
import type { Database } from '../engine/types.js';
import type { Layout } from './layout.js';
import { ReadsTogether } from './reads-together.js';
import type { PendingGroups } from './write-group.js';

export class Fetch {
  /** By main key; null: no such key. */
  readonly resident = new Map<string, Buffer | null>();
  /** Asked for and not yet spoiled by a write. */
  readonly awaited = new Set<string>();
}

export interface FetchesHost {
  readonly openDatabase: Database;
  readonly pending: PendingGroups;
  readonly layout: Layout;
  /** Changes with the database. */
  readonly generation: number;
}

export class Fetches {
  private readonly byId = new Map<string, Set<Fetch>>();
  private readonly reads = new ReadsTogether();

  constructor(private readonly host: FetchesHost) {}

  get size(): number {
    return this.byId.size;
  }

  /** Makes the records of these keys resident. */
  async load(fetch: Fetch, mainKeys: readonly Buffer[]): Promise<void> {
    const { generation, openDatabase, pending, layout } = this.host;
    const wanted = new Map<string, Buffer>();
    for (const mainKey of mainKeys) {
      const id = mainKey.toString('latin1');
      // What is executed but not written is not in the database: the transaction will find it among the groups.
      if (!fetch.resident.has(id) && pending.find(id, layout.slotOf(id)) === undefined) wanted.set(id, mainKey);
    }
    if (wanted.size === 0) return;
    for (const id of wanted.keys()) this.await(fetch, id);
    let records: (Buffer | undefined)[];
    try {
      records = await this.reads.read(openDatabase, [...wanted.values()]);
    } catch (error) {
      // Another database is served: what this one has no longer matters.
      if (generation !== this.host.generation) return;
      throw error;
    }
    let at = 0;
    for (const id of wanted.keys()) {
      if (fetch.awaited.has(id)) fetch.resident.set(id, records[at] ?? null);
      at += 1;
    }
  }

  private await(fetch: Fetch, id: string): void {
    fetch.awaited.add(id);
    let fetches = this.byId.get(id);
    if (fetches === undefined) {
      fetches = new Set();
      this.byId.set(id, fetches);
    }
    fetches.add(fetch);
  }

  /** The key was written: what was read of it before does not count. */
  spoil(id: string): void {
    const fetches = this.byId.get(id);
    if (fetches === undefined) return;
    this.byId.delete(id);
    for (const fetch of fetches) {
      fetch.awaited.delete(id);
      fetch.resident.delete(id);
    }
  }

  /** Anything may have changed: a flush, a failed write, another database. */
  spoilAll(): void {
    for (const id of [...this.byId.keys()]) this.spoil(id);
  }

  end(fetch: Fetch): void {
    for (const id of fetch.awaited) {
      const fetches = this.byId.get(id);
      fetches?.delete(fetch);
      if (fetches?.size === 0) this.byId.delete(id);
    }
  }
}
