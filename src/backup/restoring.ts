/**
 * RESTORE as an operation: which backup or moment is meant, what it may run beside, and what is remembered of how it went.
 * The steps are in restore.ts, the way to a moment in moments.ts.
 */
import { basename } from 'node:path';
import { CairnError, toCairnError } from '../base/errors.js';
import { formatTime } from '../base/time.js';
import type { BackupEntry } from './catalog.js';
import type { TargetWords } from './moments.js';
import type { Operation, Started } from './operations.js';
import type { RestoreRecord } from './records.js';
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
import { type BackupParts, type BackupReference, currentEntry, resolveBackup, verifyContext } from './service-parts.js';
import { type Source, sourceOfBackup } from './source.js';
import { markDamaged } from './verification.js';

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

export class Restoring {
  readonly #parts: BackupParts;

  constructor(parts: BackupParts) {
    this.#parts = parts;
  }

  /** RESTORE in place, TO a directory, or PREVIOUS. */
  async start(request: RestoreOptions): Promise<Started<RestoreRecord>> {
    const { operations } = this.#parts;
    const context = this.#context();
    if (request.backup === 'PREVIOUS') {
      return operations.start({ operation: 'restore', exclusive: true }, async (operation) => {
        const record = await restorePrevious(context, request, operation);
        this.#log('previous database restored', record);
        return record;
      });
    }
    const { backup, target } = request;
    // With a target, LATEST is no backup yet: the base is chosen when the way is planned.
    const entry = target !== null && backup === 'LATEST' ? null : await resolveBackup(this.#parts.repository, backup);
    const ids = entry === null ? [] : [entry.id];
    const path = request.to === null ? null : await targetPath(this.#parts.restoreDirectory, request.to);
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
  async dryRun(request: RestoreOptions): Promise<RestoreRecord> {
    const { operations } = this.#parts;
    const context = this.#context();
    const { backup } = request;
    if (backup === 'PREVIOUS') return previousDryRun(context, request.ifTimeline);
    const entry =
      request.target !== null && backup === 'LATEST' ? null : await resolveBackup(this.#parts.repository, backup);
    const target = request.to === null ? 'in-place' : await targetPath(this.#parts.restoreDirectory, request.to);
    const ids = entry === null ? [] : [entry.id];
    const { done } = operations.start(
      { operation: 'restore', ids, exclusive: false, unrecorded: true },
      async (operation) => {
        const source = await this.#source(request, entry, operation);
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
    const { repository, operations } = this.#parts;
    let entry = asked;
    try {
      const source = await this.#source(request, asked, operation);
      try {
        entry = repository.catalog.get(source.id) ?? asked;
        if (asked === null) await operations.about(operation, [source.id]);
        const record = await run(source);
        this.#log('backup restored', record);
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

  #log(event: string, record: RestoreRecord): void {
    this.#parts.log.info(event, {
      ...(record.id === null ? {} : { id: record.id }),
      target: record.target,
      sequence: record.sequence,
      ...(record.timeline_new === null ? {} : { timeline: record.timeline, timelineNew: record.timeline_new }),
      commitsReplayed: record.commits_replayed,
      durationMs: record.duration_ms,
      downtimeMs: record.downtime_ms,
    });
  }

  async #noteRestored(id: number, record: RestoreRecord): Promise<void> {
    const { repository, clock, log } = this.#parts;
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
    await markDamaged(verifyContext(this.#parts), entry, error);
  }

  async #source(request: RestoreOptions, asked: BackupEntry | null, { signal }: Operation): Promise<Source> {
    const { repository } = this.#parts;
    const entry = asked === null ? null : currentEntry(repository, asked);
    if (request.target !== null) return this.#parts.moments.source(request.target, request.timeline, entry, signal);
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
      const last = this.#parts.operations.last(
        ({ operation, status, result }) => status === 'ok' && operation === kind && speedOf(result) !== null,
      );
      if (last !== null) return speedOf(last.result);
    }
    return null;
  }

  #context(): RestoreContext {
    const { repository, openDatabase, readPosition, correctPosition, live, directory } = this.#parts;
    const { restoreDirectory, settings, clock, log } = this.#parts;
    return {
      repository,
      openDatabase,
      readPosition,
      correctPosition,
      live,
      archiver: this.#parts.archiver,
      directory,
      restoreDirectory,
      keepPreviousUs: () => settings.keepPreviousUs(),
      clock,
      log,
    };
  }
}

/** RESTORE id TIMELINE n without a target: a guard, since a backup knows its own line. */
function requireOnTimeline({ id, manifest }: BackupEntry, timeline: number | null): void {
  if (timeline === null || manifest === null || manifest.timeline === timeline) return;
  throw new CairnError('PITRRANGE', `backup ${id} is of timeline ${manifest.timeline}, not ${timeline}`, {
    hint: 'Leave TIMELINE out, or add the moment with AT, SEQ or TAG.',
  });
}

/** Bytes a millisecond of an operation's result; null: it does not tell (an increment moves no files). */
function speedOf(result: unknown): number | null {
  const { bytes, duration_ms: ms, size, type } = (result ?? {}) as Partial<Record<string, unknown>>;
  const moved = type === 'full' ? size : bytes;
  return typeof moved === 'number' && typeof ms === 'number' && moved > 0 && ms > 0 ? moved / ms : null;
}
