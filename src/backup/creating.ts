/**
 * CREATE as an operation: id, kind, what an increment became, retention, and what is running meanwhile. The steps of a
 * full are in create.ts, those of an increment in increment.ts.
 */
import { CairnError, toCairnError } from '../base/errors.js';
import { faultPoint } from '../base/fault-points.js';
import { type CreateContext, createFull, type Trigger } from './create.js';
import { createIncrement, type Impossible, type IncrementRequest } from './increment.js';
import type { Operation, Started } from './operations.js';
import { type BackupRecord, backupRecord, type CreateRecord, runningRecord } from './records.js';
import { prune, removeLeftovers } from './removal.js';
import type { RetentionPolicy } from './retention.js';
import type { BackupParts } from './service-parts.js';
import { TableHashes } from './table-hashes.js';

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

export class Creating {
  readonly #parts: BackupParts;
  readonly #tableHashes = new TableHashes();
  readonly #running = new Map<Operation, { type: string | null; label: string | null }>();
  /** Why the last retention failed; null: it did not. */
  pruneError: string | null = null;

  constructor(parts: BackupParts) {
    this.#parts = parts;
  }

  get isRunning(): boolean {
    return this.#running.size > 0;
  }

  /** Starts a backup. `begun` resolves with the running record once the id is known, `done` with the finished one. */
  start(request: CreateOptions): Started<CreateRecord> & { begun: Promise<CreateRecord> } {
    const { operations, repository, clock } = this.#parts;
    let begin: (record: CreateRecord) => void = () => {};
    let fail: (error: unknown) => void = () => {};
    const begun = new Promise<CreateRecord>((resolve, reject) => {
      begin = resolve;
      fail = reject;
    });
    begun.catch(() => undefined);
    const started = operations.start({ operation: 'create', exclusive: true }, async (operation) => {
      try {
        this.#running.set(operation, { type: runningType(request.type), label: request.label });
        const parts = this.#createParts();
        await repository.writable();
        const { id, kept } = await repository.allocateId();
        const begunUs = clock.nowUs();
        const idKept = kept.then(() => {
          begin({
            ...runningRecord(id, runningType(request.type), request.label, begunUs),
            promoted: null,
            pruned: [],
          });
        });
        idKept.catch(() => undefined); // awaited below
        try {
          await operations.about(operation, [id]);
          return await this.#create({ ...parts, idKept }, id, request, operation);
        } finally {
          await idKept;
        }
      } catch (error) {
        fail(error);
        throw error;
      } finally {
        this.#running.delete(operation);
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
    const { repository, settings, log } = this.#parts;
    const verify = request.verify || settings.verifyAfterCreate();
    const promoted = await this.#createAsAsked(context, id, { ...request, verify }, operation);
    const entry = repository.catalog.get(id);
    if (entry === null) throw new CairnError('BACKUPFAILED', `backup ${id} was written but is not in the repository`);
    const record = backupRecord(entry);
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
    this.#parts.log.warn('an increment became a full backup', { id, reason: impossible.reason });
    await createFull(context, id, request, operation);
    return impossible.reason;
  }

  /** Retention after a create: what goes wrong there is reported, the create has succeeded all the same. */
  async #retain(policy: RetentionPolicy): Promise<number[]> {
    const { repository, operations, clock, log, upkeep, windowBase } = this.#parts;
    try {
      const limited = policy.maxCount !== 0 || policy.maxAgeUs !== 0;
      const { record, failure } = limited
        ? await prune(repository, operations, policy, clock.nowUs(), false, log, windowBase)
        : { record: null, failure: (await removeLeftovers(repository, log)).failure };
      this.retained(failure);
      void upkeep.tidy();
      return record?.deleted ?? [];
    } catch (thrown) {
      this.retained(toCairnError(thrown, 'BACKUPFAILED'));
      return [];
    }
  }

  /** How retention went, a PRUNE's too; null: well. */
  retained(failure: CairnError | null): void {
    this.pruneError = failure?.line ?? null;
    if (failure !== null) this.#parts.log.error('retention failed', { error: failure });
  }

  #createParts(): Omit<CreateContext, 'idKept'> {
    const { live, archiver, directory, repository, clock, log, host, versions } = this.#parts;
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

  /** What is being made and is not listed yet. */
  runningRecords(isListed: (id: number) => boolean): BackupRecord[] {
    return [...this.#running].flatMap(([operation, { type, label }]) => {
      const id = operation.id;
      if (id === null || isListed(id)) return [];
      return [runningRecord(id, type, label, operation.record.startedAtUs)];
    });
  }
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
