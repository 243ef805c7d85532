/** Opens the keyspace on a database that the caller has opened: reads where it stands and starts to serve. */
import type { WallClock } from '../base/clock.js';
import { CairnError } from '../base/errors.js';
import type { Database } from '../engine/types.js';
import type { Log } from '../observability/log.js';
import { loadDatabaseMap } from './database-map.js';
import { withExpiryCounts } from './expiry-counts.js';
import type { Keyspace } from './keyspace.js';
import { DATABASES, STATE_KEY } from './layout.js';
import { LiveKeyspace } from './live-keyspace.js';
import type { KeyspaceKind } from './port.js';
import { loadRawState } from './raw.js';
import { decodeState, emptyState, type State } from './state-record.js';
import type { Durability } from './wal-syncer.js';

export type { Durability };

export interface KeyspaceOptions {
  /** The keyspace closes it. null: it did not open; data commands answer MISCONF until an exchange brings one. */
  database: Database | null;
  /** Why there is no database. */
  failure?: CairnError;
  kind: KeyspaceKind;
  timeline: number;
  /** The commit clock begins after this. */
  clockFloorUs: number;
  /** Asked for at every write; may change at any time. */
  durability: () => Durability;
  /** false: expired keys are read as if their time had not come, and none is removed. */
  expire: boolean;
  log: Log;
  wallClock: WallClock;
  /**
   * Nothing is written before `begin()`: data commands answer LOADING, no expired key is removed. Until then the caller
   * may compare the database with what others have of it, raise the clock, and exchange (also only the timeline).
   */
  paused?: boolean;
  /** Opens the database at `path` as the caller opened it first; after a failed write its log may take no more. */
  reopen?: (path: string) => Promise<Database>;
  /** Awaited right before a sound database is closed for good: everything is written and synced. */
  beforeClose?: (database: Database) => Promise<void>;
  /** Where a raw keyspace keeps its state; without it none can be served. */
  rawStatePath?: string;
}

export async function openKeyspace(options: KeyspaceOptions): Promise<Keyspace> {
  const { database, kind, timeline } = options;
  if (database === null) return new LiveKeyspace(options, null, null);
  const state = await loadState(database, kind, timeline, options.rawStatePath);
  return new LiveKeyspace(options, state, await loadDatabaseMap(database, kind));
}

/**
 * Where an opened database stands; the timeline is the caller's to say. Keys with an expiry are counted where neither
 * the state nor the caller (`expiryCounts`) says how many there are.
 */
export async function loadState(
  database: Database,
  kind: KeyspaceKind,
  timeline: number,
  rawStatePath: string | undefined,
  expiryCounts: number[] | null = null,
): Promise<State> {
  if (kind === 'raw') {
    if (rawStatePath === undefined) {
      throw new CairnError(
        'MISCONF',
        `${database.path} cannot be served as a raw keyspace: no place for its state is set`,
      );
    }
    return loadRawState(database, rawStatePath, timeline);
  }
  const record = await database.get(STATE_KEY);
  if (record !== undefined) {
    const state = decodeState(record, DATABASES);
    return withExpiryCounts(database, kind, { ...state, timeline, expiryCounts: state.expiryCounts ?? expiryCounts });
  }
  const blocks = database.iterate({ values: false, blockEntries: 1 });
  try {
    if ((await blocks.next()) === null) return emptyState(timeline, DATABASES);
  } finally {
    await blocks.close();
  }
  throw new CairnError('MISCONF', `the database ${database.path} holds keys, but none of the form that Cairn writes`, {
    hint: 'If another program made it, take it over with `cairn adopt`; it is then served with keyspace raw.',
    details: { path: database.path },
  });
}
