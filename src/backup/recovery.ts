/**
 * The facts that recovery is planned from, free of I/O: lines of history, where restores can begin, which commits are
 * archived. `plan.ts` and `window.ts` decide over them.
 *
 *   timeline 1  ──●────────────●───────────┤ replaced
 *                 full (base)  └ fork
 *   timeline 2                 └───────●────────→ current
 *
 * Sequences belong to a timeline: the same number on two timelines are two different commits.
 */

/** One line of history; from timelines/<n>.json. */
export interface Timeline {
  timeline: number;
  /** null: it forks from nothing. */
  parent: number | null;
  /** The last sequence that it has in common with its parent; its own first commit is the next one. */
  forkSequence: number;
  /** The moment on the parent that it continues from, µs; null: unknown, or no parent. */
  forkUs: number | null;
  /** When it began: all its commits are later, µs. */
  beganUs: number;
  /** Commits that it has in common with its parent. */
  forkCommitCount: number;
  /** When another one took over, µs; null: it is the current one, or nobody knows. */
  endedUs: number | null;
  /**
   * The last sequence that it has: of the current one what the live database has, of an ended one what was cut when it
   * ended. Absent or null: not known. Where commits up to it are missing the end of a line is not mistaken for a rest.
   */
  endSequence?: number | null;
}

/** A state that files alone yield: a full backup, or the full that an increment rests on. */
export interface Base {
  /** The backup whose manifest says so; the newest, where several do. */
  id: number;
  timeline: number;
  sequence: number;
  /** The recovery point, µs. */
  timestampUs: number;
  commitCount: number;
  /** Running digest at `sequence`. */
  digest: string;
  /** SHA-256 of the file list. */
  list: string;
  /** Bytes that a restore of it copies. */
  sizeBytes: number;
}

/** Consecutive commits of one timeline, (from, to], that segments cover without a hole. Sorted, not touching. */
export interface Coverage {
  timeline: number;
  from: number;
  to: number;
  /** Commit time of the first and of the last commit in it, µs. */
  firstUs: number;
  lastUs: number;
}

/** A moment of which a backup or a tag says at which sequence its line was. */
export interface Point {
  timeline: number;
  sequence: number;
  us: number;
}

/** What a restore does: copy a base, then replay commits along the ancestry. */
export interface RecoveryPath {
  base: Base;
  /** In order; each continues where the one before ends. Empty: the base is the target. */
  steps: { timeline: number; from: number; to: number }[];
}

/** Everything that is known, for decisions that need all of it. */
export interface RecoveryFacts {
  timelines: readonly Timeline[];
  bases: readonly Base[];
  coverage: readonly Coverage[];
  /** What increments, which are no bases, and tags tell of moments without commits. */
  points?: readonly Point[];
  /** The live timeline; null: none is (a foreign repository). */
  current: number | null;
  /**
   * The current timeline has no commit up to this moment that is newer than the newest one known (covered, or in a
   * base); null: not known, because nothing is archived or commits at its end are missing.
   */
  completeThroughUs: number | null;
}

/** Consecutive states of one timeline that can be restored: all sequences and all moments, both ends included. */
export interface Stretch {
  timeline: number;
  from: number;
  to: number;
  fromUs: number;
  toUs: number;
}

/** A hole: what lies after `from` up to `to` is not available. */
export interface Hole {
  timeline: number;
  from: number;
  to: number;
}

/** A path to a moment. Its last step may go further than the moment: the caller leaves out commits after `stopUs`. */
export interface TimedPath extends RecoveryPath {
  stopUs: number;
  /** The target's sequence where the facts tell it, and then the steps end there; null: reading segments will tell. */
  sequence: number | null;
}
