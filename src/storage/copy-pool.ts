/**
 * Copies and hashes files beside the event loop, so many at once: a second core helps, a third copy would only compete. The
 * queue holds paths, never bytes, so memory is one chunk for each that runs.
 *
 *   queued ──▶ running ──▶ done | failed
 *      └── abort ──┴──▶ CANCELLED (a running one answers once it has stopped and removed its target)
 */
import { availableParallelism } from 'node:os';
import { CairnError } from '../base/errors.js';
import {
  COPY_BYTES,
  COPY_CANCEL,
  COPY_REST,
  type CopyFailure,
  type CopyRequest,
  type FileCalls,
  newCopyControl,
} from '../base/file-calls.js';
import { cancelled, storageError } from './storage-error.js';
import type { Digested, TransferOptions } from './store.js';

export interface CopyPoolOptions {
  /** Copies at once, at most. */
  workers?: number;
  /** The unit of read, hash and write: small enough for a processor's cache. */
  chunkBytes?: number;
  /** How busy the event loop is, from 0 to 1, since it was asked last. */
  load?: () => number;
}

interface Job {
  request: CopyRequest;
  options: TransferOptions;
  control: BigInt64Array;
  /** Bytes that onProgress has been told of. */
  toldBytes: number;
  resolve(result: Digested): void;
  reject(error: unknown): void;
  /** Stops listening to the signal. */
  release(): void;
}

const PROGRESS_INTERVAL_MS = 20;

export class CopyPool {
  readonly #copy: FileCalls['copy'];
  readonly #workers: number;
  readonly #chunkBytes: number;
  readonly #load: () => number;
  readonly #running = new Set<Job>();
  readonly #queue: Job[] = [];
  readonly #unsettled = new Set<Promise<unknown>>();
  #progress: NodeJS.Timeout | null = null;
  #lastLoad = 0;
  #closed = false;

  constructor(copy: FileCalls['copy'], options: CopyPoolOptions = {}) {
    this.#copy = copy;
    this.#workers = options.workers ?? 2;
    this.#chunkBytes = options.chunkBytes ?? 256 * 1024;
    this.#load = options.load ?? eventLoopLoad(this.#workers);
  }

  /** Copies that run now. */
  get running(): number {
    return this.#running.size;
  }

  /**
   * Copies (targetPath null: only hashes) and answers the hash of what it read. Resolves when the target's bytes are
   * synced; its directory is the caller's to sync. A failed or cancelled copy leaves no target; one that existed before
   * is an error and stays.
   */
  copy(request: CopyRequest, options: TransferOptions = {}): Promise<Digested> {
    const running = this.#enqueue(request, options);
    this.#unsettled.add(running);
    const settled = () => this.#unsettled.delete(running);
    running.then(settled, settled);
    return running;
  }

  /** Cancels what is queued and running, and waits for it. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const job of this.#queue.splice(0)) finish(job, () => job.reject(cancelled(describeRequest(job.request))));
    for (const job of this.#running) Atomics.store(job.control, COPY_CANCEL, 1n);
    await Promise.allSettled(this.#unsettled);
  }

  #enqueue(request: CopyRequest, options: TransferOptions): Promise<Digested> {
    return new Promise((resolve, reject) => {
      if (this.#closed || options.signal?.aborted === true) {
        reject(cancelled(describeRequest(request)));
        return;
      }
      const abort = () => this.#cancel(job);
      const release = () => options.signal?.removeEventListener('abort', abort);
      const job: Job = { request, options, control: newCopyControl(), toldBytes: 0, resolve, reject, release };
      options.signal?.addEventListener('abort', abort);
      this.#queue.push(job);
      this.#dispatch();
    });
  }

  #cancel(job: Job): void {
    Atomics.store(job.control, COPY_CANCEL, 1n);
    const at = this.#queue.indexOf(job);
    if (at < 0) return; // running: its thread looks at the control and answers
    this.#queue.splice(at, 1);
    finish(job, () => job.reject(cancelled(describeRequest(job.request))));
  }

  #dispatch(): void {
    while (this.#running.size < this.#workers) {
      // What is gentle waits for what is not.
      const urgent = this.#queue.findIndex(({ options }) => options.gentle !== true);
      const [job] = this.#queue.splice(Math.max(0, urgent), 1);
      if (job === undefined) break;
      this.#running.add(job);
      void this.#run(job);
    }
    if (this.#running.size > 0) {
      this.#progress ??= setInterval(() => this.#look(), PROGRESS_INTERVAL_MS);
    } else if (this.#progress !== null) {
      clearInterval(this.#progress);
      this.#progress = null;
      this.#lastLoad = 0;
    }
  }

  /** Settles the job; never throws. */
  async #run(job: Job): Promise<void> {
    let settle: () => void;
    try {
      const outcome = await this.#copy({ ...job.request, chunkBytes: this.#chunkBytes, control: job.control });
      tell(job);
      if (outcome.kind === 'done') {
        settle = () => job.resolve({ sha256: outcome.sha256, sizeBytes: outcome.sizeBytes });
      } else {
        const error = await toError(job.request, outcome);
        settle = () => job.reject(error);
      }
    } catch (error) {
      settle = () => job.reject(error);
    }
    this.#running.delete(job);
    finish(job, settle);
    this.#dispatch();
  }

  #look(): void {
    const load = this.#load();
    const isUrgent = this.#queue.some(({ options }) => options.gentle !== true);
    // What lasted for one look alone was the work around the copies themselves.
    const rest = isUrgent ? 0 : restPercent(Math.min(load, this.#lastLoad));
    this.#lastLoad = load;
    for (const job of this.#running) {
      tell(job);
      if (job.options.gentle === true) Atomics.store(job.control, COPY_REST, BigInt(rest));
    }
  }
}

/** What the event loop does is for clients, nearly all of it, while large files are copied: for small ones nobody rests. */
function eventLoopLoad(workers: number): () => number {
  // With a core for each there is nothing to take from clients.
  if (availableParallelism() > workers + 1) return () => 0;
  let last = performance.eventLoopUtilization();
  return () => {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, last);
    last = now;
    return utilization;
  };
}

/** Percent of the time of its work for which a gentle copy rests: none while the event loop has time; it never gets less than a twentieth. */
function restPercent(load: number): number {
  return Math.round(1900 * Math.min(1, Math.max(0, (load - 0.25) / 0.35)));
}

function tell(job: Job): void {
  const bytes = Number(Atomics.load(job.control, COPY_BYTES));
  if (bytes === job.toldBytes) return;
  job.options.onProgress?.(bytes - job.toldBytes);
  job.toldBytes = bytes;
}

function finish(job: Job, settle: () => void): void {
  job.release();
  settle();
}

async function toError(request: CopyRequest, failure: CopyFailure): Promise<CairnError> {
  const doing = describeRequest(request);
  if (failure.kind === 'cancelled') return cancelled(doing);
  const path = (failure.side === 'target' ? request.targetPath : null) ?? request.sourcePath;
  const { kind, side, copiedBytes } = failure;
  const details = { reason: kind, side, copiedBytes, sourcePath: request.sourcePath, targetPath: request.targetPath };
  if (kind !== 'system') {
    const hint = kind === 'short' ? 'The file changed or is damaged; look at the disk that holds it.' : undefined;
    return new CairnError('BACKUPFAILED', `cannot ${doing}: ${failure.message}`, {
      details: { ...details, errno: failure.errno, path },
      ...(hint === undefined ? {} : { hint }),
    });
  }
  const thrown = Object.assign(new Error(failure.message), failure.errno === null ? {} : { code: failure.errno });
  const needed = request.sizeBytes;
  return storageError(thrown, { doing, path, details, ...(needed === null ? {} : { neededBytes: needed }) });
}

function describeRequest(request: CopyRequest): string {
  return request.targetPath === null
    ? `read ${request.sourcePath}`
    : `copy ${request.sourcePath} to ${request.targetPath}`;
}
