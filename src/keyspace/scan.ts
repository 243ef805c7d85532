/**
 * Reading keys in order: what the database has, under what is executed but not written yet.
 *
 * `collectLayer` takes the unwritten part at one moment; an iterator or snapshot made at the same moment has the rest.
 * (A group leaves the pending ones only after the database has it, so nothing falls between.) `ScanMerge` joins the two
 * orders, block by block, and stops when enough keys were looked at.
 */

import { visitBlock } from '../engine/index.js';
import type { IterateOptions } from '../engine/types.js';
import type { Layout } from './layout.js';
import type { ScanPage, ScanRequest } from './transaction.js';
import type { PendingGroups, WriteGroup } from './write-group.js';

/** Entries per block at most: what is fetched and not used is wasted. */
const MAX_BLOCK_ENTRIES = 4096;

/** Records that are not in the database yet, within the bounds of a scan. */
export class Layer {
  /** The database's own content is to be left out: it was flushed. */
  hidden = false;
  /** The newest group that is part of this. */
  seen: WriteGroup | null = null;
  private readonly records = new Map<string, Buffer | null>();

  constructor(
    private readonly from: string,
    private readonly to: string | null,
  ) {}

  /** Entries on top of what is here; flushed: what was there before them is gone. */
  add(entries: Iterable<{ id: string; record: Buffer | null }>, flushed: boolean): void {
    if (flushed) {
      this.hidden = true;
      this.records.clear();
    }
    for (const { id, record } of entries) this.set(id, record);
  }

  set(id: string, record: Buffer | null): void {
    if (id >= this.from && (this.to === null || id < this.to)) this.records.set(id, record);
  }

  /** In byte order. */
  sorted(): [string, Buffer | null][] {
    return [...this.records].sort(([a], [b]) => (a < b ? -1 : 1));
  }
}

export function collectLayer(layout: Layout, pending: PendingGroups, request: ScanRequest): Layer {
  const { gte, lt } = scanRange(layout, request);
  const layer = new Layer(gte.toString('latin1'), lt === undefined ? null : lt.toString('latin1'));
  for (const group of pending) {
    layer.seen = group;
    layer.add([], group.hasFlushed(request.database));
    for (const [id, record] of group.entries()) layer.set(id, record);
  }
  return layer;
}

function scanRange(layout: Layout, { database, prefix, after }: ScanRequest): { gte: Buffer; lt?: Buffer } {
  const range = layout.range(database, prefix);
  if (after === null) return range;
  const afterKey = Buffer.concat([layout.mainKey(database, after), Buffer.of(0)]);
  return Buffer.compare(afterKey, range.gte) > 0 ? { ...range, gte: afterKey } : range;
}

export class ScanMerge {
  readonly range: IterateOptions;
  private readonly keys: Buffer[] = [];
  private left: number;
  private at = 0;
  private last: Buffer | null = null;

  /** nowMs: keys that expired before it are left out; null: none is. */
  constructor(
    private readonly layout: Layout,
    private readonly request: ScanRequest,
    private readonly layer: [string, Buffer | null][],
    private readonly nowMs: number | null,
  ) {
    this.left = request.limit;
    this.range = {
      ...scanRange(layout, request),
      blockEntries: Math.min(request.limit, MAX_BLOCK_ENTRIES),
      bypassCache: request.limit > MAX_BLOCK_ENTRIES,
    };
  }

  /** false: enough was seen. */
  take(block: Buffer): boolean {
    visitBlock(block, (keyStart, keyEnd, valueEnd) => {
      const mainKey = block.subarray(keyStart, keyEnd);
      const id = mainKey.toString('latin1');
      this.takeLayer(id);
      if (this.left === 0) return false;
      if (this.layer[this.at]?.[0] === id) {
        // The newer record stands for it.
        const record = this.layer[this.at]?.[1];
        this.at += 1;
        if (record != null) this.look(mainKey, record);
      } else {
        this.look(mainKey, block.subarray(keyEnd, valueEnd));
      }
      return this.left > 0;
    });
    return this.left > 0;
  }

  /** At the database's end, or when enough was seen. */
  finish(): ScanPage {
    this.takeLayer(null);
    return { keys: this.keys, next: this.left === 0 ? this.last : null };
  }

  /** What the layer has before `id`. */
  private takeLayer(id: string | null): void {
    for (; this.left > 0 && this.at < this.layer.length; this.at += 1) {
      const [key, record] = this.layer[this.at] as [string, Buffer | null];
      if (id !== null && key >= id) return;
      if (record !== null) this.look(Buffer.from(key, 'latin1'), record);
    }
  }

  private look(mainKey: Buffer, record: Buffer): void {
    this.left -= 1;
    const key = this.layout.userKey(mainKey);
    this.last = key;
    if (this.nowMs !== null) {
      const expiresAtMs = this.layout.expiryOf(record);
      if (expiresAtMs !== null && this.nowMs > expiresAtMs) return;
    }
    if (this.request.accept(key, this.layout.typeOf(record))) this.keys.push(key);
  }
}
