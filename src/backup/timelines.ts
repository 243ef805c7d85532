/** The records of timelines/, read when they are asked for and remembered: they are immutable and few. */
import { CairnError } from '../base/errors.js';
import { parseTime } from '../base/time.js';
import {
  decodeTimeline,
  encodeTimeline,
  FormatError,
  MAX_TIMELINE_BYTES,
  parseTimelineKey,
  TIMELINE_PREFIX,
  type TimelineRecord,
  timelineKey,
} from '../format/index.js';
import type { Log } from '../observability/log.js';
import { type Store, StoreObjectMissing } from '../storage/store.js';
import type { Timeline } from './recovery.js';

interface Loaded {
  version: string;
  /** null: unreadable. */
  record: TimelineRecord | null;
  /** Why it is unreadable. */
  error: string | null;
}

export class Timelines {
  readonly #store: Store;
  readonly #log: Log;
  #loaded = new Map<number, Loaded>();

  constructor(store: Store, log: Log) {
    this.#store = store;
    this.#log = log;
  }

  /** Brings memory up to the files. A record that cannot be read is logged; nobody's parent is known by it. */
  async refresh(): Promise<void> {
    const next = new Map<number, Loaded>();
    for await (const { key, version } of this.#store.list(TIMELINE_PREFIX)) {
      const timeline = parseTimelineKey(key);
      if (timeline === null) continue;
      const known = this.#loaded.get(timeline);
      next.set(timeline, known?.version === version ? known : { version, ...(await this.#read(timeline)) });
    }
    this.#loaded = next;
  }

  async #read(timeline: number): Promise<Omit<Loaded, 'version'>> {
    const key = timelineKey(timeline);
    try {
      return { record: decodeTimeline(await this.#store.get(key, MAX_TIMELINE_BYTES), timeline), error: null };
    } catch (error) {
      if (error instanceof StoreObjectMissing) return { record: null, error: 'it is gone' };
      if (!(error instanceof FormatError || error instanceof CairnError)) throw error;
      this.#log.error('timeline unreadable: what lies before it cannot be reached', { key, error });
      return { record: null, error: error.message };
    }
  }

  records(): TimelineRecord[] {
    return [...this.#loaded.values()].flatMap(({ record }) => (record === null ? [] : [record]));
  }

  get(timeline: number): TimelineRecord | null {
    return this.#loaded.get(timeline)?.record ?? null;
  }

  /** A file is there, and nobody can tell what it says: it stays as it is for whoever mends it. */
  isUnreadable(timeline: number): boolean {
    return this.#loaded.get(timeline)?.record === null;
  }

  /** What is wrong with the files that cannot be read. */
  damages(): { timeline: number; error: string }[] {
    return [...this.#loaded].flatMap(([timeline, { error }]) => (error === null ? [] : [{ timeline, error }]));
  }

  has(timeline: number): boolean {
    return this.#loaded.has(timeline);
  }

  get someUnreadable(): boolean {
    return [...this.#loaded.values()].some(({ record }) => record === null);
  }

  /** The highest number that any file has, readable or not; 0: there is none. */
  get highest(): number {
    return Math.max(0, ...this.#loaded.keys());
  }

  async put(record: TimelineRecord): Promise<void> {
    await this.#store.put(timelineKey(record.timeline), encodeTimeline(record));
    await this.refresh();
  }

  /** Takes back a record of a line that never was. */
  async remove(timeline: number): Promise<void> {
    await this.#store.delete(timelineKey(timeline));
    await this.refresh();
  }

  /** As recovery is planned over them; `current` is the live one, whose end is open. */
  lines(current: { timeline: number; sequence: number | null } | null): Timeline[] {
    const ends = new Map<number, NonNullable<TimelineRecord['left']>>();
    for (const { left } of this.records()) {
      const known = left == null ? undefined : ends.get(left.timeline);
      if (left != null && (known === undefined || isLater(left, known))) ends.set(left.timeline, left);
    }
    return this.records().map((record) => {
      const isCurrent = record.timeline === current?.timeline;
      const end = isCurrent ? undefined : ends.get(record.timeline);
      return {
        timeline: record.timeline,
        parent: record.parent,
        forkSequence: record.fork_sequence,
        forkUs: record.fork_at === null ? null : parseTime(record.fork_at).us,
        beganUs: parseTime(record.created_at).us,
        forkCommitCount: record.fork_commit_count,
        endedUs: end === undefined ? null : parseTime(end.at).us,
        endSequence: isCurrent ? (current?.sequence ?? null) : (end?.sequence ?? null),
      };
    });
  }
}

/** A line may be left more than once, by older copies of its data: the one that knows most of it counts. */
function isLater(left: NonNullable<TimelineRecord['left']>, known: NonNullable<TimelineRecord['left']>): boolean {
  if (left.sequence !== known.sequence) return left.sequence > known.sequence;
  return parseTime(left.at).us > parseTime(known.at).us;
}
