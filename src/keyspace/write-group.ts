/**
 * A write group: the commits of about one turn of the event loop, which become one RocksDB write. Until that write is
 * done the group also answers reads, for the database does not have its content yet; `PendingGroups` are all such
 * groups in the order in which they will be written.
 *
 * Records are known by their main key as a latin1 string: one character per byte, so strings order as bytes do.
 */
import type { DatabaseMap } from './database-map.js';
import type { Layout } from './layout.js';
import type { State } from './state-record.js';

export class WriteGroup {
  /** The finished batch; set when the group is sealed. */
  rep: Buffer[] | null = null;
  /** null: deleted. */
  private readonly records = new Map<string, Buffer | null>();
  /** Slots whose earlier content is gone, one bit each. */
  private flushed = 0;
  /** Where the database stands once this is written; set when the group is sealed. */
  stateAfter: State | null = null;
  mapAfter: DatabaseMap | null = null;
  /** What its write failed with. Waiting replies answer the first such cause, which may be another one. */
  failure: unknown = null;
  /** Durable as chosen, or failed. */
  readonly settled: Promise<void>;
  resolve!: () => void;
  reject!: (error: Error) => void;

  constructor(
    readonly firstCommitUs: number,
    private readonly layout: Layout,
  ) {
    this.settled = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    // Whoever waits hears of it; that nobody waits (a background removal) is no unhandled rejection.
    this.settled.catch(() => {});
  }

  set(id: string, record: Buffer | null): void {
    this.records.set(id, record);
  }

  /** What was written before into the database is gone. */
  flush(slot: number): void {
    this.flushed |= 1 << slot;
    for (const id of this.records.keys()) if (this.layout.slotOf(id) === slot) this.records.delete(id);
  }

  /** undefined: this group says nothing about the key. */
  lookup(id: string, slot: number): Buffer | null | undefined {
    const record = this.records.get(id);
    if (record !== undefined) return record;
    return (this.flushed & (1 << slot)) === 0 ? undefined : null;
  }

  hasFlushed(slot: number): boolean {
    return (this.flushed & (1 << slot)) !== 0;
  }

  entries(): IterableIterator<[string, Buffer | null]> {
    return this.records.entries();
  }
}

/** Oldest first. */
export class PendingGroups {
  private groups: WriteGroup[] = [];

  get length(): number {
    return this.groups.length;
  }

  get first(): WriteGroup | undefined {
    return this.groups[0];
  }

  get last(): WriteGroup | undefined {
    return this.groups[this.groups.length - 1];
  }

  push(group: WriteGroup): void {
    this.groups.push(group);
  }

  shift(): void {
    this.groups.shift();
  }

  /** Takes all away. */
  clear(): WriteGroup[] {
    const groups = this.groups;
    this.groups = [];
    return groups;
  }

  /** The newest group that says something about the key, if any. */
  find(id: string, slot: number): WriteGroup | undefined {
    for (let i = this.groups.length - 1; i >= 0; i -= 1) {
      const group = this.groups[i] as WriteGroup;
      if (group.lookup(id, slot) !== undefined) return group;
    }
    return undefined;
  }

  [Symbol.iterator](): IterableIterator<WriteGroup> {
    return this.groups[Symbol.iterator]();
  }
}
