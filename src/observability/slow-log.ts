/** The latest commands that took long, a bounded number of them, with their arguments already cut and masked. */
export interface SlowEntry {
  readonly id: number;
  readonly timeSeconds: number;
  readonly us: number;
  readonly argv: readonly Buffer[];
  readonly client: string;
  readonly clientName: string;
}

export class SlowLog {
  private lastId = -1;
  /** Oldest first. */
  private readonly entries = new Map<number, SlowEntry>();

  add(entry: Omit<SlowEntry, 'id'>, maxLength: number): void {
    const id = ++this.lastId;
    this.entries.set(id, { id, ...entry });
    for (const oldest of this.entries.keys()) {
      if (this.entries.size <= maxLength) return;
      this.entries.delete(oldest);
    }
  }

  get length(): number {
    return this.entries.size;
  }

  /** Newest first. */
  latest(count: number): SlowEntry[] {
    const result: SlowEntry[] = [];
    for (let id = this.lastId; result.length < count; id--) {
      const entry = this.entries.get(id);
      if (entry === undefined) break;
      result.push(entry);
    }
    return result;
  }

  /** Numbers go on. */
  reset(): void {
    this.entries.clear();
  }
}
