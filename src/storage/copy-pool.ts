/**
 * Copies and hashes files on worker threads, so that the event loop stays free and a second core helps. Threads start
 * with the first job and end when idle; the queue holds paths, never bytes, so memory is `workers` chunks.
 *
 *   queued ──▶ running ──▶ done | failed
 *      └── abort ──┴──▶ CANCELLED (a running one answers once its thread has stopped and removed the target)
 *
 * A thread that dies (out of memory, a bug) fails the job that it had; the next job gets a new one.
 */
import { unlink } from 'node:fs/promises';
import { Worker } from 'node:worker_threads';
import { CairnError } from '../base/errors.js';
import { ignoreMissing } from '../base/fs.js';
import {
  type CopyFailure,
  type CopyOrder,
  type CopyRequest,
  FLAG_CANCEL,
  FLAG_TARGET_CREATED,
  FLAGS_BYTES,
  type WorkerMessage,
} from './copy-protocol.js';
import { cancelled, storageError } from './storage-error.js';
import type { Digested, TransferOptions } from './store.js';

export type { CopyRequest } from './copy-protocol.js';

export interface CopyPoolOptions {
  /** Threads at most. */
  workers?: number;
  /** The unit of read, hash and write: the memory of one thread. */
  chunkBytes?: number;
  /** A thread without work for so long ends. */
  idleMs?: number;
  /** Another thread program (tests of threads that die). */
  script?: URL;
}

interface Job {
  request: CopyRequest;
  options: TransferOptions;
  flags: Int32Array<SharedArrayBuffer>;
  resolve(result: Digested): void;
  reject(error: unknown): void;
  /** Stops listening to the signal. */
  release(): void;
}

interface Thread {
  worker: Worker;
  job: Job | null;
  idleTimer: NodeJS.Timeout | null;
}

const WORKER_HEAP_MB = 16;

export class CopyPool {
  readonly #workers: number;
  readonly #chunkBytes: number;
  readonly #idleMs: number;
  readonly #script: URL;
  readonly #threads = new Set<Thread>();
  readonly #queue: Job[] = [];
  readonly #unsettled = new Set<Promise<unknown>>();
  #closed = false;

  constructor(options: CopyPoolOptions = {}) {
    this.#workers = options.workers ?? 2;
    this.#chunkBytes = options.chunkBytes ?? 1024 * 1024;
    this.#idleMs = options.idleMs ?? 10_000;
    this.#script = options.script ?? new URL('./copy-worker.js', import.meta.url);
  }

  /** Threads alive now. */
  get threads(): number {
    return this.#threads.size;
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

  /** Cancels what is queued and running, waits for it, and ends the threads. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const job of this.#queue.splice(0)) finish(job, () => job.reject(cancelled(describeRequest(job.request))));
    for (const thread of this.#threads) if (thread.job !== null) Atomics.store(thread.job.flags, FLAG_CANCEL, 1);
    await Promise.allSettled(this.#unsettled);
    await Promise.all([...this.#threads].map((thread) => this.#end(thread)));
  }

  #enqueue(request: CopyRequest, options: TransferOptions): Promise<Digested> {
    return new Promise((resolve, reject) => {
      if (this.#closed || options.signal?.aborted === true) {
        reject(cancelled(describeRequest(request)));
        return;
      }
      const abort = () => this.#cancel(job);
      const release = () => options.signal?.removeEventListener('abort', abort);
      const flags = new Int32Array(new SharedArrayBuffer(FLAGS_BYTES));
      const job: Job = { request, options, flags, resolve, reject, release };
      options.signal?.addEventListener('abort', abort);
      this.#queue.push(job);
      this.#dispatch();
    });
  }

  #cancel(job: Job): void {
    Atomics.store(job.flags, FLAG_CANCEL, 1);
    const at = this.#queue.indexOf(job);
    if (at < 0) return; // running: its thread sees the flag and answers
    this.#queue.splice(at, 1);
    finish(job, () => job.reject(cancelled(describeRequest(job.request))));
  }

  #dispatch(): void {
    while (this.#queue.length > 0) {
      const thread = [...this.#threads].find((candidate) => candidate.job === null) ?? this.#start();
      if (thread === null) return;
      const job = this.#queue.shift();
      if (job === undefined) return;
      if (thread.idleTimer !== null) clearTimeout(thread.idleTimer);
      thread.idleTimer = null;
      thread.job = job;
      thread.worker.ref();
      const order: CopyOrder = { ...job.request, chunkBytes: this.#chunkBytes, flags: job.flags.buffer };
      thread.worker.postMessage(order);
    }
  }

  /** null when all threads that are allowed are busy. */
  #start(): Thread | null {
    if (this.#threads.size >= this.#workers) return null;
    const worker = new Worker(this.#script, {
      name: 'cairn-copy',
      execArgv: [], // the process's own flags (--input-type, --inspect) are not for this thread
      resourceLimits: { maxOldGenerationSizeMb: WORKER_HEAP_MB },
    });
    const thread: Thread = { worker, job: null, idleTimer: null };
    let cause: unknown;
    worker.on('message', (message: WorkerMessage) => this.#receive(thread, message));
    worker.on('error', (error) => {
      cause = error;
    });
    worker.on('exit', (code) => this.#lose(thread, cause ?? new Error(`it ended with code ${code}`)));
    this.#threads.add(thread);
    return thread;
  }

  #receive(thread: Thread, message: WorkerMessage): void {
    const job = thread.job;
    if (job === null) return;
    if (message.type === 'progress') {
      job.options.onProgress?.(message.bytes);
      return;
    }
    thread.job = null;
    if (message.type === 'done')
      finish(job, () => job.resolve({ sha256: message.sha256, sizeBytes: message.sizeBytes }));
    else void fail(job, message.failure);
    this.#dispatch();
    if (thread.job === null) this.#rest(thread);
  }

  #rest(thread: Thread): void {
    thread.worker.unref(); // an idle thread keeps no process alive
    thread.idleTimer = setTimeout(() => void this.#end(thread), this.#idleMs);
    thread.idleTimer.unref();
  }

  async #end(thread: Thread): Promise<void> {
    if (thread.idleTimer !== null) clearTimeout(thread.idleTimer);
    this.#threads.delete(thread);
    await thread.worker.terminate();
  }

  #lose(thread: Thread, cause: unknown): void {
    if (thread.idleTimer !== null) clearTimeout(thread.idleTimer);
    this.#threads.delete(thread);
    const job = thread.job;
    thread.job = null;
    if (job !== null) {
      const message = `the copying thread died: ${cause instanceof Error ? cause.message : String(cause)}`;
      void fail(job, { reason: 'died', side: null, errno: null, message, copiedBytes: 0 });
    }
    this.#dispatch();
  }
}

function finish(job: Job, settle: () => void): void {
  job.release();
  settle();
}

/** Removes a target that the thread could not remove itself, then rejects. */
async function fail(job: Job, failure: CopyFailure): Promise<void> {
  const { targetPath } = job.request;
  if (targetPath !== null && Atomics.load(job.flags, FLAG_TARGET_CREATED) !== 0) {
    await ignoreMissing(unlink(targetPath)).catch(() => undefined); // swept later; the first error is reported
  }
  const error = await toError(job.request, failure);
  finish(job, () => job.reject(error));
}

async function toError(request: CopyRequest, failure: CopyFailure): Promise<CairnError> {
  const doing = describeRequest(request);
  if (failure.reason === 'cancelled') return cancelled(doing);
  const path = (failure.side === 'target' ? request.targetPath : null) ?? request.sourcePath;
  const { reason, side, copiedBytes } = failure;
  const details = { reason, side, copiedBytes, sourcePath: request.sourcePath, targetPath: request.targetPath };
  if (failure.reason !== 'system') {
    const hint =
      failure.reason === 'short' ? 'The file changed or is damaged; look at the disk that holds it.' : undefined;
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
