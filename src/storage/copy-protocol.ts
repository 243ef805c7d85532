/** What the copy pool and its worker threads say to each other. */

export interface CopyRequest {
  sourcePath: string;
  /** Copy this many bytes from the start; null: the whole file. */
  sizeBytes: number | null;
  /** A file that must not exist; null only hashes. */
  targetPath: string | null;
}

/** Slots of the shared flags, which cross threads while the worker is busy with the disk. */
export const FLAG_CANCEL = 0;
/** The worker created the target: whoever cleans up after it must remove it. */
export const FLAG_TARGET_CREATED = 1;
export const FLAGS_BYTES = 8;

export interface CopyOrder extends CopyRequest {
  chunkBytes: number;
  flags: SharedArrayBuffer;
}

export type CopyFailureReason = 'system' | 'short' | 'cancelled' | 'not-a-file' | 'died';

export interface CopyFailure {
  reason: CopyFailureReason;
  side: 'source' | 'target' | null;
  /** The system's code, e.g. ENOSPC. */
  errno: string | null;
  message: string;
  /** Bytes that were copied before it failed. */
  copiedBytes: number;
}

export type WorkerMessage =
  | { type: 'progress'; bytes: number }
  | { type: 'done'; sha256: string; sizeBytes: number }
  | { type: 'failed'; failure: CopyFailure };
