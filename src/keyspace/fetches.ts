/**
 * Records on their way from the disk to a transaction that missed them. Between the fetch and the moment when the body
 * runs again the key may be written by others: then what was fetched is dropped, and the transaction finds the new
 * record among the pending groups or in the memtable. No stale record is ever resident.
 */
export class Fetch {
  /** By main key; null: no such key. */
  readonly resident = new Map<string, Buffer | null>();
  /** Asked for and not yet spoiled by a write. */
  readonly awaited = new Set<string>();
}

export class Fetches {
  private readonly byId = new Map<string, Set<Fetch>>();

  get size(): number {
    return this.byId.size;
  }

  await(fetch: Fetch, id: string): void {
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
