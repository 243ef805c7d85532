/**
 * Everything that ADMIN.BACKUP can do, free of RESP and sockets: requests in, records out. This file decides what may
 * start and in which order the steps of an operation come; the steps themselves are in the files beside it.
 */
import { basename } from 'node:path';
import type { WallClock } from '../base/clock.js';
import { CairnError, toCairnError } from '../base/errors.js';
import { faultPoint } from '../base/fault-points.js';
import { formatTime, parseTime } from '../base/time.js';
import { type Manifest, parseSegmentKey, type Tag } from '../format/index.js';
import type { LivePort } from '../keyspace/port.js';
import type { Log } from '../observability/log.js';
import { ArchiveUpkeep } from './archive-upkeep.js';
import { Archiver, type ArchiveSettings } from './archiver.js';
import type { BackupEntry } from './catalog.js';
import { type CreateContext, createFull, type Trigger } from './create.js';
import type { DataDirectory } from './data-directory.js';
import { createIncrement, type Impossible, type IncrementRequest } from './increment.js';
import type { MaterialiseContext } from './materialise.js';
import { Moments, type TagRecord, type TargetWords } from './moments.js';
import type { Operation, OperationRecord, Operations, Started } from './operations.js';
import {
  type BackupRecord,
  backupRecord,
  type CreateRecord,
  type DeleteRecord,
  type PruneRecord,
  type RestoreRecord,
  runningRecord,
  type VerifyMode,
  type VerifyRecord,
} from './records.js';
import { deleteBackup, notFound, prune, requireDeletable } from './removal.js';
import type { Repository } from './repository.js';
import {
  partialPath,
  previousDryRun,
  type RestoreContext,
  restoreDryRun,
  restoreInPlace,
  restorePrevious,
  restoreTo,
  targetPath,
} from './restore.js';
import type { RetentionPolicy } from './retention.js';
import type { SegmentEntry } from './segments.js';
import { type Source, sourceOfBackup } from './source.js';
import { type InfoFields, infoFields, type StatusRecord, statusRecord } from './status.js';
import { TableHashes } from './table-hashes.js';
import { markDamaged, type VerifyContext, verifyArchive, verifyBackup } from './verification.js';
import type { WindowRecord } from './window.js';
import { baseOfWindow, segmentsToRemove, type WindowSettings } from './window-policy.js';

/** Settings that may change while the server runs, read anew at each use. */
export interface BackupSettings extends ArchiveSettings {
  /** The recovery window, in microseconds; 0: for ever. */
  walRetentionUs(): number;
  retention(): RetentionPolicy;
  verifyAfterCreate(): boolean;
  /** Microseconds; 0: for ever. */
  keepPreviousUs(): number;
}

export interface BackupServiceOptions extends Omit<MaterialiseContext, 'repository'> {
  live: LivePort;
  repository: Repository;
  operations: Operations;
  /** null: the server serves a plain directory. */
  directory: DataDirectory | null;
  restoreDirectory: string;
  scratchDirectory: string;
  settings: BackupSettings;
  clock: WallClock;
  log: Log;
  host: string;
  versions: CreateContext['versions'];
  sameDevice: boolean;
}

export type CreateType = 'full' | 'incremental' | 'differential' | 'auto';

export interface CreateOptions {
  type: CreateType;
  /** The backup to rest on; null: the newest that fits. */
  parent: number | null;
  /** Fail rather than become a full. */
  strict: boolean;
  label: string | null;
  verify: boolean;
  pin: boolean;
  trigger: Trigger;
}

export interface ListFilter {
  type?: string;
  /** Absent: complete, incomplete, corrupt. */
  status?: 'complete' | 'running' | 'incomplete' | 'corrupt' | 'all';
  label?: (label: string) => boolean;
  /** Bounds on `timestamp`, µs, inclusive. */
  sinceUs?: number;
  untilUs?: number;
  offset?: number;
  limit?: number;
}

export type BackupReference = number | 'LATEST';

export interface RestoreOptions {
  backup: BackupReference | 'PREVIOUS';
  /** A later moment than the backup itself; null: the backup. */
  target: TargetWords | null;
  /** The line that the target is on; null: seen from the live one. */
  timeline: number | null;
  /** null: in place. */
  to: string | null;
  ifTimeline: number | null;
}

const KEPT_CHECK_MS = 3_600_000;
const US_PER_SECOND = 1_000_000;

export class BackupService {
  readonly #options: BackupServiceOptions;
  readonly #tableHashes = new TableHashes();
  readonly #creating = new Map<Operation, { type: string | null; label: string | null }>();
  readonly #keptTimer: NodeJS.Timeout;
  readonly #archiver: Archiver | null;
  readonly #upkeep: ArchiveUpkeep;
  readonly #moments: Moments;
  #pruneError: string | null = null;
  #repositoryBytes: number | null = null;

  constructor(options: BackupServiceOptions) {
    this.#options = options;
    const { live, directory, repository, settings, clock, log } = options;
    this.#upkeep = new ArchiveUpkeep(repository, () => this.#expendableSegments(), log);
    this.#archiver =
      directory === null
        ? null
        : new Archiver({ live, directory, repository, settings, clock, log, archived: () => this.#upkeep.archived() });
    this.#moments = new Moments({ repository, live, archiver: this.#archiver, log });
    this.#keptTimer = setInterval(() => void this.removeOldDatabases(), KEPT_CHECK_MS);
    this.#keptTimer.unref();
  }

  /** First look at the repository: what can be created and swept is, what cannot is logged and reported by commands later. */
  async start(interrupted: readonly OperationRecord[]): Promise<void> {
    const { repository, log, directory } = this.#options;
    await repository.catalog
      .refresh()
      .catch((error: unknown) => log.warn('the repository could not be read', { error }));
    if (directory !== null) {
      await repository.writable().catch((error: unknown) =>
        log.warn('the repository cannot be written to', {
          location: repository.store.location,
          error,
        }),
      );
    }
    await this.#judgeInterrupted(interrupted);
    this.#raiseClock();
    await this.removeOldDatabases();
    // Before the first write: a live database that is not what the archive has goes on under another timeline.
    await this.#archiver?.attachEarly();
    this.#archiver?.start();
    void this.#upkeep.tidy();
  }

  /** A create whose manifest is there has succeeded, whatever happened to the server that made it. */
  async #judgeInterrupted(interrupted: readonly OperationRecord[]): Promise<void> {
    const { repository, operations } = this.#options;
    for (const { operation, number, ids } of interrupted) {
      const entry = operation === 'create' ? repository.catalog.get(ids[0] ?? 0) : null;
      if (entry === null || entry.manifest === null) continue;
      await operations.reached(number, { ...backupRecord(entry), promoted: null, pruned: [] });
    }
  }

  /** The commit clock may not be earlier than a recovery point that was already given out. */
  #raiseClock(): void {
    const { repository, live, directory } = this.#options;
    const own = directory?.live?.database_id ?? null;
    const newest = repository.catalog
      .entries()
      .findLast((entry) => entry.manifest !== null && entry.manifest.database_id === own);
    if (newest?.manifest !== null && newest !== undefined) live.raiseClock(timeUs(newest.manifest.timestamp));
  }

  async removeOldDatabases(): Promise<void> {
    const { directory, settings, clock, log, operations } = this.#options;
    if (directory === null || operations.exclusive() !== null) return;
    const removed = await directory.pruneKept(settings.keepPreviousUs(), clock.nowUs()).catch((error: unknown) => {
      log.warn('kept databases could not be removed', { error });
      return [];
    });
    if (removed.length > 0) log.info('kept databases removed', { removed });
  }

  /** Starts a backup. `begun` resolves with the running record once the id is known, `done` with the finished one. */
  create(request: CreateOptions): Started<CreateRecord> & { begun: Promise<CreateRecord> } {
    const { operations, repository, clock } = this.#options;
    let begin: (record: CreateRecord) => void = () => {};
    let fail: (error: unknown) => void = () => {};
    const begun = new Promise<CreateRecord>((resolve, reject) => {
      begin = resolve;
      fail = reject;
    });
    begun.catch(() => undefined);
    const started = operations.start({ operation: 'create', exclusive: true }, async (operation) => {
      try {
        this.#creating.set(operation, { type: runningType(request.type), label: request.label });
        const context = this.#createContext();
        await repository.writable();
        const id = await repository.allocateId();
        await operations.about(operation, [id]);
        begin({
          ...runningRecord(id, runningType(request.type), request.label, clock.nowUs()),
          promoted: null,
          pruned: [],
        });
        return await this.#create(context, id, request, operation);
      } catch (error) {
        fail(error);
        throw error;
      } finally {
        this.#creating.delete(operation);
        this.#repositoryBytes = null;
      }
    });
    return { ...started, begun };
  }

  async #create(
    context: CreateContext,
    id: number,
    request: CreateOptions,
    operation: Operation,
  ): Promise<CreateRecord> {
    const { repository, settings, log } = this.#options;
    const verify = request.verify || settings.verifyAfterCreate();
    const promoted = await this.#createAsAsked(context, id, { ...request, verify }, operation);
    const entry = repository.catalog.get(id);
    if (entry === null) throw new CairnError('BACKUPFAILED', `backup ${id} was written but is not in the repository`);
    const record = backupRecord(entry);
    await repository.writeLatest().catch((error: unknown) => log.warn('latest could not be written', { id, error }));
    await faultPoint('before-retention');
    operation.phase = 'retention';
    const pruned = await this.#retain(settings.retention());
    log.info('backup created', {
      id,
      type: record.type,
      sequence: record.sequence_to,
      stored: record.stored_size,
      durationMs: record.duration_ms,
      pruned,
    });
    return { ...record, promoted, pruned };
  }

  /** Makes what was asked for; answers why an increment became a full. */
  async #createAsAsked(
    context: CreateContext,
    id: number,
    request: CreateOptions,
    operation: Operation,
  ): Promise<string | null> {
    const { type } = request;
    if (type === 'full') {
      await createFull(context, id, request, operation);
      return null;
    }
    const increment: IncrementRequest = { ...request, type: type === 'auto' ? 'incremental' : type };
    const impossible = await createIncrement(context, id, increment, operation);
    if (impossible === null) return null;
    if (request.strict) throw refusedIncrement(increment.type, impossible);
    this.#options.log.warn('an increment became a full backup', { id, reason: impossible.reason });
    await createFull(context, id, request, operation);
    return impossible.reason;
  }

  /** Retention after a create: what goes wrong there is reported, the create has succeeded all the same. */
  async #retain(policy: RetentionPolicy): Promise<number[]> {
    const { repository, operations, clock, log } = this.#options;
    try {
      const limited = policy.maxCount !== 0 || policy.maxAgeUs !== 0;
      const pruned = limited
        ? await prune(repository, operations, policy, clock.nowUs(), false, log, () => this.#windowBase())
        : null;
      this.#pruneError = null;
      void this.#upkeep.tidy();
      return pruned?.deleted ?? [];
    } catch (thrown) {
      const error = toCairnError(thrown, 'BACKUPFAILED');
      this.#pruneError = error.line;
      log.error('retention failed', { error });
      return [];
    }
  }

  #windowSettings(): WindowSettings {
    const { settings } = this.#options;
    return { archiving: settings.archive(), retentionUs: settings.walRetentionUs() };
  }

  #windowBase(): number | null {
    const { repository, clock } = this.#options;
    return baseOfWindow(repository, this.#archiver?.line() ?? null, this.#windowSettings(), clock.nowUs());
  }

  #expendableSegments(): Promise<string[]> {
    const { repository, clock } = this.#options;
    return segmentsToRemove(repository, this.#archiver?.line() ?? null, this.#windowSettings(), clock.nowUs());
  }

  #createContext(): CreateContext {
    const { live, directory, repository, clock, log, host, versions } = this.#options;
    const archiver = this.#archiver;
    if (directory === null || archiver === null) {
      throw new CairnError('REPOFOREIGN', 'this server serves a plain directory (--data-dir) and owns no repository', {
        hint: 'Start it with --dir to make backups.',
      });
    }
    return {
      live,
      archiver,
      directory,
      repository,
      tableHashes: this.#tableHashes,
      clock,
      log,
      host,
      versions,
    };
  }

  /** Newest first. */
  async list(filter: ListFilter): Promise<{
    backups: BackupRecord[];
    total: number;
    latest: number | null;
  }> {
    const { repository } = this.#options;
    await repository.refresh();
    const wanted = filter.status ?? 'listed';
    const records = wanted === 'running' ? [] : repository.catalog.entries().map(backupRecord);
    if (wanted === 'running' || wanted === 'all') records.push(...this.#runningRecords(records));
    const matching = records.filter((record) => {
      if (wanted !== 'all' && wanted !== 'listed' && record.status !== wanted) return false;
      if (filter.type !== undefined && record.type !== filter.type) return false;
      if (filter.label !== undefined && (record.label === null || !filter.label(record.label))) return false;
      if (filter.sinceUs === undefined && filter.untilUs === undefined) return true;
      if (record.timestamp === null) return false;
      const at = timeUs(record.timestamp);
      return at >= (filter.sinceUs ?? 0) && at <= (filter.untilUs ?? Number.MAX_SAFE_INTEGER);
    });
    matching.sort((a, b) => b.id - a.id);
    const from = filter.offset ?? 0;
    const page = matching.slice(from, filter.limit === undefined ? undefined : from + filter.limit);
    return {
      backups: page,
      total: matching.length,
      latest: repository.catalog.latestComplete()?.id ?? null,
    };
  }

  #runningRecords(listed: readonly BackupRecord[]): BackupRecord[] {
    return [...this.#creating].flatMap(([operation, { type, label }]) => {
      const id = operation.id;
      if (id === null || listed.some((record) => record.id === id)) return [];
      return [runningRecord(id, type, label, operation.record.startedAtUs)];
    });
  }

  /** LIST's fields and everything else that is known; answers for a damaged one too. */
  async info(reference: BackupReference): Promise<Record<string, unknown>> {
    const entry = await this.#resolve(reference);
    const { repository } = this.#options;
    const verdicts = new Map(entry.state.verdicts.map((verdict) => [verdict.name, verdict.verdict]));
    const proven = backupRecord(entry).verify_status !== 'never';
    const list = await repository.catalog.fileList(entry).catch(() => null);
    return {
      ...backupRecord(entry),
      files_list:
        list?.files.map(({ name, size, sha256 }) => ({
          name,
          size,
          sha256,
          verdict: verdicts.get(name) ?? (proven ? 'valid' : 'unchecked'),
        })) ?? null,
      segments_list: await this.#segmentsList(entry),
      verifications: entry.state.verifications,
      trigger: entry.manifest?.trigger ?? null,
      host: entry.manifest?.host ?? null,
      versions: entry.manifest?.versions ?? null,
      reason: entry.manifestError?.message ?? entry.state.reason,
      last_restored: entry.state.last_restored,
      database_id: entry.manifest?.database_id ?? null,
      last_commit_at: entry.manifest?.cut.last_commit_at ?? null,
      commit_count: entry.manifest?.cut.commit_count ?? null,
      key_counts: entry.manifest?.cut.key_counts ?? null,
    };
  }

  /** The segments that hold a backup's span now; what of it is missing is not in it. */
  async #segmentsList(entry: BackupEntry): Promise<Record<string, unknown>[]> {
    const { segments } = this.#options.repository;
    const span = entry.manifest?.span;
    if (span == null) return [];
    await segments.refresh();
    await segments.load(segments.entries().filter((segment) => inSpan(segment, span)));
    const proven = backupRecord(entry).verify_status !== 'never';
    return segments
      .entries()
      .filter((segment) => inSpan(segment, span))
      .sort((a, b) => a.from - b.from)
      .map(({ key, sizeBytes, from, to, header, error }) => ({
        name: key,
        size: sizeBytes,
        sequence_from: from,
        sequence_to: to,
        commits: header?.commits ?? null,
        verdict: error !== null ? 'corrupt' : proven ? 'valid' : 'unchecked',
      }));
  }

  /** VERIFY of one backup. */
  async verify(reference: BackupReference, mode: VerifyMode): Promise<Started<VerifyRecord>> {
    const entry = await this.#resolve(reference);
    await this.#options.repository.segments.refresh();
    return this.#options.operations.start({ operation: 'verify', ids: [entry.id], exclusive: false }, (operation) =>
      verifyBackup(this.#verifyContext(), this.#current(entry), mode, operation, new Map()),
    );
  }

  /** VERIFY ALL: every backup is checked, then one error names all that are bad. */
  async verifyAll(mode: VerifyMode): Promise<Started<VerifyRecord[]>> {
    const { repository, operations } = this.#options;
    await repository.refresh();
    await repository.segments.refresh();
    const entries = repository.catalog.entries();
    const ids = entries.map((entry) => entry.id);
    return operations.start({ operation: 'verify', ids, exclusive: false }, async (operation) => {
      const checked = new Map();
      const valid: VerifyRecord[] = [];
      const errors: { id: number; error: CairnError }[] = [];
      for (const entry of entries) {
        operation.checkpoint();
        const current = repository.catalog.get(entry.id);
        if (current === null) continue;
        try {
          valid.push(await verifyBackup(this.#verifyContext(), current, mode, operation, checked));
        } catch (thrown) {
          const error = toCairnError(thrown, 'BACKUPVERIFY');
          if (error.code === 'CANCELLED' || error.code === 'NOSPACE') throw error;
          errors.push({ id: entry.id, error });
        }
      }
      const archive = await verifyArchive({ repository }, mode, operation, checked);
      if (errors.length > 0) throw allErrors(errors, entries.length, archive);
      if (archive !== null) throw archive;
      return valid;
    });
  }

  /** RESTORE in place, TO a directory, or PREVIOUS. */
  async restore(request: RestoreOptions): Promise<Started<RestoreRecord>> {
    const { operations } = this.#options;
    const context = this.#restoreContext();
    if (request.backup === 'PREVIOUS') {
      return operations.start({ operation: 'restore', exclusive: true }, (operation) =>
        restorePrevious(context, request, operation),
      );
    }
    const { backup, target } = request;
    // With a target, LATEST is no backup yet: the base is chosen when the way is planned.
    const entry = target !== null && backup === 'LATEST' ? null : await this.#resolve(backup);
    const ids = entry === null ? [] : [entry.id];
    const path = request.to === null ? null : await targetPath(this.#options.restoreDirectory, request.to);
    return operations.start({ operation: 'restore', ids, exclusive: path === null }, async (operation) => {
      operation.phase = 'plan';
      if (path !== null) await operations.about(operation, ids, [partialPath(path, operation)]);
      return this.#restored(request, entry, operation, (source) =>
        path === null
          ? restoreInPlace(context, source, request, operation)
          : restoreTo(context, source, path, operation),
      );
    });
  }

  /** What a restore would do; nothing is written. */
  async restoreDryRun(request: RestoreOptions): Promise<RestoreRecord> {
    const { operations } = this.#options;
    const context = this.#restoreContext();
    const { backup } = request;
    if (backup === 'PREVIOUS') return previousDryRun(context, request.ifTimeline);
    const entry = request.target !== null && backup === 'LATEST' ? null : await this.#resolve(backup);
    const target = request.to === null ? 'in-place' : await targetPath(this.#options.restoreDirectory, request.to);
    const ids = entry === null ? [] : [entry.id];
    const { done } = operations.start(
      { operation: 'restore', ids, exclusive: false, unrecorded: true },
      async (operation) => {
        const source = await this.#source(request, entry);
        try {
          return await restoreDryRun(context, source, target, operation, this.#measuredSpeed(), request.ifTimeline);
        } finally {
          source.release();
        }
      },
    );
    return done;
  }

  /** Runs a restore out of a backup: damage that it finds marks the backup, success is remembered with it. */
  async #restored(
    request: RestoreOptions,
    asked: BackupEntry | null,
    operation: Operation,
    run: (source: Source) => Promise<RestoreRecord>,
  ): Promise<RestoreRecord> {
    const { repository, operations, log } = this.#options;
    let entry = asked;
    try {
      const source = await this.#source(request, asked);
      try {
        entry = repository.catalog.get(source.id) ?? asked;
        if (asked === null) await operations.about(operation, [source.id]);
        const record = await run(source);
        log.info('backup restored', {
          id: source.id,
          target: record.target,
          sequence: record.sequence,
          commitsReplayed: record.commits_replayed,
          durationMs: record.duration_ms,
          downtimeMs: record.downtime_ms,
        });
        await this.#noteRestored(source.id, record);
        return record;
      } finally {
        source.release();
      }
    } catch (thrown) {
      const error = toCairnError(thrown, 'RESTOREFAILED');
      if (!operation.signal.aborted && entry !== null) await this.#noteDamage(entry, request, error);
      throw error;
    }
  }

  async #noteRestored(id: number, record: RestoreRecord): Promise<void> {
    const { repository, clock, log } = this.#options;
    if (!(await repository.isWritable())) return;
    const last = {
      at: formatTime(clock.nowUs()),
      target: record.target === 'in-place' ? 'in-place' : basename(record.target),
      duration_ms: record.duration_ms ?? 0,
    };
    await repository.catalog
      .updateState(id, true, (state) => ({ ...state, last_restored: last }))
      .catch((error: unknown) => log.warn('the restore could not be noted in the backup', { id, error }));
  }

  /** What a restore found wrong with files is the backup's; a damaged segment on the way to a target is not. */
  async #noteDamage(entry: BackupEntry, request: RestoreOptions, error: CairnError): Promise<void> {
    const isSegments = error.details.key !== undefined || error.details.segments !== undefined;
    if (request.target !== null && isSegments) return;
    await markDamaged(this.#verifyContext(), entry, error);
  }

  async #source(request: RestoreOptions, asked: BackupEntry | null): Promise<Source> {
    const { repository } = this.#options;
    const entry = asked === null ? null : this.#current(asked);
    if (request.target !== null) return this.#moments.source(request.target, request.timeline, entry);
    if (entry === null) throw new CairnError('BACKUPNOTFOUND', 'there is no backup to restore');
    requireOnTimeline(entry, request.timeline);
    await repository.segments.refresh();
    await repository.timelines.refresh();
    return sourceOfBackup(repository, entry);
  }

  /**
   * Bytes a millisecond, as measured: of the last restore, else of the last verification, which reads and hashes as
   * much, else of the last full, which copies as much. null when none ran yet.
   */
  #measuredSpeed(): number | null {
    for (const kind of ['restore', 'verify', 'create'] as const) {
      const last = this.#options.operations.last(
        ({ operation, status, result }) => status === 'ok' && operation === kind && speedOf(result) !== null,
      );
      if (last !== null) return speedOf(last.result);
    }
    return null;
  }

  async delete(id: number, force: boolean): Promise<DeleteRecord> {
    const { repository, operations, log } = this.#options;
    await repository.catalog.refresh();
    if (operations.exclusive() === null) requireDeletable(repository, operations, id, force);
    const { done } = operations.start({ operation: 'delete', ids: [id], exclusive: true }, async () => {
      await repository.writable();
      const record = await deleteBackup(repository, operations, id, force, log);
      log.info('backup deleted', { id, freedBytes: record.freed_bytes });
      this.#repositoryBytes = null;
      return record;
    });
    return done;
  }

  /** Retention now. Options given replace the configured policy for this call. */
  async prune(policy: Partial<RetentionPolicy>, dryRun: boolean): Promise<PruneRecord> {
    const { repository, operations, clock, log, settings } = this.#options;
    const given = policy.maxCount !== undefined || policy.maxAgeUs !== undefined;
    const effective = given ? { maxCount: policy.maxCount ?? 0, maxAgeUs: policy.maxAgeUs ?? 0 } : settings.retention();
    const windowBase = () => this.#windowBase();
    if (dryRun) return prune(repository, operations, effective, clock.nowUs(), true, log, windowBase);
    const { done } = operations.start({ operation: 'prune', exclusive: true }, async () => {
      await repository.writable();
      const record = await prune(repository, operations, effective, clock.nowUs(), false, log, windowBase);
      void this.#upkeep.tidy();
      this.#pruneError = null;
      this.#repositoryBytes = null;
      if (record.deleted.length > 0)
        log.info('backups pruned', {
          deleted: record.deleted,
          freedBytes: record.freed_bytes,
        });
      return record;
    });
    return done;
  }

  async setPinned(id: number, pinned: boolean): Promise<void> {
    const { repository } = this.#options;
    await repository.refresh();
    if (repository.catalog.get(id) === null) throw notFound(id);
    await repository.writable();
    await repository.inTurn(async () => {
      const entry = repository.catalog.get(id);
      if (entry === null) throw notFound(id);
      if (entry.state.pinned === pinned && entry.stateKnown) return;
      await repository.catalog.updateState(id, true, (state) => ({
        ...state,
        pinned,
      }));
    });
  }

  /**
   * This database replaces the one whose repository it is. Its commits go on under a timeline number that the
   * repository does not have yet, so that no sequence means two things there.
   */
  async adoptRepository(repositoryId: string): Promise<Record<string, unknown>> {
    const { repository, operations, live, directory, clock } = this.#options;
    const { done } = operations.start({ operation: 'adoptrepo', exclusive: true }, async (operation) => {
      if (directory === null || directory.live === null) {
        throw new CairnError('REPOFOREIGN', 'this server has no database of its own that could own a repository');
      }
      const before = await repository.header();
      if (
        before !== null &&
        before.database_id === directory.live.database_id &&
        before.repository_id === repositoryId
      ) {
        return {
          repository_id: repositoryId,
          database_id: before.database_id,
          replaced: null,
          timeline: directory.live.timeline,
        };
      }
      const database = live.database;
      if (database === null)
        throw new CairnError('MISCONF', 'the live database is not open; restore in place instead of adopting');
      const timeline = await repository.nextTimeline();
      const header = await repository.adopt(repositoryId, async () => {
        await repository.putTimeline({
          timeline,
          parent: null,
          fork_sequence: database.latestSequence(),
          fork_at: null,
          fork_commit_count: 0,
          created_at: formatTime(clock.nowUs()),
          reason: 'adopted',
          backup: null,
        });
        operation.committed = 'the repository is being taken over';
        await this.#archiver?.turn(() =>
          live.exchange(async () => {
            const present = directory.live;
            if (present === null) throw new CairnError('MISCONF', 'LIVE was lost meanwhile');
            await directory.replaceLive({
              ...present,
              timeline,
              clock_floor_us: Math.max(present.clock_floor_us, live.nowUs()),
            });
            return { database, timeline, kind: live.kind };
          }),
        );
      });
      return {
        repository_id: repositoryId,
        database_id: header.database_id,
        replaced: before?.database_id ?? null,
        timeline,
      };
    });
    return done;
  }

  /** The overview, or one operation's outcome. */
  async status(id: number | null): Promise<StatusRecord> {
    const { operations, clock } = this.#options;
    return statusRecord(operations, id, {
      pruneError: this.#pruneError,
      lag: this.#archiver?.lag() ?? null,
      nowUs: clock.nowUs(),
    });
  }

  /** Blocks until the newest operation about that backup ended; answers or throws what it did. timeoutMs 0: for ever. */
  async wait(id: number, timeoutMs: number): Promise<unknown> {
    const { operations } = this.#options;
    const found = operations.find(id);
    if (found === null)
      throw new CairnError('BACKUPNOTFOUND', `no operation on backup ${id} is on record`, {
        hint: 'ADMIN.BACKUP INFO shows the backup itself.',
      });
    const { running, record } = found;
    if (running !== null && !(await operations.ended(running, timeoutMs))) {
      throw new CairnError('BACKUPBUSY', `${running.title} still runs after ${timeoutMs} ms`, {
        hint: `Wait longer, or stop it with ADMIN.BACKUP CANCEL ${id}.`,
      });
    }
    if (record.status === 'ok') return record.result;
    const { code, message, hint, details } = record.error ?? {
      code: 'BACKUPFAILED' as const,
      message: 'unknown outcome',
      hint: '',
      details: {},
    };
    throw new CairnError(code, message, { hint, details });
  }

  async cancel(id: number | null): Promise<{ operation: string; id: number | null }> {
    const operation = await this.#options.operations.cancel(id);
    return { operation: operation.record.operation, id: operation.id };
  }

  /** INFO's backup section and the persistence numbers that come from here. */
  async infoFields(): Promise<InfoFields> {
    const { repository, operations, directory, sameDevice, log } = this.#options;
    await repository.catalog
      .refresh()
      .catch((error: unknown) => log.warn('the repository could not be read', { error }));
    this.#repositoryBytes ??= await this.#measureRepository().catch(() => 0);
    return infoFields(repository.catalog, operations, {
      sameDevice,
      repositoryBytes: this.#repositoryBytes + repository.segments.totalBytes,
      timeline: directory?.live?.timeline ?? 0,
      lag: this.#archiver?.lag() ?? null,
      window: this.#moments.summary(),
    });
  }

  /** Of everything but segments, whose sizes are known at any time. */
  async #measureRepository(): Promise<number> {
    let bytes = 0;
    for await (const { key, sizeBytes } of this.#options.repository.store.list('')) {
      if (parseSegmentKey(key) === null) bytes += sizeBytes;
    }
    return bytes;
  }

  tag(name: string): Promise<Tag> {
    return this.#moments.tag(name);
  }

  tags(): Promise<TagRecord[]> {
    return this.#moments.tags();
  }

  untag(name: string): Promise<void> {
    return this.#moments.untag(name);
  }

  window(): Promise<WindowRecord[]> {
    return this.#moments.window();
  }

  /** One round of tidying the archive, as the background does it. */
  tidyArchive(): Promise<void> {
    return this.#upkeep.tidy();
  }

  get saving(): boolean {
    return this.#creating.size > 0;
  }

  /** Unix seconds of the newest complete backup, 0: there is none. */
  async lastSaveSeconds(): Promise<number> {
    const { catalog } = this.#options.repository;
    await catalog.refresh();
    const latest = catalog.latestComplete();
    return latest?.manifest === undefined || latest.manifest === null
      ? 0
      : Math.floor(timeUs(latest.manifest.timestamp) / US_PER_SECOND);
  }

  /** Cancels what runs, waits for it, gives the repository back. */
  async close(): Promise<void> {
    clearInterval(this.#keptTimer);
    await this.#options.operations.stop();
    await this.#upkeep.close();
    await this.#archiver?.close();
    await this.#options.repository.close();
  }

  async #resolve(reference: BackupReference): Promise<BackupEntry> {
    const { repository } = this.#options;
    const { catalog } = repository;
    await repository.refresh();
    const entry = reference === 'LATEST' ? catalog.latestComplete() : catalog.get(reference);
    if (entry !== null) return entry;
    if (reference !== 'LATEST') throw notFound(reference);
    const others = catalog.entries().length;
    throw new CairnError(
      'BACKUPNOTFOUND',
      others === 0 ? 'there is no backup' : `none of the ${others} backups is complete`,
      {
        hint:
          others === 0
            ? 'Make one with ADMIN.BACKUP CREATE.'
            : 'ADMIN.BACKUP LIST shows them; VERIFY says what is wrong with each.',
      },
    );
  }

  /** The entry as it is now: its state may have changed since it was resolved. */
  #current(entry: BackupEntry): BackupEntry {
    return this.#options.repository.catalog.get(entry.id) ?? entry;
  }

  #verifyContext(): VerifyContext {
    const { repository, openDatabase, readPosition, correctPosition, scratchDirectory, clock, log } = this.#options;
    return {
      repository,
      openDatabase,
      readPosition,
      correctPosition,
      scratchDirectory,
      clock,
      log,
    };
  }

  #restoreContext(): RestoreContext {
    const { repository, openDatabase, readPosition, correctPosition, live, directory } = this.#options;
    const { restoreDirectory, settings, clock, log } = this.#options;
    return {
      repository,
      openDatabase,
      readPosition,
      correctPosition,
      live,
      archiver: this.#archiver,
      directory,
      restoreDirectory,
      keepPreviousUs: () => settings.keepPreviousUs(),
      clock,
      log,
    };
  }
}

function inSpan(segment: SegmentEntry, span: NonNullable<Manifest['span']>): boolean {
  return segment.timeline === span.timeline && segment.to > span.sequence_from && segment.from < span.sequence_to;
}

/** Bytes a millisecond of an operation's result; null: it does not tell (an increment moves no files). */
function speedOf(result: unknown): number | null {
  const { bytes, duration_ms: ms, size, type } = (result ?? {}) as Partial<Record<string, unknown>>;
  const moved = type === 'full' ? size : bytes;
  return typeof moved === 'number' && typeof ms === 'number' && moved > 0 && ms > 0 ? moved / ms : null;
}

/** What a running create is called; AUTO decides later. */
function runningType(type: CreateType): string | null {
  return type === 'auto' ? null : type;
}

function refusedIncrement(type: string, { reason, gap }: Impossible): CairnError {
  return new CairnError(gap ? 'WALGAP' : 'BACKUPTYPE', `the backup cannot be ${type}: ${reason}`, {
    hint: 'Take a full backup, or leave STRICT out: it then becomes one by itself.',
  });
}

/** RESTORE id TIMELINE n without a target: a guard, since a backup knows its own line. */
function requireOnTimeline({ id, manifest }: BackupEntry, timeline: number | null): void {
  if (timeline === null || manifest === null || manifest.timeline === timeline) return;
  throw new CairnError('PITRRANGE', `backup ${id} is of timeline ${manifest.timeline}, not ${timeline}`, {
    hint: 'Leave TIMELINE out, or add the moment with AT, SEQ or TAG.',
  });
}

function allErrors(errors: { id: number; error: CairnError }[], total: number, archive: CairnError | null): CairnError {
  const order = ['BACKUPMANIFEST', 'BACKUPINCOMPLETE', 'BACKUPCORRUPT'] as const;
  const code = order.find((candidate) => errors.some(({ error }) => error.code === candidate)) ?? 'BACKUPVERIFY';
  const counts = new Map<string, number>();
  for (const { error } of errors) counts.set(error.code, (counts.get(error.code) ?? 0) + 1);
  const counted = [...counts].map(([name, count]) => `${count} ${name}`).join(', ');
  const ids = errors.map(({ id }) => id);
  const more = archive === null ? '' : `; ${archive.message}`;
  return new CairnError(
    code,
    `${errors.length} of ${total} backups are not valid (${counted}): ${ids.join(', ')}${more}`,
    {
      hint: 'ADMIN.BACKUP INFO of each shows what is wrong with it.',
      details: { ids },
    },
  );
}

function timeUs(text: string): number {
  return parseTime(text).us;
}
