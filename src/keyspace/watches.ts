/**
 * WATCH. A watch is touched when one of its keys is written, goes away or expires, or when the database is exchanged.
 *
 * What each key was at the time of the watch is kept, so that no change is no change: a flush or the removal of an
 * expired key does not touch who watched a missing key, as in Redis. A key whose time comes is changed then, even if
 * nobody removed it yet. Where memory alone cannot tell what a key is, it is looked up in the background.
 */
import type { Watch } from './keyspace.js';

export interface WatchedRecord {
  exists: boolean;
  expiresAtMs: number | null;
}

/** A watched key beside its name: its entries in two maps, and a set of watchers. */
const WATCHED_BYTES = 400;

interface Watched {
  id: string;
  slot: number;
  /** null: not known yet. */
  before: WatchedRecord | null;
}

export class Watches {
  private readonly byId = new Map<string, Set<KeyWatch>>();

  constructor(
    /** What the key is now, where that is known without the disk. */
    private readonly peek: (id: string, slot: number) => WatchedRecord | Promise<WatchedRecord>,
    /** Unix ms, null: nothing expires. */
    private readonly nowMs: () => number | null,
  ) {}

  get size(): number {
    return this.byId.size;
  }

  create(): KeyWatch {
    return new KeyWatch(this, this.nowMs);
  }

  add(watch: KeyWatch, id: string, slot: number): void {
    if (watch.has(id)) return;
    const watched: Watched = { id, slot, before: null };
    this.place(watch, watched);
    const now = this.peek(id, slot);
    if (now instanceof Promise) {
      // If the key is written meanwhile the watch is touched anyway. If it cannot be read, EXEC's own reads will say so.
      now.then((found) => (watched.before = found)).catch(() => {});
    } else {
      watched.before = now;
    }
  }

  private place(watch: KeyWatch, watched: Watched): void {
    watch.hold(watched);
    let watchers = this.byId.get(watched.id);
    if (watchers === undefined) {
      watchers = new Set();
      this.byId.set(watched.id, watchers);
    }
    watchers.add(watch);
  }

  /** Ids of watched keys. */
  inSlots(slots: readonly number[]): string[] {
    const found: string[] = [];
    for (const [id, watchers] of this.byId) {
      const [watch] = watchers;
      if (slots.includes(watch?.slotOf(id) ?? -1)) found.push(id);
    }
    return found;
  }

  /**
   * Databases changed their slots: who watches a key of a database goes on to watch it where it is now. Those that
   * changed by it are touched; all others that move are not there, in the one slot and in the other.
   */
  move(changed: ReadonlySet<string>, place: (id: string) => { id: string; slot: number }): void {
    const moved: [KeyWatch, Watched][] = [];
    for (const [id, watchers] of [...this.byId]) {
      if (changed.has(id)) for (const watch of watchers) watch.touch();
      const to = place(id);
      if (to.id === id) continue;
      for (const watch of [...watchers]) {
        // What was there at the time of the watch is gone: its time has come.
        if (watch.before(id)?.exists !== false) watch.touch();
        watch.drop(id);
        this.remove(watch, id);
        moved.push([watch, { ...to, before: { exists: false, expiresAtMs: null } }]);
      }
    }
    for (const [watch, watched] of moved) this.place(watch, watched);
  }

  remove(watch: KeyWatch, id: string): void {
    const watchers = this.byId.get(id);
    if (watchers === undefined) return;
    watchers.delete(watch);
    if (watchers.size === 0) this.byId.delete(id);
  }

  /** A key was written (exists) or went away. */
  touch(id: string, exists: boolean): void {
    const watchers = this.byId.get(id);
    if (watchers === undefined) return;
    for (const watch of watchers) watch.changed(id, exists);
  }

  /** Every key of a slot went away. */
  flush(slot: number): void {
    for (const [id, watchers] of this.byId) {
      for (const watch of watchers) if (watch.slotOf(id) === slot) watch.changed(id, false);
    }
  }

  touchAll(): void {
    for (const watchers of this.byId.values()) for (const watch of watchers) watch.touch();
  }
}

export class KeyWatch implements Watch {
  private flagged = false;
  /** About what it takes. */
  heldBytes = 0;
  private readonly watched = new Map<string, Watched>();

  constructor(
    private readonly owner: Watches,
    private readonly nowMs: () => number | null,
  ) {}

  get touched(): boolean {
    if (this.flagged) return true;
    const nowMs = this.nowMs();
    if (nowMs === null) return false;
    for (const { before } of this.watched.values()) {
      if (before?.expiresAtMs != null && nowMs > before.expiresAtMs) return true;
    }
    return false;
  }

  release(): void {
    for (const id of this.watched.keys()) this.owner.remove(this, id);
    this.watched.clear();
    this.heldBytes = 0;
  }

  has(id: string): boolean {
    return this.watched.has(id);
  }

  hold(watched: Watched): void {
    this.heldBytes += WATCHED_BYTES + watched.id.length;
    this.watched.set(watched.id, watched);
  }

  slotOf(id: string): number | undefined {
    return this.watched.get(id)?.slot;
  }

  /** null or undefined: not known. */
  before(id: string): WatchedRecord | null | undefined {
    return this.watched.get(id)?.before;
  }

  drop(id: string): void {
    this.watched.delete(id);
  }

  changed(id: string, exists: boolean): void {
    const before = this.watched.get(id)?.before;
    if (!exists && before != null && !before.exists) return;
    this.flagged = true;
  }

  touch(): void {
    this.flagged = true;
  }
}
