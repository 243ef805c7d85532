/**
 * Everything that ADMIN.BACKUP can do, free of RESP and sockets: requests in, records out. Creating and restoring have
 * files of their own; what looks, checks, keeps and removes is here. The steps themselves are in the files beside it.
 */
import { CairnError } from '../base/errors.js';
import { formatTime, parseTime } from '../base/time.js';
import { type Manifest, parseSegmentKey, type Tag } from '../format/index.js';
import { ArchiveUpkeep } from './archive-upkeep.js';
import { Archiver } from './archiver.js';
import type { BackupEntry } from './catalog.js';
import { type CreateOptions, Creating } from './creating.js';
import { Moments, type TagRecord } from './moments.js';
import type { OperationRecord, Started } from './operations.js';
import {
  type BackupRecord,
  backupRecord,
  type CreateRecord,
  type DeleteRecord,
  type PruneRecord,
  type RestoreRecord,
  type VerifyMode,
  type VerifyRecord,
} from './records.js';
import { deleteBackup, notFound, prune, requireDeletable } from './removal.js';
import { type RestoreOptions, Restoring } from './restoring.js';
import type { RetentionPolicy } from './retention.js';
import type { SegmentEntry } from './segments.js';
import {
  type BackupParts,
  type BackupReference,
  type BackupServiceOptions,
  currentEntry,
  resolveBackup,
  verifyContext,
} from './service-parts.js';
import { type InfoFields, infoFields, type StatusRecord, statusRecord } from './status.js';
import { readTags } from './tags.js';
import { verifyBackup } from './verification.js';
import { verifyAll } from './verify-all.js';
import type { WindowRecord } from './window.js';
import { baseOfWindow, lostUnasked, segmentsToRemove, type WindowSettings } from './window-policy.js';

export type { CreateOptions, CreateType } from './creating.js';
export type { RestoreOptions } from './restoring.js';
export type { BackupReference, BackupSettings } from './service-parts.js';

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

const KEPT_CHECK_MS = 3_600_000;
const US_PER_SECOND = 1_000_000;

export class BackupService {
  readonly #parts: BackupParts;
  readonly #creating: Creating;
  readonly #restoring: Restoring;
  readonly #keptTimer: NodeJS.Timeout;
  #repositoryBytes: number | null = null;

  constructor(options: BackupServiceOptions) {
    const { live, directory, repository, settings, clock, log } = options;
    const upkeep = new ArchiveUpkeep(repository, () => this.#expendableSegments(), log);
    const archived = () => upkeep.archived();
    const archiver =
      directory === null ? null : new Archiver({ live, directory, repository, settings, clock, log, archived });
    const moments = new Moments({ repository, live, archiver, log });
    this.#parts = { ...options, archiver, upkeep, moments, windowBase: () => this.#windowBase() };
    this.#creating = new Creating(this.#parts);
    this.#restoring = new Restoring(this.#parts);
    this.#keptTimer = setInterval(() => void this.removeOldDatabases(), KEPT_CHECK_MS);
    this.#keptTimer.unref();
  }

  /** First look at the repository: what can be created and swept is, what cannot is logged and reported by commands later. */
  async start(interrupted: readonly OperationRecord[]): Promise<void> {
    const { repository, log, directory } = this.#parts;
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
    await this.#raiseClock();
    await this.removeOldDatabases();
    // Before the first write: a live database that is not what the archive has goes on under another timeline.
    await this.#parts.archiver?.attachEarly();
    this.#parts.archiver?.start();
    void this.#parts.upkeep.tidy();
  }

  /** A create whose manifest is there has succeeded, whatever happened to the server that made it. */
  async #judgeInterrupted(interrupted: readonly OperationRecord[]): Promise<void> {
    const { repository, operations } = this.#parts;
    for (const { operation, number, ids } of interrupted) {
      const entry = operation === 'create' ? repository.catalog.get(ids[0] ?? 0) : null;
      if (entry === null || entry.manifest === null) continue;
      await operations.reached(number, { ...backupRecord(entry), promoted: null, pruned: [] });
    }
  }

  /** The commit clock may not be earlier than a moment that was already given out: a recovery point, a tag. */
  async #raiseClock(): Promise<void> {
    const { repository, live, directory } = this.#parts;
    const own = directory?.live?.database_id ?? null;
    const newest = repository.catalog
      .entries()
      .findLast((entry) => entry.manifest !== null && entry.manifest.database_id === own);
    if (newest?.manifest !== null && newest !== undefined) live.raiseClock(timeUs(newest.manifest.timestamp));
    const header = await repository.header().catch(() => null);
    if (header === null || header.database_id !== own) return;
    const tags = await readTags(repository.store).catch(() => []);
    for (const { timestamp } of tags) live.raiseClock(timeUs(timestamp));
  }

  async removeOldDatabases(): Promise<void> {
    const { directory, settings, clock, log, operations } = this.#parts;
    if (directory === null || operations.exclusive() !== null) return;
    const removed = await directory.pruneKept(settings.keepPreviousUs(), clock.nowUs()).catch((error: unknown) => {
      log.warn('kept databases could not be removed', { error });
      return [];
    });
    if (removed.length > 0) log.info('kept databases removed', { removed });
  }

  /** Starts a backup: see Creating.start. */
  create(request: CreateOptions): Started<CreateRecord> & { begun: Promise<CreateRecord> } {
    const started = this.#creating.start(request);
    const measureAnew = () => {
      this.#repositoryBytes = null;
    };
    started.done.then(measureAnew, measureAnew);
    return started;
  }

  /** RESTORE in place, TO a directory, or PREVIOUS. */
  restore(request: RestoreOptions): Promise<Started<RestoreRecord>> {
    return this.#restoring.start(request);
  }

  /** What a restore would do; nothing is written. */
  restoreDryRun(request: RestoreOptions): Promise<RestoreRecord> {
    return this.#restoring.dryRun(request);
  }

  #windowSettings(): WindowSettings {
    const { settings } = this.#parts;
    return { archiving: settings.archive(), retentionUs: settings.walRetentionUs() };
  }

  #windowBase(): number | null {
    const { repository, clock } = this.#parts;
    return baseOfWindow(repository, this.#parts.archiver?.line() ?? null, this.#windowSettings(), clock.nowUs());
  }

  #expendableSegments(): Promise<string[]> {
    const { repository, clock, archiver, operations } = this.#parts;
    const isCreating = operations.running().some(({ record }) => record.operation === 'create');
    return segmentsToRemove(repository, archiver?.line() ?? null, this.#windowSettings(), clock.nowUs(), isCreating);
  }

  /** Newest first. */
  async list(filter: ListFilter): Promise<{
    backups: BackupRecord[];
    total: number;
    latest: number | null;
  }> {
    const { repository } = this.#parts;
    await repository.refresh();
    const wanted = filter.status ?? 'listed';
    const { catalog } = repository;
    const listed = wanted === 'running' ? [] : catalog.entries().filter((entry) => matches(filter, described(entry)));
    const running = this.#creating
      .runningRecords((id) => catalog.get(id) !== null)
      .filter((record) => (wanted === 'running' || wanted === 'all') && matches(filter, record));
    const matching = [...listed, ...running].sort((one, other) => other.id - one.id);
    const from = filter.offset ?? 0;
    const page = matching.slice(from, filter.limit === undefined ? undefined : from + filter.limit);
    return {
      // Of what is answered alone: a page of ten thousand costs a page.
      backups: page.map((one) => ('state' in one ? backupRecord(one) : one)),
      total: matching.length,
      latest: catalog.latestComplete()?.id ?? null,
    };
  }

  /** LIST's fields and everything else that is known; answers for a damaged one too. */
  async info(reference: BackupReference): Promise<Record<string, unknown>> {
    const entry = await resolveBackup(this.#parts.repository, reference);
    const { repository } = this.#parts;
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
    const { segments } = this.#parts.repository;
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
    const entry = await resolveBackup(this.#parts.repository, reference);
    await this.#parts.repository.segments.refresh();
    return this.#parts.operations.start({ operation: 'verify', ids: [entry.id], exclusive: false }, (operation) =>
      verifyBackup(verifyContext(this.#parts), currentEntry(this.#parts.repository, entry), mode, operation),
    );
  }

  /** VERIFY ALL: every backup and what lies between them is checked, then one error names all that is bad. */
  async verifyAll(mode: VerifyMode): Promise<Started<VerifyRecord[]>> {
    const { repository, operations, archiver, clock } = this.#parts;
    await repository.refresh();
    await repository.segments.refresh();
    const entries = repository.catalog.entries();
    const ids = entries.map((entry) => entry.id);
    return operations.start({ operation: 'verify', ids, exclusive: false }, (operation) =>
      verifyAll(this.#parts, entries, mode, operation, (lost) =>
        lostUnasked(repository, archiver?.line() ?? null, this.#windowSettings(), clock.nowUs(), lost),
      ),
    );
  }

  async delete(id: number, force: boolean): Promise<DeleteRecord> {
    const { repository, operations, log } = this.#parts;
    await repository.catalog.refresh();
    if (operations.exclusive() === null) requireDeletable(repository, operations, id, force);
    const { done } = operations.start({ operation: 'delete', ids: [id], exclusive: true }, async () => {
      await repository.writable();
      this.#repositoryBytes = null;
      const { record, failure } = await deleteBackup(repository, operations, id, force, log);
      if (record.deleted.length > 0) log.info('backup deleted', { id, freedBytes: record.freed_bytes });
      if (failure !== null) throw failure;
      return record;
    });
    return done;
  }

  /** Retention now. Options given replace the configured policy for this call. */
  async prune(policy: Partial<RetentionPolicy>, dryRun: boolean): Promise<PruneRecord> {
    const { repository, operations, clock, log, settings } = this.#parts;
    const given = policy.maxCount !== undefined || policy.maxAgeUs !== undefined;
    const effective = given ? { maxCount: policy.maxCount ?? 0, maxAgeUs: policy.maxAgeUs ?? 0 } : settings.retention();
    const windowBase = () => this.#windowBase();
    if (dryRun) return (await prune(repository, operations, effective, clock.nowUs(), true, log, windowBase)).record;
    const { done } = operations.start({ operation: 'prune', exclusive: true }, async () => {
      await repository.writable();
      this.#repositoryBytes = null;
      const { record, failure } = await prune(repository, operations, effective, clock.nowUs(), false, log, windowBase);
      void this.#parts.upkeep.tidy();
      if (record.deleted.length > 0)
        log.info('backups pruned', {
          deleted: record.deleted,
          freedBytes: record.freed_bytes,
        });
      this.#creating.retained(failure);
      if (failure !== null) throw failure;
      return record;
    });
    return done;
  }

  async setPinned(id: number, pinned: boolean): Promise<void> {
    const { repository } = this.#parts;
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
    const { repository, operations, live, directory } = this.#parts;
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
        operation.committed = 'the repository is being taken over';
        await this.#parts.archiver?.turn(() =>
          live.exchange(async (position) => {
            const present = directory.live;
            if (present === null || position === null) throw new CairnError('MISCONF', 'LIVE was lost meanwhile');
            const nowUs = live.written().throughUs;
            await repository.putTimeline({
              timeline,
              parent: null,
              fork_sequence: position.sequence,
              fork_at: null,
              fork_commit_count: position.commitCount,
              created_at: formatTime(nowUs),
              reason: 'adopted',
              backup: null,
            });
            await directory.replaceLive({
              ...present,
              timeline,
              clock_floor_us: Math.max(present.clock_floor_us, nowUs),
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
    const { operations, clock } = this.#parts;
    return statusRecord(operations, id, {
      pruneError: this.#creating.pruneError ?? this.#parts.upkeep.error?.line ?? null,
      lag: this.#parts.archiver?.lag() ?? null,
      nowUs: clock.nowUs(),
    });
  }

  /**
   * Blocks until the newest operation about that backup ended; answers or throws what it did. timeoutMs 0: for ever.
   * When the signal aborts it is as if the time were over, or its reason is thrown where that is a CairnError.
   */
  async wait(id: number, timeoutMs: number, signal?: AbortSignal): Promise<unknown> {
    const { operations } = this.#parts;
    const found = operations.find(id);
    if (found === null)
      throw new CairnError('BACKUPNOTFOUND', `no operation on backup ${id} is on record`, {
        hint: 'ADMIN.BACKUP INFO shows the backup itself.',
      });
    const { running, record } = found;
    const startedAt = performance.now();
    if (running !== null && !(await operations.ended(running, timeoutMs, signal))) {
      if (signal?.reason instanceof CairnError) throw signal.reason;
      const waitedMs = signal?.aborted ? Math.round(performance.now() - startedAt) : timeoutMs;
      throw new CairnError('BACKUPBUSY', `${running.title} still runs after ${waitedMs} ms`, {
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
    const operation = await this.#parts.operations.cancel(id);
    return { operation: operation.record.operation, id: operation.id };
  }

  /** INFO's backup section and the persistence numbers that come from here. */
  async infoFields(): Promise<InfoFields> {
    const { repository, operations, directory, sameDevice, log } = this.#parts;
    await repository.catalog
      .refresh()
      .catch((error: unknown) => log.warn('the repository could not be read', { error }));
    this.#repositoryBytes ??= await this.#measureRepository().catch(() => 0);
    return infoFields(repository.catalog, operations, {
      sameDevice,
      repositoryBytes: this.#repositoryBytes + repository.segments.totalBytes,
      timeline: directory?.live?.timeline ?? 0,
      lag: this.#parts.archiver?.lag() ?? null,
      window: this.#parts.moments.summary(),
    });
  }

  /** Of everything but segments, whose sizes are known at any time. */
  async #measureRepository(): Promise<number> {
    let bytes = 0;
    for await (const { key, sizeBytes } of this.#parts.repository.store.list('')) {
      if (parseSegmentKey(key) === null) bytes += sizeBytes;
    }
    return bytes;
  }

  tag(name: string): Promise<Tag> {
    return this.#parts.moments.tag(name);
  }

  tags(): Promise<TagRecord[]> {
    return this.#parts.moments.tags();
  }

  untag(name: string): Promise<void> {
    return this.#parts.moments.untag(name);
  }

  window(): Promise<WindowRecord[]> {
    return this.#parts.moments.window();
  }

  /** One round of tidying the archive, as the background does it. */
  tidyArchive(): Promise<void> {
    return this.#parts.upkeep.tidy();
  }

  get saving(): boolean {
    return this.#creating.isRunning;
  }

  /** Unix seconds of the newest complete backup, 0: there is none. */
  async lastSaveSeconds(): Promise<number> {
    const { catalog } = this.#parts.repository;
    await catalog.refresh();
    const latest = catalog.latestComplete();
    return latest?.manifest === undefined || latest.manifest === null
      ? 0
      : Math.floor(timeUs(latest.manifest.timestamp) / US_PER_SECOND);
  }

  /** Cancels what runs, waits for it, gives the repository back. */
  async close(): Promise<void> {
    clearInterval(this.#keptTimer);
    await this.#parts.operations.stop();
    await this.#parts.upkeep.close();
    await this.#parts.archiver?.close();
    await this.#parts.repository.close();
  }
}

function inSpan(segment: SegmentEntry, span: NonNullable<Manifest['span']>): boolean {
  return segment.timeline === span.timeline && segment.to > span.sequence_from && segment.from < span.sequence_to;
}

/** What LIST's filters ask of a backup. */
type Described = Pick<BackupRecord, 'type' | 'status' | 'label' | 'timestamp'>;

function described({ status, manifest }: BackupEntry): Described {
  const { type = null, label = null, timestamp = null } = manifest ?? {};
  return { type, status, label, timestamp };
}

function matches(filter: ListFilter, { type, status, label, timestamp }: Described): boolean {
  const wanted = filter.status ?? 'all';
  if (wanted !== 'all' && status !== wanted) return false;
  if (filter.type !== undefined && type !== filter.type) return false;
  if (filter.label !== undefined && (label === null || !filter.label(label))) return false;
  if (filter.sinceUs === undefined && filter.untilUs === undefined) return true;
  if (timestamp === null) return false;
  const at = timeUs(timestamp);
  return at >= (filter.sinceUs ?? 0) && at <= (filter.untilUs ?? Number.MAX_SAFE_INTEGER);
}

function timeUs(text: string): number {
  return parseTime(text).us;
}
