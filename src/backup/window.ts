/**
 * Which moments can be restored to the microsecond, line by line of history: the answer to WINDOW, and its summary in
 * INFO. Fields and their order are those of the outward contract.
 *
 *   timeline 1   from ├──────────┤ gap ├───────────┤ to
 *   timeline 2                              from ├────────→ to: the moment through which commits are known complete
 */
import { formatTime, parseTime } from '../base/time.js';
import { History } from './history.js';
import type { RecoveryFacts } from './recovery.js';

/** Both ends can be restored; nothing between them can. */
export interface WindowGap {
  sequence_from: number;
  sequence_to: number;
  from: string;
  to: string;
}

export interface WindowRecord {
  timeline: number;
  parent: number | null;
  current: 0 | 1;
  from: string | null;
  to: string | null;
  sequence_from: number | null;
  sequence_to: number | null;
  gaps: WindowGap[];
}

/**
 * One record for each timeline, oldest first, of its own part: what comes before its fork is its parent's. It begins
 * at the fork where the parent leads there without a hole, else at its earliest base.
 */
export function windows(facts: RecoveryFacts): WindowRecord[] {
  const history = new History(facts);
  const { current } = facts;
  return history.timelines.map(({ timeline, parent }) => {
    const stretches = history.stretches(timeline);
    const [first, last] = [stretches[0], stretches.at(-1)];
    return {
      timeline,
      parent,
      current: timeline === current ? 1 : 0,
      from: first === undefined ? null : formatTime(first.fromUs),
      to: last === undefined ? null : formatTime(last.toUs),
      sequence_from: first?.from ?? null,
      sequence_to: last?.to ?? null,
      gaps: stretches.slice(1).map((after, i) => {
        const before = stretches[i] ?? after;
        return {
          sequence_from: before.to,
          sequence_to: after.from,
          from: formatTime(before.toUs),
          to: formatTime(after.fromUs),
        };
      }),
    };
  });
}

export interface WindowSummary {
  fromUs: number | null;
  toUs: number | null;
  gaps: number;
}

/**
 * What RESTORE LATEST AT reaches without TIMELINE: from the earliest moment of the current line and its ancestors to
 * the latest, and how many gaps lie between. Stretches that a restore abandoned are not gaps: WINDOW shows whose they
 * are.
 */
export function summary(records: readonly WindowRecord[]): WindowSummary {
  const result: WindowSummary = { fromUs: null, toUs: null, gaps: 0 };
  const byTimeline = new Map(records.map((record) => [record.timeline, record]));
  let record = records.find(({ current }) => current === 1);
  let limit = Number.POSITIVE_INFINITY;
  while (record !== undefined && byTimeline.delete(record.timeline)) {
    const { from, to, sequence_from: first, parent } = record;
    if (from !== null && to !== null && first !== null && first <= limit) {
      result.fromUs = parseTime(from).us;
      result.toUs ??= parseTime(to).us;
      for (const gap of record.gaps) if (gap.sequence_to <= limit) result.gaps += 1;
      limit = Math.min(limit, first);
    }
    record = parent === null ? undefined : byTimeline.get(parent);
  }
  return result;
}
