/**
 * Which segments the repository holds, in memory. A segment's name says which commits it has, so a listing is enough to
 * know what leads where; headers are read when something asks for times or digests, and records by whoever replays. The
 * files are the truth: `refresh` compares the listing with what was known.
 *
 *   names     │ 1–90 │ 91–400 │ 401–780 │        │ 900–950 │
 *   runs      ├─────────────────────────┤        ├─────────┤
 *   headers     ●                   ●              ●    ●        read by refresh: they say from when to when a run reaches
 *
 * A segment whose header is damaged, that an operation found damaged, or that is known not to continue the one before it
 * covers nothing: the window shows a gap there and no restore is planned across it.
 *
 * Whoever reads segments holds them meanwhile: a merge may put a larger one beside them, but takes none away.
 */
import { CairnError } from '../base/errors.js';
import {
  decodeSegmentHeader,
  FormatError,
  keyOfSegment,
  parseSegmentKey,
  requireSegmentName,
  SEGMENT_HEADER_BYTES,
  SEGMENT_PREFIX,
  type SegmentHeader,
  segmentBytes,
} from '../format/index.js';
import type { Log } from '../observability/log.js';
import { type Store, StoreObjectMissing } from '../storage/store.js';
import { forEachAtOnce } from './parallel.js';
import type { Coverage } from './recovery.js';
import { damagedSegment } from './segment-object.js';

export interface SegmentEntry {
  readonly key: string;
  readonly timeline: number;
  /** Exclusive. */
  readonly from: number;
  readonly to: number;
  readonly sizeBytes: number;
  /** null: not read yet, or damaged. */
  header: SegmentHeader | null;
  /** Why nothing can rest on it; null: nothing speaks against it. */
  error: CairnError | null;
}

interface Loaded extends SegmentEntry {
  readonly version: string;
}

const READS_AT_ONCE = 32;

export class Segments {
  readonly #store: Store;
  readonly #log: Log;
  #loaded = new Map<string, Loaded>();
  /** By timeline, in order, as `usable` gives them; dropped when anything changes. */
  readonly #lines = new Map<number, SegmentEntry[]>();
  readonly #held = new Map<string, number>();
  /** Being removed now. */
  readonly #going = new Set<string>();
  /** Removed, or on their way, since the listing that runs began: that one may still have seen them. */
  #unlisted = new Set<string>();
  /** Reported already. */
  readonly #misfits = new Set<string>();
  #refreshing: Promise<void> | null = null;
  #queued: Promise<void> | null = null;

  constructor(store: Store, log: Log) {
    this.#store = store;
    this.#log = log;
  }

  /** Brings memory up to the files. A call made while one runs starts another after it. */
  refresh(): Promise<void> {
    if (this.#refreshing === null) {
      this.#refreshing = this.#refresh().finally(() => {
        this.#refreshing = null;
      });
      return this.#refreshing;
    }
    this.#queued ??= this.#refreshing
      .catch(() => undefined)
      .then(() => {
        this.#queued = null;
        return this.refresh();
      });
    return this.#queued;
  }

  async #refresh(): Promise<void> {
    const before = new Map(this.#loaded);
    this.#unlisted = new Set(this.#going);
    const next = new Map<string, Loaded>();
    for await (const { key, sizeBytes, version } of this.#store.list(SEGMENT_PREFIX)) {
      const name = parseSegmentKey(key);
      if (name === null) continue;
      const known = before.get(key);
      const { timeline, first, last: to } = name;
      const fresh = { key, timeline, from: first - 1, to, sizeBytes, version, header: null, error: null };
      next.set(key, known?.version === version ? known : fresh);
    }
    // What was added or removed by this server while the listing ran counts.
    for (const [key, loaded] of this.#loaded) if (before.get(key) !== loaded && !next.has(key)) next.set(key, loaded);
    for (const key of [...before.keys(), ...this.#unlisted]) if (!this.#loaded.has(key)) next.delete(key);
    this.#loaded = next;
    this.#lines.clear();
    await this.#loadEnds();
  }

  /** Headers of the ends of every run. One that turns out damaged makes new ends. */
  async #loadEnds(): Promise<void> {
    for (;;) {
      const unread = this.timelines()
        .flatMap((timeline) => this.#runs(timeline))
        .flatMap((run) => [run[0], run.at(-1)])
        .filter((entry) => entry !== undefined && entry.header === null);
      if (unread.length === 0) return;
      await this.#read(unread as SegmentEntry[]);
    }
  }

  /** Reads headers that are not known yet. A damaged one gets its `error`; one that is gone is forgotten. */
  async load(entries: readonly SegmentEntry[]): Promise<void> {
    await this.#read(entries);
    await this.#loadEnds();
  }

  async #read(entries: readonly SegmentEntry[]): Promise<void> {
    const unread = entries.filter(({ header, error }) => header === null && error === null);
    await forEachAtOnce(READS_AT_ONCE, [...new Set(unread)], (entry) => this.#load(entry));
  }

  async #load(entry: SegmentEntry): Promise<void> {
    const { key, sizeBytes } = entry;
    try {
      const header = decodeSegmentHeader(await this.#store.getStart(key, SEGMENT_HEADER_BYTES));
      const name = parseSegmentKey(key);
      if (name !== null) requireSegmentName(header, name);
      const size = segmentBytes(header);
      if (size !== sizeBytes) {
        throw new FormatError('segment', 'damaged', `it has ${sizeBytes} bytes, its header says ${size}`);
      }
      this.learn(key, header);
    } catch (error) {
      if (error instanceof StoreObjectMissing) return this.removed(key);
      if (!(error instanceof FormatError || error instanceof CairnError)) throw error;
      const damage = damagedSegment(key, error);
      this.#log.error('segment unreadable', { key, error: damage });
      this.#exclude(key, damage);
    }
  }

  /** Somebody read it and knows its header. */
  learn(key: string, header: SegmentHeader): void {
    const loaded = this.#loaded.get(key);
    if (loaded === undefined || loaded.header !== null) return;
    loaded.header = header;
    // Neighbours may turn out not to fit together.
    this.#lines.delete(loaded.timeline);
  }

  /** After a put of this server's own. */
  async added(header: SegmentHeader): Promise<void> {
    const key = keyOfSegment(header);
    const object = await this.#store.stat(key);
    if (object === null) return;
    const { timeline, sequenceFrom: from, sequenceTo: to } = header;
    const { sizeBytes, version } = object;
    this.#loaded.set(key, { key, timeline, from, to, sizeBytes, version, header, error: null });
    this.#lines.delete(timeline);
  }

  /** Takes away what nobody holds. Whatever is not in the index any more is no reader's business, before its file goes. */
  async remove(keys: readonly string[]): Promise<number> {
    const free = keys.filter((key) => !this.isHeld(key));
    for (const key of free) {
      this.#going.add(key);
      this.#unlisted.add(key);
      this.removed(key);
    }
    try {
      return await this.#store.deleteAll(free);
    } finally {
      for (const key of free) this.#going.delete(key);
    }
  }

  /** Somebody found that it is gone. */
  removed(key: string): void {
    const timeline = this.#loaded.get(key)?.timeline;
    this.#loaded.delete(key);
    if (timeline !== undefined) this.#lines.delete(timeline);
  }

  /** An operation read it and found that it is not what it should be: from now on nothing rests on it. */
  async markDamaged(key: string, error: CairnError): Promise<void> {
    this.#exclude(key, error);
    await this.#loadEnds();
  }

  #exclude(key: string, error: CairnError): void {
    const loaded = this.#loaded.get(key);
    if (loaded === undefined) return;
    loaded.error ??= error;
    this.#lines.delete(loaded.timeline);
  }

  /** It was read whole, and every byte is as it was written: an earlier verdict is void. */
  markSound(key: string, header: SegmentHeader): void {
    const loaded = this.#loaded.get(key);
    if (loaded === undefined) return;
    loaded.header = header;
    if (loaded.error === null) return;
    loaded.error = null;
    this.#lines.delete(loaded.timeline);
  }

  /** Every segment, damaged ones too, in no order. */
  entries(): SegmentEntry[] {
    return [...this.#loaded.values()];
  }

  get(key: string): SegmentEntry | null {
    return this.#loaded.get(key) ?? null;
  }

  get totalBytes(): number {
    let bytes = 0;
    for (const { sizeBytes } of this.#loaded.values()) bytes += sizeBytes;
    return bytes;
  }

  timelines(): number[] {
    return [...new Set([...this.#loaded.values()].map(({ timeline }) => timeline))].sort((a, b) => a - b);
  }

  /**
   * The segments of a timeline that lead on from each other or leave a hole, in the order of their commits: none is
   * damaged, lies inside another, or is known to begin with another digest than the one before it ends with.
   */
  usable(timeline: number): readonly SegmentEntry[] {
    const known = this.#lines.get(timeline);
    if (known !== undefined) return known;
    const candidates = this.entries().filter((entry) => entry.timeline === timeline && entry.error === null);
    candidates.sort((a, b) => a.from - b.from || b.to - a.to);
    const line: SegmentEntry[] = [];
    for (const candidate of candidates) {
      const before = line.at(-1);
      if (before !== undefined && candidate.to <= before.to) continue;
      if (before !== undefined && !continues(before, candidate)) {
        this.#reportMisfit(before, candidate);
        continue;
      }
      line.push(candidate);
    }
    this.#lines.set(timeline, line);
    return line;
  }

  #reportMisfit(before: SegmentEntry, { key, header }: SegmentEntry): void {
    if (this.#misfits.has(key)) return;
    this.#misfits.add(key);
    this.#log.error('segment does not continue the one before it: nothing rests on it', {
      key,
      before: before.key,
      expected: before.header?.digestTo,
      actual: header?.digestFrom,
    });
  }

  /** What of a line is without a hole. */
  #runs(timeline: number): SegmentEntry[][] {
    const runs: SegmentEntry[][] = [];
    for (const entry of this.usable(timeline)) {
      const run = runs.at(-1);
      if (run !== undefined && entry.from <= (run.at(-1)?.to ?? -1)) run.push(entry);
      else runs.push([entry]);
    }
    return runs;
  }

  /** What is archived without a hole, of all timelines. */
  coverage(): Coverage[] {
    return this.timelines()
      .flatMap((timeline) => this.#runs(timeline))
      .flatMap((run) => {
        const [first, last] = [run[0], run.at(-1)];
        if (first?.header == null || last?.header == null) return [];
        const { timeline, from } = first;
        return [{ timeline, from, to: last.to, firstUs: first.header.firstUs, lastUs: last.header.lastUs }];
      });
  }

  /** The last segment that continues a line without damage; null: there is none. */
  lastUsable(timeline: number): SegmentEntry | null {
    return this.usable(timeline).at(-1) ?? null;
  }

  /** The segment in which the commit lies that has this sequence; null: none is known. */
  holding(timeline: number, sequence: number): SegmentEntry | null {
    const line = this.usable(timeline);
    const entry = line[partition(line.length, (i) => (line[i]?.from ?? 0) < sequence) - 1];
    return entry !== undefined && sequence <= entry.to ? entry : null;
  }

  /** Of the segments that overlap (from, to], the last one that begins at or before this moment; null: all are later. */
  async holdingTime(timeline: number, us: number, from: number, to: number): Promise<SegmentEntry | null> {
    const line = this.usable(timeline).filter((entry) => entry.to > from && entry.from < to);
    let low = 0;
    let high = line.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const entry = line[middle] as SegmentEntry;
      await this.load([entry]);
      if (entry.header === null) throw entry.error ?? damagedSegment(entry.key, new Error('it is gone'));
      if (entry.header.firstUs <= us) low = middle + 1;
      else high = middle;
    }
    return line[low - 1] ?? null;
  }

  /** The segments that hold (from, to], in order; null where there is a hole. */
  way(timeline: number, from: number, to: number): SegmentEntry[] | null {
    if (from >= to) return [];
    const line = this.usable(timeline);
    const way: SegmentEntry[] = [];
    let end = from;
    for (let i = partition(line.length, (at) => (line[at]?.to ?? 0) <= from); i < line.length; i += 1) {
      const entry = line[i] as SegmentEntry;
      if (entry.from > end) return null;
      way.push(entry);
      end = entry.to;
      if (end >= to) return way;
    }
    return null;
  }

  /** The last segment of a timeline, damaged or not. */
  last(timeline: number): SegmentEntry | null {
    let last: SegmentEntry | null = null;
    for (const entry of this.#loaded.values()) {
      if (entry.timeline === timeline && (last === null || entry.to > last.to)) last = entry;
    }
    return last;
  }

  /** The running digest at a sequence where a segment begins or ends; null: only reading one could tell. */
  async digestAtSeam(timeline: number, sequence: number): Promise<string | null> {
    const ending = this.usable(timeline).find(({ to }) => to === sequence);
    const beginning = this.usable(timeline).find(({ from }) => from === sequence);
    await this.load([ending, beginning].filter((entry) => entry !== undefined));
    return ending?.header?.digestTo ?? beginning?.header?.digestFrom ?? null;
  }

  /** Keeps segments where they are until the returned function is called. */
  hold(keys: readonly string[]): () => void {
    for (const key of keys) this.#held.set(key, (this.#held.get(key) ?? 0) + 1);
    let released = false;
    return () => {
      if (released) return;
      released = true;
      for (const key of keys) {
        const holders = (this.#held.get(key) ?? 1) - 1;
        if (holders === 0) this.#held.delete(key);
        else this.#held.set(key, holders);
      }
    };
  }

  isHeld(key: string): boolean {
    return this.#held.has(key);
  }
}

/** False where both headers are known and say that they do not belong together. */
function continues(before: SegmentEntry, next: SegmentEntry): boolean {
  if (before.to !== next.from || before.header === null || next.header === null) return true;
  return before.header.digestTo === next.header.digestFrom;
}

/** How many of the first `length` indexes pass; those that pass come first. */
function partition(length: number, passes: (index: number) => boolean): number {
  let from = 0;
  let to = length;
  while (from < to) {
    const middle = (from + to) >>> 1;
    if (passes(middle)) from = middle + 1;
    else to = middle;
  }
  return from;
}
