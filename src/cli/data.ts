/**
 * Opens what a server serves: the live database of a data directory, or a plain RocksDB directory (--data-dir). A live
 * database that does not open is no reason to stay down: the server comes up without it, so that a backup can be
 * restored. What is wrong with the directory itself (locked, another kind) stops the start.
 */
import { basename, dirname, join } from 'node:path';
import { closedNote } from '../backup/closed-note.js';
import { DataDirectory, isRocksDirectory } from '../backup/data-directory.js';
import { LiveGuard } from '../backup/live-guard.js';
import type { WallClock } from '../base/clock.js';
import { CairnError, toCairnError } from '../base/errors.js';
import { makeDirectory, removeTree } from '../base/fs.js';
import type { ConfigService } from '../config/service.js';
import { acquireFileLock, openDatabase } from '../engine/index.js';
import type { Database, OpenOptions } from '../engine/types.js';
import type { Keyspace } from '../keyspace/keyspace.js';
import { type KeyspaceOptions, openKeyspace } from '../keyspace/open.js';
import { readPosition } from '../keyspace/survey.js';
import type { Log } from '../observability/log.js';

export interface OpenedData {
  keyspace: Keyspace;
  /** null: a plain directory. */
  directory: DataDirectory | null;
  /** Where trial restores go; made when needed. */
  scratchDirectory: string;
  /** Closes the keyspace with its database and gives the directory back. */
  close(): Promise<void>;
}

/**
 * How every database of this server is opened, also one that a restore brings. Logs are kept until the archive has what
 * is in them (backup/log-upkeep.ts).
 */
export function databaseOptions(config: ConfigService): OpenOptions {
  return {
    // Half for the values themselves, half for the blocks that they, and the way to them, are read from.
    blockCacheBytes: Math.ceil(config.values.cache_size / 2),
    valueCacheBytes: Math.floor(config.values.cache_size / 2),
    writeBufferBytes: config.values.write_buffer_size,
    walTtlSeconds: 'forever',
    fileChecksum: 'sha256',
    paranoidChecks: true,
  };
}

export function openData(config: ConfigService, log: Log, clock: WallClock): Promise<OpenedData> {
  const { dir, data_dir: plain } = config.values;
  return plain === null ? openDataDirectory(dir, config, log, clock) : openPlain(plain, config, log, clock);
}

async function openDataDirectory(dir: string, config: ConfigService, log: Log, clock: WallClock): Promise<OpenedData> {
  if (await isRocksDirectory(dir)) {
    throw new CairnError('ERR', `${dir} is a RocksDB directory, not a data directory`, {
      hint: 'Serve it as it is with --data-dir, or take a copy of it over with `cairn adopt`.',
    });
  }
  await makeDirectory(dir).catch((error: unknown) => {
    throw toCairnError(error, 'ERR', `the data directory ${dir} cannot be used`);
  });
  const lock = acquireFileLock(join(dir, 'LOCK'));
  try {
    const directory = await DataDirectory.open(dir, config.values.keyspace);
    requireSameKind(config, directory);
    const removed = await directory.sweep();
    if (removed.length > 0) log.info('leftovers of an earlier run were removed', { removed });
    const { database, failure } = await openLive(directory, config, log);
    const keyspace = await openKeyspaceOn(database, failure, {
      kind: directory.live?.keyspace ?? config.values.keyspace,
      timeline: directory.live?.timeline ?? 1,
      clockFloorUs: directory.live?.clock_floor_us ?? 0,
      rawStatePath: join(dir, 'raw-state.json'),
      // Until the archive was compared with it (serve.ts begins it).
      paused: true,
      reopen: (path) => openDatabase(path, { ...databaseOptions(config), createIfMissing: false }),
      beforeClose: (closing) => noteWhereClosed(directory, closing, log),
      ...commonOptions(config, log, clock),
    });
    const guard = await LiveGuard.begin(directory, log).catch(async (error: unknown) => {
      await keyspace.close();
      throw error;
    });
    const close = async (): Promise<void> => {
      try {
        await keyspace.close();
      } finally {
        await guard.stop();
        lock.release();
      }
    };
    return { keyspace, directory, scratchDirectory: join(dir, 'scratch'), close };
  } catch (error) {
    lock.release();
    throw error;
  }
}

async function openPlain(path: string, config: ConfigService, log: Log, clock: WallClock): Promise<OpenedData> {
  if (!(await isRocksDirectory(path))) {
    throw new CairnError('ERR', `${path} is not a RocksDB directory`, {
      hint: 'data_dir names a directory that RESTORE … TO made. A data directory is served with --dir.',
    });
  }
  const kind = config.values.keyspace;
  const options: OpenOptions = { ...databaseOptions(config), createIfMissing: false, walTtlSeconds: 0 };
  const database = await openDatabase(path, options);
  try {
    const position = await readPosition(database, kind);
    const keyspace = await openKeyspace({
      database,
      kind,
      timeline: position?.timeline ?? 1,
      clockFloorUs: position?.lastCommitUs ?? 0,
      // Beside it: what a foreign program reads stays free of our files.
      rawStatePath: join(dirname(path), `.${basename(path)}.raw-state.json`),
      reopen: (again) => openDatabase(again, options),
      ...commonOptions(config, log, clock),
    });
    const scratchDirectory = join(dirname(path), `.${basename(path)}.scratch`);
    return {
      keyspace,
      directory: null,
      scratchDirectory,
      close: () => keyspace.close().then(() => removeTree(scratchDirectory)),
    };
  } catch (error) {
    await database.close();
    throw error;
  }
}

/** LIVE says what the database is; a setting that says otherwise is a mistake that must not be passed over. */
function requireSameKind(config: ConfigService, directory: DataDirectory): void {
  const { live, path } = directory;
  if (live === null || config.source('keyspace') === 'default' || live.keyspace === config.values.keyspace) return;
  throw new CairnError(
    'ERR',
    `keyspace is set to '${config.values.keyspace}', but the database in ${path} is ${live.keyspace}`,
    {
      hint: `Leave the setting out, or choose another dir.`,
    },
  );
}

async function openLive(
  directory: DataDirectory,
  config: ConfigService,
  log: Log,
): Promise<{ database: Database | null; failure: CairnError | undefined }> {
  const { live, livePath } = directory;
  if (live === null || livePath === null) return { database: null, failure: directory.failure ?? undefined };
  try {
    const database = await openDatabase(livePath, { ...databaseOptions(config), createIfMissing: live.fresh });
    if (database.tornTail !== null) log.warn('the log ended in a write that was never whole', { ...database.tornTail });
    try {
      await closedNote(directory.path, log).require(live.live, database.latestSequence());
      await directory.markCreated();
    } catch (error) {
      await database.close();
      throw error;
    }
    return { database, failure: undefined };
  } catch (error) {
    return { database: null, failure: asMisconf(error) };
  }
}

type Rest = Omit<KeyspaceOptions, 'database' | 'failure'>;

/** Also a database that opens, but does not hold what it should, leaves the server up for a restore. */
async function openKeyspaceOn(
  database: Database | null,
  failure: CairnError | undefined,
  rest: Rest,
): Promise<Keyspace> {
  if (database !== null) {
    try {
      return await openKeyspace({ ...rest, database });
    } catch (error) {
      await database.close();
      failure = asMisconf(error);
    }
  }
  rest.log.error('the live database did not open: data commands answer MISCONF until a backup is restored', {
    error: failure,
  });
  return openKeyspace({ ...rest, database: null, ...(failure === undefined ? {} : { failure }) });
}

function asMisconf(error: unknown): CairnError {
  const known = toCairnError(error, 'MISCONF');
  if (known.code === 'MISCONF') return known;
  return new CairnError('MISCONF', known.message, { hint: known.hint, details: known.details, cause: error });
}

function commonOptions(config: ConfigService, log: Log, clock: WallClock) {
  return { durability: () => config.values.durability, expire: config.values.expire, log, wallClock: clock };
}

/** One that cannot be noted (a full disk) leaves the note that there is: an older one holds as well. */
async function noteWhereClosed(directory: DataDirectory, database: Database, log: Log): Promise<void> {
  if (directory.live === null) return;
  await closedNote(directory.path, log)
    .keep(directory.live.live, database.latestSequence())
    .catch((error: unknown) => log.warn('where the database was closed could not be noted', { error }));
}
