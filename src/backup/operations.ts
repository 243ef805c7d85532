/**
 * What is running, what has run, and what may run beside what.
 *
 *   exclusive   create, restore in place, delete, prune, adopt: one at a time, the second gets BACKUPBUSY at once
 *   beside      verify and restore-to run next to them and to each other
 *
 * Every operation leaves two lines in `<dir>/operations.jsonl`: one when it begins, one when it ends. A line that
 * began and never ended is what a crash leaves; the next start closes it as interrupted and removes its paths.
 * The last 1,000 outcomes stay readable across restarts, results included, so that WAIT and STATUS can answer.
 */

import type { WallClock } from '../base/clock.js';
import { CairnError, type ErrorCode, toCairnError } from '../base/errors.js';
import { formatTime } from '../base/time.js';
import { recode } from '../storage/index.js';
import type { Journal } from './journal.js';

export type OperationName = 'create' | 'restore' | 'verify' | 'delete' | 'prune' | 'adoptrepo' | 'pin' | 'sweep';

/** Plain JSON, so that it survives a restart. */
export type OperationResult = unknown;

export interface OperationError {
  code: ErrorCode;
  message: string;
  hint: string;
  details: Record<string, unknown>;
}

export interface OperationRecord {
  /** Rising; also across restarts. */
  number: number;
  operation: OperationName;
  /** The backup it is about (VERIFY ALL: all of them); empty when none is. */
  ids: number[];
  startedAtUs: number;
  finishedAtUs: number | null;
  status: 'running' | 'ok' | 'err' | 'cancelled';
  error: OperationError | null;
  result: OperationResult;
  /** What to remove when it never ended. */
  paths: string[];
}

export interface OperationStart {
  operation: OperationName;
  ids?: number[];
  exclusive: boolean;
  paths?: string[];
  /** Short internal work that nobody asks after (pin, sweep) is not journalled. */
  unrecorded?: boolean;
}

const KEPT_OUTCOMES = 1000;

/** The handle that a running operation reports through. */
export class Operation {
  readonly record: OperationRecord;
  phase = 'starting';
  bytesDone = 0;
  /** null until it is known. */
  bytesTotal: number | null = null;
  /** Set when CANCEL can no longer stop it; the text says why. */
  committed: string | null = null;
  readonly exclusive: boolean;
  readonly #abort = new AbortController();

  constructor(record: OperationRecord, exclusive: boolean) {
    this.record = record;
    this.exclusive = exclusive;
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  get id(): number | null {
    return this.record.ids[0] ?? null;
  }

  /** e.g. "create of backup 7". */
  get title(): string {
    const ids = this.record.ids;
    if (ids.length === 0) return this.record.operation;
    if (ids.length === 1) return `${this.record.operation} of backup ${ids[0]}`;
    return `${this.record.operation} of ${ids.length} backups`;
  }

  readonly progress = (bytes: number): void => {
    this.bytesDone += bytes;
  };

  /** Throws CANCELLED when the operation was asked to stop; call it between steps. */
  checkpoint(): void {
    if (this.signal.aborted) throw new CairnError('CANCELLED', `${this.title} was cancelled`);
  }

  cancel(): void {
    this.#abort.abort(new CairnError('CANCELLED', `${this.title} was cancelled`));
  }
}

/** A started operation: how to look at it while it runs, and its end. */
export interface Started<T> {
  operation: Operation;
  done: Promise<T>;
}

export class Operations {
  readonly #running = new Set<Operation>();
  readonly #ends = new Map<Operation, Promise<unknown>>();
  readonly #past: OperationRecord[];
  readonly #journal: Journal<OperationRecord>;
  readonly #clock: WallClock;
  #nextNumber: number;
  #stopping = false;

  private constructor(
    journal: Journal<OperationRecord>,
    clock: WallClock,
    past: OperationRecord[],
    nextNumber: number,
  ) {
    this.#journal = journal;
    this.#clock = clock;
    this.#past = past;
    this.#nextNumber = nextNumber;
  }

  /**
   * Reads the journal, closes what a crash left open, compacts it. `clear` removes what such an operation left: before it counts
   * as closed, because a start that is killed in between would leave that to nobody.
   */
  static async open(
    journal: Journal<OperationRecord>,
    clock: WallClock,
    clear: (interrupted: OperationRecord) => Promise<void>,
  ): Promise<{ operations: Operations; interrupted: OperationRecord[] }> {
    const byNumber = new Map<number, OperationRecord>();
    for (const record of await journal.read()) byNumber.set(record.number, record);
    const interrupted: OperationRecord[] = [];
    for (const record of byNumber.values()) {
      if (record.status !== 'running') continue;
      await clear(record);
      interrupted.push(structuredClone(record));
      record.status = 'err';
      record.finishedAtUs = clock.nowUs();
      const code = fallbackOf(record.operation);
      record.error = {
        code,
        message: `${record.operation} was interrupted: the server stopped while it ran`,
        hint: 'Nothing half-made was kept. Run it again.',
        details: {},
      };
    }
    const all = [...byNumber.values()].sort((a, b) => a.number - b.number);
    const past = all.filter((record, index) => index >= all.length - KEPT_OUTCOMES || isLastCreate(all, record));
    await journal.rewrite(past);
    const nextNumber = (all.at(-1)?.number ?? 0) + 1;
    return {
      operations: new Operations(journal, clock, past, nextNumber),
      interrupted,
    };
  }

  /**
   * Starts `body`. Throws BACKUPBUSY at once when it is exclusive and another exclusive one runs. The returned
   * promise rejects with a CairnError; the registry itself always handles the rejection too.
   */
  start<T>(start: OperationStart, body: (operation: Operation) => Promise<T>): Started<T> {
    if (this.#stopping) {
      throw new CairnError('CANCELLED', 'the server is stopping', {
        hint: 'Try again once it runs.',
      });
    }
    if (start.exclusive) {
      const other = this.exclusive();
      if (other !== null) throw busy(other);
    }
    const record: OperationRecord = {
      number: this.#nextNumber++,
      operation: start.operation,
      ids: start.ids ?? [],
      startedAtUs: this.#clock.nowUs(),
      finishedAtUs: null,
      status: 'running',
      error: null,
      result: null,
      paths: start.paths ?? [],
    };
    const operation = new Operation(record, start.exclusive);
    this.#running.add(operation);
    const done = this.#run(operation, body, start.unrecorded !== true);
    this.#ends.set(operation, done);
    done.catch(() => undefined).finally(() => this.#ends.delete(operation));
    return { operation, done };
  }

  async #run<T>(operation: Operation, body: (operation: Operation) => Promise<T>, recorded: boolean): Promise<T> {
    const { record } = operation;
    try {
      if (recorded) await this.#journal.append(record);
      const result = await body(operation);
      record.status = 'ok';
      record.result = result;
      return result;
    } catch (thrown) {
      const error = operation.signal.aborted
        ? new CairnError('CANCELLED', `${operation.title} was cancelled`)
        : toCairnError(recode(thrown, fallbackOf(record.operation)), fallbackOf(record.operation));
      record.status = error.code === 'CANCELLED' ? 'cancelled' : 'err';
      record.error = {
        code: error.code,
        message: error.message,
        hint: error.hint,
        details: error.details,
      };
      throw error;
    } finally {
      record.finishedAtUs = this.#clock.nowUs();
      this.#running.delete(operation);
      if (recorded) {
        this.#past.push(record);
        if (this.#past.length > KEPT_OUTCOMES * 2) this.#past.splice(0, this.#past.length - KEPT_OUTCOMES);
        await this.#journal.append(record).catch(() => undefined);
      }
    }
  }

  /** An interrupted operation turns out to have reached its goal: what is durable decides, not how its server ended. */
  async reached(number: number, result: OperationResult): Promise<void> {
    const record = this.#past.find((past) => past.number === number);
    if (record === undefined) return;
    record.status = 'ok';
    record.error = null;
    record.result = result;
    await this.#journal.append(record);
  }

  /**
   * Names more backups of a running operation, once they are known, and what is to be removed when it never ends. What is made
   * after that can only be found again by this record, so it is durable first.
   */
  async about(operation: Operation, ids: number[], paths: string[] = []): Promise<void> {
    operation.record.ids = ids;
    operation.record.paths = [...operation.record.paths, ...paths];
    await this.#journal.append(operation.record, paths.length > 0);
  }

  exclusive(): Operation | null {
    for (const operation of this.#running) if (operation.exclusive) return operation;
    return null;
  }

  running(): Operation[] {
    return [...this.#running];
  }

  /** A running operation that uses this backup, so that it may not be deleted. */
  using(id: number): Operation | null {
    for (const operation of this.#running) {
      const { operation: name, ids } = operation.record;
      if ((name === 'verify' || name === 'restore' || name === 'create') && ids.includes(id)) return operation;
    }
    return null;
  }

  /** The newest operation about a backup: a running one before ended ones. */
  find(id: number): { running: Operation | null; record: OperationRecord } | null {
    let found: Operation | null = null;
    for (const operation of this.#running) if (operation.record.ids.includes(id)) found = operation;
    if (found !== null) return { running: found, record: found.record };
    const record = this.#past.findLast((past) => past.ids.includes(id));
    return record === undefined ? null : { running: null, record };
  }

  /** The newest ended operation that passes. */
  last(passes: (record: OperationRecord) => boolean): OperationRecord | null {
    return this.#past.findLast(passes) ?? null;
  }

  /** Resolves when the operation ended, whatever its end; false when the timeout (ms, 0: none) or the signal came first. */
  async ended(operation: Operation, timeoutMs: number, signal?: AbortSignal): Promise<boolean> {
    const end = (this.#ends.get(operation) ?? Promise.resolve()).then(
      () => true,
      () => true,
    );
    if (timeoutMs === 0 && signal === undefined) return end;
    let timer: NodeJS.Timeout | undefined;
    let stop = (): void => {};
    const timeout = new Promise<boolean>((resolve) => {
      stop = () => resolve(false);
      if (timeoutMs > 0) timer = setTimeout(stop, timeoutMs);
      if (signal?.aborted) stop();
      else signal?.addEventListener('abort', stop);
    });
    try {
      return await Promise.race([end, timeout]);
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', stop);
    }
  }

  /** Stops one operation and waits for its end. Without an id: the exclusive one, else the newest. */
  async cancel(id: number | null): Promise<Operation> {
    const operation =
      id === null ? (this.exclusive() ?? this.running().at(-1) ?? null) : (this.find(id)?.running ?? null);
    if (operation === null) throw new CairnError('ERR', 'no backup operation is running');
    if (operation.committed !== null) {
      throw new CairnError('BACKUPINUSE', `${operation.title} can no longer be cancelled: ${operation.committed}`, {
        hint: 'It ends by itself in a moment; WAIT for it.',
      });
    }
    operation.cancel();
    await this.ended(operation, 0);
    return operation;
  }

  /** Refuses new ones, cancels what can be cancelled, waits for the rest. */
  async stop(): Promise<void> {
    this.#stopping = true;
    const ends = this.running().map((operation) => {
      if (operation.committed === null) operation.cancel();
      return this.ended(operation, 0);
    });
    await Promise.all(ends);
    await this.#journal.close();
  }
}

/** The code for what has no more specific one. */
function fallbackOf(operation: OperationName): ErrorCode {
  if (operation === 'restore') return 'RESTOREFAILED';
  return operation === 'verify' ? 'BACKUPVERIFY' : 'BACKUPFAILED';
}

function busy(other: Operation): CairnError {
  const since = formatTime(other.record.startedAtUs);
  const id = other.id;
  const hint =
    id === null
      ? 'Try again when it has ended; ADMIN.BACKUP STATUS shows its progress.'
      : `Wait for it with ADMIN.BACKUP WAIT ${id}, or stop it with ADMIN.BACKUP CANCEL ${id}.`;
  return new CairnError('BACKUPBUSY', `${other.title} is running since ${since}`, {
    hint,
    details: { operation: other.record.operation, id },
  });
}

/** True for the newest successful and the newest failed create: STATUS names them however long ago they were. */
function isLastCreate(all: OperationRecord[], record: OperationRecord): boolean {
  if (record.operation !== 'create') return false;
  return all.findLast((other) => other.operation === 'create' && other.status === record.status) === record;
}
