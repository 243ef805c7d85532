/**
 * Whose repository this is, and who may write to it.
 *
 * A repository belongs to one database id. Reading (LIST, INFO, VERIFY, RESTORE) is open to everybody; what writes asks
 * `writable()` first, which answers REPOFOREIGN (another database's), REPOLOCKED (held by another server) or
 * REPOFORMAT (made by a newer Cairn), creates the repository where there is none, and takes the lock on first use.
 * An empty data disk with a cron job must never prune the real backups away: that is what the id is for.
 */
import { randomUUID } from 'node:crypto';
import type { WallClock } from '../base/clock.js';
import { CairnError, toCairnError } from '../base/errors.js';
import { formatTime } from '../base/time.js';
import type { FileLock } from '../engine/types.js';
import {
  decodeRepositoryHeader,
  encodeRepositoryHeader,
  FormatError,
  formatNumber,
  parseNumber,
  type RepositoryHeader,
  type Tag,
  type TimelineRecord,
} from '../format/index.js';
import type { Log } from '../observability/log.js';
import { type Store, StoreObjectMissing } from '../storage/store.js';
import { Catalog } from './catalog.js';
import { sweepRepository } from './garbage.js';
import type { RepositoryMemory } from './known-repository.js';
import { Segments } from './segments.js';
import { readTags } from './tags.js';
import { Timelines } from './timelines.js';

export interface RepositoryOptions {
  store: Store;
  /** The server's database id; null while it is unknown (its LIVE is damaged). */
  databaseId: () => string | null;
  /** The live timeline: what a new repository's first timeline is called. */
  timeline: () => number;
  /** Takes the OS lock of the repository; throws when another server holds it. */
  acquireLock: () => Promise<FileLock>;
  /** Set when this server may only read, whatever the id; the text says why. */
  readOnlyReason: string | null;
  /** What outlives a stop of where the repository was; absent: nothing does. */
  memory?: RepositoryMemory;
  clock: WallClock;
  log: Log;
}

const HEADER_KEY = 'REPOSITORY.json';
const NEXT_ID_KEY = 'next_id';

export class Repository {
  readonly store: Store;
  readonly catalog: Catalog;
  readonly segments: Segments;
  readonly timelines: Timelines;
  /** Something that nothing refers to is still there: the next removal takes it along, as does every start. */
  hasLeftovers = false;
  readonly #options: RepositoryOptions;
  #lock: FileLock | null = null;
  /** Whose database it is, as read last; while the lock is held nobody else changes that. */
  #owner: string | null = null;
  /** The id that `memory` has. */
  #remembered: string | null = null;
  #swept: Promise<void> | null = null;
  #opening: Promise<void> = Promise.resolve();
  #turns: Promise<unknown> = Promise.resolve();

  constructor(options: RepositoryOptions) {
    this.store = options.store;
    this.#options = options;
    this.catalog = new Catalog(options.store, options.log);
    this.segments = new Segments(options.store, options.log);
    this.timelines = new Timelines(options.store, options.log);
  }

  /** null: there is none yet. Damage and newer formats throw. */
  async header(): Promise<RepositoryHeader | null> {
    const bytes = await this.store.get(HEADER_KEY, 1 << 20).catch((error) => {
      if (error instanceof StoreObjectMissing) return null;
      throw error;
    });
    if (bytes === null) return null;
    try {
      return decodeRepositoryHeader(bytes);
    } catch (error) {
      if (error instanceof FormatError && error.reason === 'version') {
        throw new CairnError(
          'REPOFORMAT',
          `${HEADER_KEY} in ${this.store.location} was written by a newer version: ${error.message}`,
          {
            hint: 'Use a Cairn that knows this format; nothing was changed.',
          },
        );
      }
      throw new CairnError(
        'BACKUPMANIFEST',
        `${HEADER_KEY} in ${this.store.location} is damaged: ${(error as Error).message}`,
        {
          hint: 'Bring it back from a copy of the repository. Its backups stay readable with LIST, VERIFY and RESTORE.',
        },
      );
    }
  }

  /** Brings the catalogue up to the files; what a newer Cairn wrote is refused as a whole, not read as damaged. */
  async refresh(): Promise<void> {
    await this.header().catch((error: unknown) => {
      if (error instanceof CairnError && error.code === 'REPOFORMAT') throw error;
    });
    await this.catalog.refresh();
  }

  /** Resolves when this server may write here; sweeps what a crash left the first time. Calls queue. */
  async writable(): Promise<void> {
    const turn = this.#opening.then(() => this.#requireWritable());
    this.#opening = turn.catch(() => undefined);
    await turn;
  }

  /** Like writable(), as an answer; used where a verdict is worth keeping only if it can be kept. */
  async isWritable(): Promise<boolean> {
    return this.writable().then(
      () => true,
      () => false,
    );
  }

  /** Locked, by whomever's database. */
  get held(): boolean {
    return this.#lock !== null;
  }

  /** This server's line goes on here: the lock is held, and the repository belongs to the live database. */
  get isOwn(): boolean {
    return this.#lock !== null && this.#owner !== null && this.#owner === this.#options.databaseId();
  }

  /** Gives the lock back unless the repository is this database's: after a takeover that failed, or was undone. */
  letGo(): void {
    if (this.isOwn) return;
    this.#lock?.release();
    this.#lock = null;
    this.#swept = null;
  }

  async #requireWritable(): Promise<void> {
    const { databaseId, readOnlyReason } = this.#options;
    if (readOnlyReason !== null) throw new CairnError('REPOFOREIGN', readOnlyReason);
    const header = await this.header();
    const own = databaseId();
    if (header === null) await this.#create(own);
    else if (header.database_id !== own) throw foreign(header, own);
    await this.#hold();
    this.#owner = own;
    await this.#remember(header ?? (await this.header()));
    // Once: a later one might meet the objects of a create that runs.
    this.#swept ??= sweepRepository(this, this.#options.log).catch((error) => {
      this.#options.log.warn('repository sweep failed', {
        error: toCairnError(error, 'BACKUPFAILED'),
      });
      this.hasLeftovers = true;
    });
    await this.#swept;
  }

  async #hold(): Promise<void> {
    if (this.#lock !== null) return;
    try {
      this.#lock = await this.#options.acquireLock();
    } catch (error) {
      if (!(error instanceof CairnError) || error.details.kind !== 'locked') {
        throw new CairnError(
          'BACKUPFAILED',
          `the repository ${this.store.location} cannot be written to: ${toCairnError(error, 'BACKUPFAILED').message}`,
          { hint: "Give the server's user a writable repository; reading commands work.", cause: error },
        );
      }
      throw new CairnError('REPOLOCKED', `the repository ${this.store.location} is held by another server`, {
        hint: 'Stop that server, or give this one a repository of its own (backup.dir). Reading commands work.',
        cause: error,
      });
    }
  }

  /** One that cannot be noted (a full disk) is used all the same; the next start tries again. */
  async #remember(header: RepositoryHeader | null): Promise<void> {
    const { memory, log } = this.#options;
    if (memory === undefined || header === null || this.#remembered === header.repository_id) return;
    const now = { repositoryId: header.repository_id, location: this.store.location };
    this.#remembered = now.repositoryId;
    try {
      const known = await memory.recall().catch(() => null);
      if (known?.repositoryId !== now.repositoryId || known.location !== now.location) await memory.keep(now);
    } catch (error) {
      log.warn('which repository this is could not be noted in the data directory', { path: memory.path, error });
    }
  }

  /** Where a repository was there is none: nobody makes another one in its place unasked. */
  async #requireUnknown(): Promise<void> {
    const { memory } = this.#options;
    const known = await memory?.recall();
    if (memory === undefined || known == null || known.location !== this.store.location) return;
    throw new CairnError(
      'BACKUPFAILED',
      `there is no repository in ${known.location}, where repository ${known.repositoryId} of this server was`,
      {
        hint: `If its disk is not mounted, mount it and restart the server; logs wait up to wal.spool_max. If it is gone for good, remove ${memory.path}: then a new one is made.`,
        details: { repository: known.repositoryId, location: known.location },
      },
    );
  }

  async #create(own: string | null): Promise<void> {
    await this.catalog.refresh();
    const backups = this.catalog.entries().length;
    if (backups > 0 || own === null) {
      throw new CairnError(
        'BACKUPMANIFEST',
        `${HEADER_KEY} is missing from ${this.store.location}, which holds ${backups} backups`,
        {
          hint: 'Bring it back from a copy of the repository. Its backups stay readable with LIST, VERIFY and RESTORE.',
        },
      );
    }
    await this.#requireUnknown();
    await this.#hold();
    // Another server may have made one between the look and the lock.
    const now = await this.header();
    if (now !== null) {
      if (now.database_id !== own) throw foreign(now, own);
      return;
    }
    const createdAt = formatTime(this.#options.clock.nowUs());
    const timeline = this.#options.timeline();
    await this.putTimeline({
      timeline,
      parent: null,
      fork_sequence: 0,
      fork_at: null,
      fork_commit_count: 0,
      created_at: createdAt,
      reason: 'created',
      backup: null,
    });
    await this.#putHeader({
      repository_id: randomUUID(),
      database_id: own,
      created_at: createdAt,
      adopted: [],
      encryption: null,
    });
    this.#options.log.info('repository created', {
      location: this.store.location,
    });
  }

  async #putHeader(header: RepositoryHeader): Promise<void> {
    await this.store.put(HEADER_KEY, encodeRepositoryHeader(header));
  }

  /**
   * The repository from now on belongs to this server's database. The id must be the repository's own. `beforeTakeover`
   * runs under the lock, before the header names the new owner.
   */
  async adopt(repositoryId: string, beforeTakeover: () => Promise<void>): Promise<RepositoryHeader> {
    const { databaseId, readOnlyReason, clock } = this.#options;
    if (readOnlyReason !== null) throw new CairnError('REPOFOREIGN', readOnlyReason);
    const header = await this.header();
    if (header === null)
      throw new CairnError('ERR', `there is no repository in ${this.store.location} yet; CREATE makes one`);
    if (header.repository_id !== repositoryId) {
      throw new CairnError(
        'ERR',
        `the repository in ${this.store.location} has id ${header.repository_id}, not ${repositoryId}`,
        {
          hint: 'Check that this is the repository that you mean.',
        },
      );
    }
    const own = databaseId();
    if (own === null)
      throw new CairnError('MISCONF', 'this server has no database id: its LIVE is damaged. Restore in place instead.');
    await this.#hold();
    this.#owner = header.database_id;
    if (header.database_id === own) return header;
    await beforeTakeover();
    const next = {
      ...header,
      database_id: own,
      adopted: [...header.adopted, { database_id: header.database_id, at: formatTime(clock.nowUs()) }],
    };
    await this.#putHeader(next);
    this.#owner = own;
    return next;
  }

  /**
   * For a restore in place out of a repository that is not (yet) this database's: the lock, without the ownership.
   * Whoever does not take over lets go.
   */
  async holdForTakeover(): Promise<RepositoryHeader> {
    const { readOnlyReason } = this.#options;
    if (readOnlyReason !== null) throw new CairnError('REPOFOREIGN', readOnlyReason);
    const header = await this.header();
    if (header === null) {
      throw new CairnError('BACKUPMANIFEST', `${HEADER_KEY} is missing from ${this.store.location}`, {
        hint: 'Bring it back from a copy, or use RESTORE … TO and serve the result.',
      });
    }
    await this.#hold();
    this.#owner = header.database_id;
    return header;
  }

  /**
   * A new id. `kept` resolves when it is durable that it was given; nothing in the repository may bear it before, so that no two backups
   * ever do. The caller awaits it.
   */
  async allocateId(): Promise<{ id: number; kept: Promise<void> }> {
    await this.catalog.refresh();
    const stored = await this.store.get(NEXT_ID_KEY, 64).then(parseNumber, () => null);
    const id = Math.max(stored ?? 1, this.catalog.highestId() + 1);
    const kept = this.store.put(NEXT_ID_KEY, formatNumber(id + 1));
    kept.catch(() => undefined); // the caller's
    return { id, kept };
  }

  /** Runs one after the other what looks at a backup's pin and then acts on it: PIN and the removal of a manifest. */
  inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turns.then(work, work);
    this.#turns = turn.catch(() => undefined);
    return turn;
  }

  /** `latest` is for people who look into the directory; nothing reads it. */
  async writeLatest(): Promise<void> {
    const latest = this.catalog.latestComplete();
    if (latest === null) await this.store.delete('latest');
    else await this.store.put('latest', formatNumber(latest.id));
  }

  async putTimeline(timeline: TimelineRecord): Promise<void> {
    await this.timelines.put(timeline);
  }

  /** A number that no timeline here has, nor the live one, nor any segment, backup or tag. */
  async nextTimeline(): Promise<number> {
    await this.timelines.refresh();
    const used = [
      ...this.segments.timelines(),
      ...this.catalog.entries().map(({ manifest }) => manifest?.timeline ?? 0),
      ...(await this.knownTags()).map(({ timeline }) => timeline),
    ];
    return Math.max(this.#options.timeline(), this.timelines.highest, ...used) + 1;
  }

  /** For what they tell beside their names: damaged ones tell nothing. */
  async knownTags(): Promise<Tag[]> {
    return readTags(this.store).catch((error: unknown) => {
      this.#options.log.warn('tags could not be read', { error });
      return [];
    });
  }

  async close(): Promise<void> {
    this.#lock?.release();
    this.#lock = null;
    await this.store.close();
  }
}

function foreign(header: RepositoryHeader, own: string | null): CairnError {
  return new CairnError(
    'REPOFOREIGN',
    `the repository ${header.repository_id} belongs to database ${header.database_id}, this server's database is ${own ?? 'unknown'}`,
    {
      hint: `Restore from it in place to carry that database on, or say ADMIN.BACKUP ADOPTREPO ${header.repository_id} if this database replaces it. LIST, INFO, VERIFY and RESTORE work.`,
      details: {
        repository: header.repository_id,
        owner: header.database_id,
        own,
      },
    },
  );
}
