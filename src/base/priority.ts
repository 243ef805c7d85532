/** Which threads go first where there are too few cores. */
import { getPriority, setPriority } from 'node:os';

/** Like `nice`: the server's event loop, of ordinary priority, gets about ten times the time of a thread with this one. */
const BACKGROUND = 10;

/**
 * For a worker thread's own beginning: it takes what others leave, and all there is where nobody else wants any. Linux has a
 * priority for each thread; elsewhere it would be that of the whole process, which stays as it is.
 */
export function workInBackground(): void {
  if (process.platform !== 'linux') return;
  try {
    setPriority(0, Math.max(BACKGROUND, getPriority(0)));
  } catch {
    // A container may forbid it: then all threads are as important.
  }
}
