/**
 * What `backup` needs of the live database, said by itself so that backup and keyspace do not know each other's
 * insides: a pause between two write groups (for a cut), and an exchange of the database under the server (for a
 * restore in place). `Keyspace` implements it.
 */
import type { CommitMarkShape, Database } from '../engine/types.js';

export type KeyspaceKind = 'native' | 'raw';

/** Where a state stands; the reserved key says it for every state (docs/engine.md). */
export interface Position {
  sequence: number;
  timeline: number;
  /** Commit time of the last commit, µs; 0 when there was none. */
  lastCommitUs: number;
  /** Commits since the database began, along the ancestry. */
  commitCount: number;
  /** Exact number of keys per logical database, 16 entries in a native keyspace, 1 in a raw one. */
  keyCounts: number[];
  /** How many of them have an expiry; null: an older version wrote the state, and did not count. Serving it counts. */
  expiryCounts: number[] | null;
}

/** What is known of a state by other means than its reserved key: replaying to inside a write group leaves that stale. */
export interface KnownPosition {
  lastCommitUs: number;
  commitCount: number;
  /** null: nobody counted; a scan will. */
  keyCounts: number[] | null;
  /** null: nobody counted. */
  expiryCounts: number[] | null;
}

/** What an exchange serves from then on. */
export interface Exchanged {
  database: Database;
  timeline: number;
  kind: KeyspaceKind;
  /** Counts instead of what the state says of itself. */
  position?: KnownPosition;
  /** Where the state does not say it: counted before the exchange, which would take as much longer. */
  expiryCounts?: number[];
}

export interface LivePort {
  /** null while the live database is not open (it failed to open, or a swap failed). */
  readonly database: Database | null;
  readonly kind: KeyspaceKind;
  /** What commits look like in the log. */
  readonly commitMark: CommitMarkShape;
  /**
   * How far the write groups are in the WAL. Every commit at or before `throughUs` has its last sequence at or before
   * `sequence`, also when that write failed and may be in the log all the same; every later commit is after `throughUs`.
   * `commitCount` is that of the last write that succeeded. Synchronous and cheap. Throws while no database is open.
   */
  written(): { sequence: number; throughUs: number; commitCount: number };
  /**
   * Waits until the running write group is in the WAL, runs `body` before the next group is written, then goes on.
   * Commands keep executing meanwhile; their replies wait. `position` is exact for the paused state;
   * `markUs` is a fresh moment of the commit clock: every later commit is after it.
   */
  pausedBetweenGroups<T>(body: (position: Position, markUs: number) => Promise<T>): Promise<T>;
  /**
   * Takes every acknowledged and executed write to the old database, answers LOADING to data commands while `body`
   * runs, then serves what body returns, on the given timeline. If body throws, the old database serves on.
   * Aborts transactions and touches every WATCH. Returns the database that was served before (null: none was open),
   * still open; the caller closes it. `downtimeMs` is how long LOADING was answered.
   *
   * With `position` the keyspace makes the first commit on the timeline itself, synced before anything else is written:
   * the mark and the reserved key, so that the state says where it is (a raw keyspace writes its file). If that write
   * fails the new state is served, and writes are refused.
   *
   * The same database may come back, on another timeline: then nothing that clients see changes (no transaction is
   * aborted, no WATCH touched, what refused writes still does), and `previous` is null: there is nothing to close.
   */
  exchange(
    body: (position: Position | null) => Promise<Exchanged>,
  ): Promise<{ previous: Database | null; downtimeMs: number }>;
  /** The commit clock's present moment, µs, without marking it. */
  nowUs(): number;
  /** The commit clock will never again be at or before this. */
  raiseClock(us: number): void;
}
