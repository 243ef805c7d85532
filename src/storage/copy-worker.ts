/**
 * A worker thread that copies one file at a time: read a chunk, hash it, write it, so that every byte is read once. The
 * calls block, which is why they run here. The buffer is the memory that a copy costs, whatever the size of the file.
 * The target is a plain new file, synced before the answer; a failed copy removes it.
 */
import { createHash } from 'node:crypto';
import {
  closeSync,
  constants,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  openSync,
  readSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { parentPort } from 'node:worker_threads';
import { errnoOf, FILE_MODE } from '../base/fs.js';
import { workInBackground } from '../base/priority.js';
import {
  type CopyFailure,
  type CopyFailureReason,
  type CopyOrder,
  FLAG_CANCEL,
  FLAG_TARGET_CREATED,
  type WorkerMessage,
} from './copy-protocol.js';

const PROGRESS_INTERVAL_MS = 20;
/**
 * Written bytes go to the disk in steps: one sync of a huge file would hold back the write-ahead log's own syncs on the
 * same disk for as long as it takes.
 */
const SYNC_STEP_BYTES = 32 * 1024 * 1024;

let buffer = Buffer.alloc(0);

class Failed extends Error {
  constructor(
    readonly reason: CopyFailureReason,
    readonly side: 'source' | 'target' | null,
    message: string,
    readonly errno: string | null = null,
  ) {
    super(message);
  }
}

workInBackground();

parentPort?.on('message', (order: CopyOrder) => {
  parentPort?.postMessage(run(order));
});

function run(order: CopyOrder): WorkerMessage {
  const flags = new Int32Array(order.flags);
  const progress = { copied: 0 };
  let source = -1;
  let target = -1;
  try {
    source = openSource(order.sourcePath);
    if (order.targetPath !== null) target = openTarget(order.targetPath, flags);
    const sha256 = copy(order, source, target, flags, progress);
    if (target >= 0) onSide('target', () => fsyncSync(target));
    return { type: 'done', sha256, sizeBytes: progress.copied };
  } catch (thrown) {
    if (order.targetPath !== null) removeTarget(order.targetPath, flags);
    return { type: 'failed', failure: describe(thrown, progress.copied) };
  } finally {
    if (target >= 0) closeSync(target);
    if (source >= 0) closeSync(source);
  }
}

function copy(
  order: CopyOrder,
  source: number,
  target: number,
  flags: Int32Array,
  progress: { copied: number },
): string {
  if (buffer.length !== order.chunkBytes) buffer = Buffer.allocUnsafeSlow(order.chunkBytes);
  const hash = createHash('sha256');
  const wanted = order.sizeBytes ?? Number.POSITIVE_INFINITY;
  let reported = 0;
  let reportedAt = performance.now();
  let syncedAt = 0;
  while (progress.copied < wanted) {
    if (Atomics.load(flags, FLAG_CANCEL) !== 0) throw new Failed('cancelled', null, 'cancelled');
    const ask = Math.min(buffer.length, wanted - progress.copied);
    const length = onSide('source', () => readSync(source, buffer, 0, ask, progress.copied));
    if (length === 0) break;
    const chunk = buffer.subarray(0, length);
    hash.update(chunk);
    if (target >= 0) onSide('target', () => writeAll(target, chunk));
    progress.copied += length;
    if (target >= 0 && progress.copied - syncedAt >= SYNC_STEP_BYTES) {
      onSide('target', () => fdatasyncSync(target));
      syncedAt = progress.copied;
    }
    const now = performance.now();
    if (now - reportedAt >= PROGRESS_INTERVAL_MS) {
      report(progress.copied - reported);
      reported = progress.copied;
      reportedAt = now;
    }
  }
  if (order.sizeBytes !== null && progress.copied < order.sizeBytes) {
    throw new Failed('short', 'source', `it ended after ${progress.copied} of ${order.sizeBytes} bytes`);
  }
  report(progress.copied - reported);
  return hash.digest('hex');
}

/** Never a symlink, a pipe or a device, whatever a hostile repository holds. */
function openSource(path: string): number {
  const descriptor = onSide('source', () =>
    openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK),
  );
  try {
    const stats = fstatSync(descriptor);
    const errno = stats.isDirectory() ? 'EISDIR' : null;
    if (!stats.isFile()) throw new Failed('not-a-file', 'source', 'it is not a regular file', errno);
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
  return descriptor;
}

function openTarget(path: string, flags: Int32Array): number {
  const descriptor = onSide('target', () => openSync(path, 'wx', FILE_MODE));
  Atomics.store(flags, FLAG_TARGET_CREATED, 1);
  return descriptor;
}

function removeTarget(path: string, flags: Int32Array): void {
  if (Atomics.load(flags, FLAG_TARGET_CREATED) === 0) return;
  try {
    unlinkSync(path);
    Atomics.store(flags, FLAG_TARGET_CREATED, 0);
  } catch {
    // The first error is the one to report; the flag tells the pool that the file is still there.
  }
}

function writeAll(descriptor: number, chunk: Buffer): void {
  for (let written = 0; written < chunk.length; ) {
    written += writeSync(descriptor, chunk, written, chunk.length - written);
  }
}

function onSide<T>(side: 'source' | 'target', body: () => T): T {
  try {
    return body();
  } catch (error) {
    throw new Failed('system', side, error instanceof Error ? error.message : String(error), errnoOf(error));
  }
}

function describe(thrown: unknown, copiedBytes: number): CopyFailure {
  if (thrown instanceof Failed) {
    return { reason: thrown.reason, side: thrown.side, errno: thrown.errno, message: thrown.message, copiedBytes };
  }
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return { reason: 'system', side: null, errno: errnoOf(thrown), message, copiedBytes };
}

function report(bytes: number): void {
  if (bytes > 0) parentPort?.postMessage({ type: 'progress', bytes } satisfies WorkerMessage);
}
