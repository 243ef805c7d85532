/**
 * Which archived commits stay, and which segments become one. Pure: lists in, names out.
 *
 *   window base     the backup from which every moment of the recovery window can be reached; retention spares it
 *   expendable      segments that no manifest, no window and no abandoned but young stretch of history needs
 *   merge groups    the archive cuts a segment a second; 86,400 a day would make every listing and restore slow
 *
 * Whoever is not sure keeps: no window base, no retention (0 is for ever), a line of history that does not connect.
 */
import { History } from './history.js';
import type { Base, Coverage, Timeline } from './recovery.js';

export interface WindowBackup {
  id: number;
  timestampUs: number;
  timeline: number;
  sequence: number;
}

export interface WindowPolicy {
  /** Of the current timeline, newest first. */
  ancestry: readonly Timeline[];
  coverage: readonly Coverage[];
  /** 0: for ever. */
  retentionUs: number;
  nowUs: number;
  archiving: boolean;
}

/**
 * The backup that retention spares for the recovery window: the newest at or before now − retention; if none is that
 * old, or the window has no end, the oldest from which commits are continuous until now. `backups`: complete ones.
 */
export function windowBase(backups: readonly WindowBackup[], policy: WindowPolicy): number | null {
  const { ancestry, retentionUs, nowUs, archiving } = policy;
  if (!archiving) return null;
  const oldestFirst = backups
    .filter((backup) => onAncestry(ancestry, backup))
    .sort((a, b) => a.timestampUs - b.timestampUs || a.id - b.id);
  if (retentionUs > 0) {
    const old = oldestFirst.findLast((backup) => backup.timestampUs <= nowUs - retentionUs);
    if (old !== undefined) return old.id;
  }
  const isContinuous = continuity(oldestFirst, policy);
  return oldestFirst.find(isContinuous)?.id ?? null;
}

/** True for a state that the current timeline has in its past: not after a fork on the way to it. */
export function onAncestry(
  ancestry: readonly Timeline[],
  { timeline, sequence }: { timeline: number; sequence: number },
): boolean {
  for (const line of ancestry) {
    if (line.timeline === timeline) return true;
    if (sequence > line.forkSequence) return false;
  }
  return false;
}

function continuity(backups: readonly WindowBackup[], policy: WindowPolicy): (backup: WindowBackup) => boolean {
  const { ancestry, coverage } = policy;
  const bases: Base[] = backups.map(({ id, timeline, sequence, timestampUs }) => {
    return { id, timeline, sequence, timestampUs, commitCount: 0, digest: '', list: '', sizeBytes: 0 };
  });
  const history = new History({ timelines: ancestry, bases, coverage, current: null, completeThroughUs: null });
  const [current] = ancestry;
  return (backup) => {
    let to = current === undefined ? 0 : history.end(current.timeline);
    for (const line of ancestry) {
      if (line.timeline === backup.timeline) return history.covers(line.timeline, backup.sequence, to);
      if (!history.covers(line.timeline, line.forkSequence, to)) return false;
      to = Math.min(to, line.forkSequence);
    }
    return false;
  };
}

/** A segment's name and what its header says. Sequences are inclusive at both ends. */
export interface SegmentFacts {
  key: string;
  timeline: number;
  first: number;
  last: number;
  lastUs: number;
}

export interface SegmentPolicy {
  /** Of the current timeline, newest first. */
  ancestry: readonly Timeline[];
  /**
   * What manifests and running operations need, (from, to] on each timeline: from the base that files yield, not from
   * the parent that the delta was measured against.
   */
  spans: readonly { timeline: number; from: number; to: number }[];
  /** Where the recovery window begins; 'off': nothing is archived, there is none; null: not known, all stays. */
  windowStart: { timeline: number; sequence: number; us: number } | 'off' | null;
  retentionUs: number;
  nowUs: number;
}

/**
 * Keys of the segments that nobody needs. On the current line they lie before the base of the window; on lines, and
 * parts of lines, that a restore abandoned, age alone decides. All of them are older than the retention, so that a
 * window with a hole keeps what can still be reached from a backup before the hole.
 */
export function expendableSegments(segments: readonly SegmentFacts[], policy: SegmentPolicy): string[] {
  const { ancestry, windowStart, retentionUs, nowUs } = policy;
  if (retentionUs <= 0 || windowStart === null || ancestry.length === 0) return [];
  if (windowStart !== 'off' && !onAncestry(ancestry, windowStart)) return [];
  const isSpanned = overlap(policy.spans);
  const needed = windowStart === 'off' ? [] : sinceWindowStart(ancestry, windowStart);
  const isWindowed = overlap(needed);
  return segments
    .filter((segment) => segment.lastUs < nowUs - retentionUs && !isSpanned(segment) && !isWindowed(segment))
    .map(({ key }) => key);
}

/** The commits that lead from the window's base to now. */
function sinceWindowStart(
  ancestry: readonly Timeline[],
  start: { timeline: number; sequence: number },
): SegmentPolicy['spans'] {
  const spans: { timeline: number; from: number; to: number }[] = [];
  let to = Number.MAX_SAFE_INTEGER;
  for (const { timeline, forkSequence } of ancestry) {
    const isStart = timeline === start.timeline;
    // A line that forked before the own part of its parent takes nothing from that part: its span is empty.
    spans.push({ timeline, from: isStart ? start.sequence : Math.min(forkSequence, to), to });
    if (isStart) break;
    to = Math.min(to, forkSequence);
  }
  return spans;
}

function overlap(spans: SegmentPolicy['spans']): (segment: SegmentFacts) => boolean {
  const byLine = new Map<number, { from: number; to: number }[]>();
  for (const { timeline, from, to } of [...spans].sort((a, b) => a.from - b.from)) {
    const line = byLine.get(timeline) ?? [];
    const before = line.at(-1);
    if (before !== undefined && from <= before.to) before.to = Math.max(before.to, to);
    else if (from < to) line.push({ from, to });
    byLine.set(timeline, line);
  }
  return ({ timeline, first, last }) => (byLine.get(timeline) ?? []).some(({ from, to }) => last > from && first <= to);
}
