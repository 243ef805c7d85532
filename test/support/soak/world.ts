/** What the soak knows of one data directory: what was written, promised and seen so far. */
import type { Redis } from 'ioredis';
import { formatTime } from '../../../src/base/time.js';
import type { Answer } from '../admin.js';
import { History } from './history.js';
import { Line } from './line.js';
import type { Report } from './report.js';
import { codeOf, isGone, Violation } from './violation.js';

/** What a fault point that throws says. */
export const INJECTED = /fault injected|ENOSPC|no space/i;
/** An operation that nobody hears of for so long hangs. */
const ANSWER_MS = 120_000;
/** The commit clock gives every commit a microsecond of its own, so it may lead the wall clock by a little. */
const LEAD_US = 5000;

export interface Moment {
  timeline: number;
  sequence: number;
  us: number;
}

/** One backup that CREATE answered as complete and that nobody removed. */
export interface Promised extends Moment {
  pinned: boolean;
}

export class World {
  readonly history = new History();
  readonly line = new Line(this.history);
  readonly backups = new Map<number, Promised>();
  readonly tags = new Map<string, Moment>();
  /** Archiving was off at some time: moments may be out of reach, and WINDOW has gaps. */
  hadArchiveOff = false;
  archiveOn = true;
  /** A fault point of this life throws: what meets it may fail, and says so. */
  injects = false;
  /** Every timeline that was live, oldest first. */
  readonly timelines = new Set<number>();
  /** What this life of the server made, for a look at its log. */
  created: number[] = [];
  restoredInPlace = 0;
  /** Operations whose outcome nobody told: what they may have removed or made is looked at after the start. */
  readonly unanswered = new Set<string>();
  /** By timeline: which commit a sequence turned out to be, by sequence. */
  readonly #seen = new Map<number, Map<number, number>>();
  readonly #log: string[] = [];

  constructor(
    readonly dir: string,
    readonly report: Report,
    /** Which settings the operator turns. */
    readonly varies: { durability: boolean; archive: boolean },
    readonly walRetentionMs: number,
  ) {}

  /** What was done last, for whoever looks for the reason of a violation. */
  note(what: string): void {
    this.#log.push(`${formatTime(Date.now() * 1000)} ${what}`);
    if (this.#log.length > 400) this.#log.shift();
  }

  get lately(): readonly string[] {
    return this.#log;
  }

  /** One ADMIN.BACKUP call. null: it was refused as it may be, which is counted. */
  async ask<T = Answer>(client: Redis, words: (string | number)[], allowed: RegExp): Promise<T | null> {
    const key = words.join(' ');
    this.unanswered.add(key);
    let timer: NodeJS.Timeout | undefined;
    const hang = new Promise<never>((_, reject) => {
      const text = `ADMIN.BACKUP ${key} was not answered for ${ANSWER_MS / 1000} s`;
      timer = setTimeout(() => reject(new Violation(text)), ANSWER_MS);
    });
    try {
      const called = client.call('ADMIN.BACKUP', ...words.map(String), 'FORMAT', 'JSON');
      const text = String(await Promise.race([called, hang]));
      this.note(`${key} → ${text.slice(0, 300)}`);
      this.unanswered.delete(key);
      return (text === 'OK' ? {} : JSON.parse(text)) as T;
    } catch (error) {
      if (!(error instanceof Error) || error instanceof Violation || isGone(error)) throw error;
      const code = codeOf(error);
      this.note(`${key} → ${error.message.slice(0, 300)}`);
      const isInjected = this.injects && (code === 'NOSPACE' || INJECTED.test(error.message));
      // A removal that failed may have removed some of what it was to.
      if (!isInjected) this.unanswered.delete(key);
      if (!allowed.test(code) && !isInjected) {
        throw new Violation(`ADMIN.BACKUP ${key} was refused: ${error.message}`);
      }
      // What failed on its way may have removed something.
      if (!isInjected) this.unanswered.delete(key);
      this.report.refused(isInjected ? `${code} by an injected failure` : code);
      return null;
    } finally {
      clearTimeout(timer);
    }
  }

  /** A state was seen to be what is at this sequence of a timeline. No sequence means two things, and later has earlier. */
  saw({ timeline, sequence }: { timeline: number; sequence: number }, id: number, what: string): void {
    const { history } = this;
    const line = this.#seen.get(timeline) ?? new Map<number, number>();
    this.#seen.set(timeline, line);
    const before = line.get(sequence);
    if (before !== undefined && before !== id) {
      throw new Violation(`${what}: sequence ${sequence} of timeline ${timeline} is commit ${id}, it was ${before}`);
    }
    line.set(sequence, id);
    for (const [other, commit] of line) {
      const [older, newer] = other <= sequence ? [commit, id] : [id, commit];
      if (!history.has(newer, older)) {
        throw new Violation(
          `${what}: at sequence ${sequence} commit ${id} and at ${other} commit ${commit} of timeline ${timeline} are not on one line`,
        );
      }
    }
    for (let at = id, steps = 0; at !== 0 && steps < 2000; at = history.parent(at), steps += 1) {
      const { lost, timeline: of } = history.get(at);
      if (lost && of === timeline)
        throw new Violation(`${what}: commit ${at} was lost to a power cut and is back on timeline ${timeline}`);
    }
  }

  /** The Counter's question: everything that was answered before the moment is in it, and nothing that was sent after it. */
  requireMoment(id: number, { timeline, us }: { timeline: number; us: number }, what: string): void {
    const { sentUs } = this.history.get(id);
    if (sentUs > us + LEAD_US)
      throw new Violation(`${what}: commit ${id} was sent at ${formatTime(sentUs)}, after ${formatTime(us)}`);
    for (const next of this.history.children(id)) {
      if (next.lost || next.timeline !== timeline || next.ackedUs === null || next.ackedUs + LEAD_US > us) continue;
      throw new Violation(
        `${what}: commit ${id}, though ${next.id} was answered at ${formatTime(next.ackedUs)}, before ${formatTime(us)}`,
      );
    }
  }
}
