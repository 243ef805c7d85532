/**
 * A restore may stop between two commits of one write group. The reserved key is written once per group, so it is then
 * the one of the group before: stale. What the restore knows of the state counts instead, and one more commit puts it
 * where every state says it.
 */
import { assert } from '../base/assert.js';
import { BatchBuilder } from '../engine/index.js';
import type { Database } from '../engine/types.js';
import { encodeCommitMark } from './commit-mark.js';
import { loadDatabaseMap } from './database-map.js';
import { countExpiries } from './expiry-counts.js';
import { DATABASES, STATE_KEY } from './layout.js';
import type { KeyspaceKind, KnownPosition, Position } from './port.js';
import { encodeState, type State } from './state-record.js';
import { survey } from './survey.js';

export interface CorrectionOptions {
  /** The commit's time, if that is after `lastCommitUs`; else it is one microsecond after that. */
  atUs?: number;
  /** Synced when this resolves. Default: RocksDB's log is passed by, and the caller flushes. */
  sync?: boolean;
}

/**
 * Writes that commit into a native database that nobody serves; it counts as one commit more and takes one sequence.
 * Answers where the state is then.
 */
export async function correctPosition(
  database: Database,
  known: KnownPosition & { timeline: number },
  options: CorrectionOptions = {},
): Promise<Position> {
  const { timeline } = known;
  const state = await stateOf(database, 'native', known, timeline);
  state.lastCommitUs = Math.max(options.atUs ?? 0, state.lastCommitUs + 1);
  state.commitCount += 1;
  const batch = new BatchBuilder();
  batch.logData(encodeCommitMark(state.lastCommitUs, timeline));
  const map = await loadDatabaseMap(database, 'native');
  batch.put(STATE_KEY, encodeState(state, !map.isPlain));
  await database.write(batch.finish(), options.sync === true ? { sync: true } : { disableWal: true });
  return { sequence: database.latestSequence(), ...state };
}

/** The state that is known; counts the keys where nobody did. */
export async function stateOf(
  database: Database,
  kind: KeyspaceKind,
  known: KnownPosition,
  timeline: number,
): Promise<State> {
  const { lastCommitUs, commitCount } = known;
  const databases = kind === 'native' ? DATABASES : 1;
  const counted = known.keyCounts === null ? await survey(database, kind) : known;
  const of = (counts: readonly number[]): number[] => {
    assert(counts.length <= databases, `${counts.length} counts for the ${databases} databases of a keyspace`);
    return Array.from({ length: databases }, (_, index) => counts[index] ?? 0);
  };
  const expiryCounts = counted.expiryCounts ?? (await countExpiries(database, kind));
  return {
    lastCommitUs,
    timeline,
    commitCount,
    keyCounts: of(counted.keyCounts ?? []),
    expiryCounts: of(expiryCounts),
  };
}
