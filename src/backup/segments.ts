/**
 * Which segments the repository holds, in memory: names and headers, never records. The files are the truth: `refresh`
 * compares the listing with what was read before and reads only what is new or changed.
 *
 * What covers which commits follows from the headers alone: consecutive segments whose digests meet. One whose header is
 * damaged, that an operation found damaged, or that does not continue the one before it covers nothing, so the window
 * shows a gap there and no restore is planned across it.
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
  type SegmentName,
  segmentBytes,
} from '../format/index.js';
import type { Log } from '../observability/log.js';
import { type Store, type StoreEntry, StoreObjectMissing } from '../storage/store.js';
import { forEachAtOnce } from './parallel.js';
import type { Coverage } from './recovery.js';
import { damagedSegment } from './segment-object.js';

export interface SegmentEntry {
  key: string;
  name: SegmentName;
  sizeBytes: number;
  /** null: it cannot be read, see `error`. */
  header: SegmentHeader | null;
  /** Why nothing can rest on it; null: nothing speaks against it. */
  error: CairnError | null;
}

/** A segment with a header that can be trusted. */
export type UsableSegment = SegmentEntry & { header: SegmentHeader };

interface Loaded extends SegmentEntry {
  version: string;
}

const READS_AT_ONCE = 32;

export class Segments {
  readonly #store: Store;
  readonly #log: Log;
  #loaded = new Map<string, Loaded>();
  /** By timeline, in order, as `usable` gives them; dropped when anything changes. */
  readonly #lines = new Map<number, UsableSegment[]>();
  readonly #held = new Map<string, number>();
  /** Version of what was found damaged by its content, by key: another version may be good again. */
  readonly #damaged = new Map<string, { version: string; error: CairnError }>();
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
    const next = new Map<string, Loaded>();
    const changed: { name: SegmentName; object: StoreEntry }[] = [];
    for await (const object of this.#store.list(SEGMENT_PREFIX)) {
      const name = parseSegmentKey(object.key);
      if (name === null) continue;
      const known = before.get(object.key);
      if (known?.version === object.version) next.set(object.key, known);
      else changed.push({ name, object });
    }
    await forEachAtOnce(READS_AT_ONCE, changed, async ({ name, object }) => {
      const loaded = await this.#load(name, object);
      if (loaded !== null) next.set(object.key, loaded);
    });
    // What was added or removed by this server while the listing ran counts.
    for (const [key, loaded] of this.#loaded) if (before.get(key) !== loaded && !next.has(key)) next.set(key, loaded);
    for (const key of before.keys()) if (!this.#loaded.has(key)) next.delete(key);
    this.#loaded = next;
    this.#lines.clear();
  }

  async #load(name: SegmentName, object: StoreEntry): Promise<Loaded | null> {
    const { key, sizeBytes, version } = object;
    try {
      const header = decodeSegmentHeader(await this.#store.getStart(key, SEGMENT_HEADER_BYTES));
      requireSegmentName(header, name);
      const size = segmentBytes(header);
      if (size !== sizeBytes) {
        throw new FormatError('segment', 'damaged', `it has ${sizeBytes} bytes, its header says ${size}`);
      }
      const found = this.#damaged.get(key);
      return { key, name, sizeBytes, version, header, error: found?.version === version ? found.error : null };
    } catch (error) {
      if (error instanceof StoreObjectMissing) return null;
      if (!(error instanceof FormatError || error instanceof CairnError)) throw error;
      const damage = damagedSegment(key, error);
      if (this.#loaded.get(key)?.version !== version) this.#log.error('segment unreadable', { key, error: damage });
      return { key, name, sizeBytes, version, header: null, error: damage };
    }
  }

  /** After a put of this server's own. */
  async added(header: SegmentHeader): Promise<void> {
    const key = keyOfSegment(header);
    const name = parseSegmentKey(key);
    const object = await this.#store.stat(key);
    if (name === null || object === null) return;
    this.#damaged.delete(key);
    this.#loaded.set(key, { key, name, sizeBytes: object.sizeBytes, version: object.version, header, error: null });
    this.#lines.delete(header.timeline);
  }

  /** After a removal by this server. */
  removed(key: string): void {
    const timeline = this.#loaded.get(key)?.name.timeline;
    this.#loaded.delete(key);
    if (timeline !== undefined) this.#lines.delete(timeline);
  }

  /** An operation read it and found that it is not what it should be: from now on nothing rests on it. */
  markDamaged(key: string, error: CairnError): void {
    const loaded = this.#loaded.get(key);
    if (loaded === undefined) return;
    this.#damaged.set(key, { version: loaded.version, error });
    loaded.error ??= error;
    this.#lines.delete(loaded.name.timeline);
  }

  /** It was read whole, and every byte is as it was written: an earlier verdict is void. */
  markSound(key: string): void {
    const loaded = this.#loaded.get(key);
    if (loaded === undefined || loaded.error === null || loaded.header === null) return;
    this.#damaged.delete(key);
    loaded.error = null;
    this.#lines.delete(loaded.name.timeline);
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
    return [...new Set([...this.#loaded.values()].map(({ name }) => name.timeline))].sort((a, b) => a - b);
  }

  /**
   * The segments of a timeline that lead on from each other or leave a hole, in the order of their commits: none is
   * damaged, lies inside another, or begins with another digest than the one before it ends with.
   */
  usable(timeline: number): readonly UsableSegment[] {
    const known = this.#lines.get(timeline);
    if (known !== undefined) return known;
    const candidates: UsableSegment[] = [];
    for (const entry of this.#loaded.values()) {
      if (entry.name.timeline === timeline && entry.header !== null && entry.error === null) {
        candidates.push(entry as UsableSegment);
      }
    }
    candidates.sort((a, b) => a.name.first - b.name.first || b.name.last - a.name.last);
    const line: UsableSegment[] = [];
    for (const candidate of candidates) {
      const before = line.at(-1);
      if (before !== undefined && candidate.name.last <= before.name.last) continue;
      const meets = before !== undefined && candidate.header.sequenceFrom === before.header.sequenceTo;
      if (meets && candidate.header.digestFrom !== before.header.digestTo) {
        this.#log.error('segment does not continue the one before it: nothing rests on it', {
          key: candidate.key,
          before: before.key,
          expected: before.header.digestTo,
          actual: candidate.header.digestFrom,
        });
        continue;
      }
      line.push(candidate);
    }
    this.#lines.set(timeline, line);
    return line;
  }

  /** What is archived without a hole, of all timelines. */
  coverage(): Coverage[] {
    const pieces: Coverage[] = [];
    for (const timeline of this.timelines()) {
      let piece: Coverage | null = null;
      for (const { header } of this.usable(timeline)) {
        const { sequenceFrom: from, sequenceTo: to, firstUs, lastUs } = header;
        if (piece !== null && from <= piece.to) Object.assign(piece, { to, lastUs });
        else {
          piece = { timeline, from, to, firstUs, lastUs };
          pieces.push(piece);
        }
      }
    }
    return pieces;
  }

  /** The segment in which the commit lies that has this sequence; null: none is known. */
  holding(timeline: number, sequence: number): UsableSegment | null {
    const line = this.usable(timeline);
    const at = lastNotAfter(line, ({ header }) => header.sequenceFrom, sequence - 1);
    const entry = line[at];
    return entry !== undefined && sequence <= entry.header.sequenceTo ? entry : null;
  }

  /** The segment in which the last commit at or before this moment lies, if a later or equal one ends in it or after it. */
  holdingTime(timeline: number, us: number, from: number, to: number): UsableSegment | null {
    const line = this.usable(timeline).filter(({ header }) => header.sequenceTo > from && header.sequenceFrom < to);
    return line[lastNotAfter(line, ({ header }) => header.firstUs, us)] ?? null;
  }

  /** The segments that hold (from, to], in order; null where there is a hole. */
  way(timeline: number, from: number, to: number): UsableSegment[] | null {
    if (from >= to) return [];
    const way: UsableSegment[] = [];
    let end = from;
    for (const entry of this.usable(timeline)) {
      if (entry.header.sequenceTo <= end) continue;
      if (entry.header.sequenceFrom > end) return null;
      way.push(entry);
      end = entry.header.sequenceTo;
      if (end >= to) return way;
    }
    return null;
  }

  /** The last segment of a timeline, damaged or not. */
  last(timeline: number): SegmentEntry | null {
    let last: SegmentEntry | null = null;
    for (const entry of this.#loaded.values()) {
      if (entry.name.timeline === timeline && (last === null || entry.name.last > last.name.last)) last = entry;
    }
    return last;
  }

  /** The running digest at a sequence where a segment begins or ends; null: only reading one could tell. */
  digestAtSeam(timeline: number, sequence: number): string | null {
    for (const { header } of this.usable(timeline)) {
      if (header.sequenceTo === sequence) return header.digestTo;
      if (header.sequenceFrom === sequence) return header.digestFrom;
    }
    return null;
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

/** The index of the last item whose value is not after `target`; -1: all are later. Values rise. */
function lastNotAfter<T>(items: readonly T[], value: (item: T) => number, target: number): number {
  let from = 0;
  let to = items.length;
  while (from < to) {
    const middle = (from + to) >>> 1;
    if (value(items[middle] as T) <= target) from = middle + 1;
    else to = middle;
  }
  return from - 1;
}
