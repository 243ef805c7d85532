/** The worker of segment-upkeep.ts: proves and joins segments. One answer for each request, in order. */
import { parentPort } from 'node:worker_threads';
import { workInBackground } from '../base/priority.js';
import { mergeSegments } from '../format/index.js';

export type MergeRequest = Uint8Array[];
export type MergeAnswer = { merged: Uint8Array } | { failed: string };

workInBackground();

const port = parentPort;
if (port === null) throw new Error('segment-worker runs as a worker thread only');

port.on('message', (parts: MergeRequest) => {
  try {
    const merged = mergeSegments(parts);
    port.postMessage({ merged } satisfies MergeAnswer);
  } catch (error) {
    port.postMessage({ failed: (error as Error).message } satisfies MergeAnswer);
  }
});
