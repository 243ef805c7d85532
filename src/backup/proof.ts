/**
 * The deep proof of a restored directory, in a worker thread so that the server stays free: RocksDB opens it and reads
 * every block of every table; then every key is counted and digested and compared with what CREATE recorded.
 */
import { Worker } from 'node:worker_threads';
import { CairnError, type ErrorCode } from '../base/errors.js';
import type { KeyspaceKind, Position } from '../keyspace/port.js';
import type { Survey } from '../keyspace/survey.js';

export interface ProofTask {
  path: string;
  kind: KeyspaceKind;
}

export interface Proof {
  sequence: number;
  position: Position | null;
  survey: Survey;
}

export type ProofMessage =
  | { type: 'progress'; bytes: number }
  | { type: 'done'; proof: Proof }
  | { type: 'failed'; code: ErrorCode; message: string; hint: string };

/** Resolves with what the directory holds; a damaged block or an open failure rejects as BACKUPVERIFY. */
export async function proveDirectory(
  task: ProofTask,
  signal: AbortSignal,
  onProgress: (bytes: number) => void,
): Promise<Proof> {
  const worker = new Worker(new URL('./proof-worker.js', import.meta.url), {
    workerData: task,
    execArgv: [],
  });
  const abort = (): void => void worker.postMessage('stop');
  signal.addEventListener('abort', abort, { once: true });
  if (signal.aborted) abort();
  try {
    return await new Promise<Proof>((resolve, reject) => {
      worker.on('message', (message: ProofMessage) => {
        if (message.type === 'progress') onProgress(message.bytes);
        else if (message.type === 'done') resolve(message.proof);
        else
          reject(
            new CairnError(message.code, message.message, {
              hint: message.hint,
            }),
          );
      });
      worker.on('error', reject);
      worker.on('exit', (code) =>
        reject(new CairnError('BACKUPVERIFY', `the proof of ${task.path} ended early (exit ${code})`)),
      );
    });
  } finally {
    signal.removeEventListener('abort', abort);
    await worker.terminate();
  }
}
