/** Waiting for what a test cannot be told about: polled until it is so, and an error that says what was awaited. */
import { setTimeout as delay } from 'node:timers/promises';

export interface WaitOptions {
  /** In the error, after "waited N ms for". */
  what: string;
  timeoutMs?: number;
  everyMs?: number;
}

/** Resolves with the first answer that is neither false, null nor undefined. */
export async function waitFor<T>(
  condition: () => T | false | null | undefined | Promise<T | false | null | undefined>,
  { what, timeoutMs = 10_000, everyMs = 10 }: WaitOptions,
): Promise<T> {
  const deadlineMs = performance.now() + timeoutMs;
  for (;;) {
    const answer = await condition();
    if (answer !== false && answer !== null && answer !== undefined) return answer;
    if (performance.now() > deadlineMs) throw new Error(`waited ${timeoutMs} ms for ${what}`);
    await delay(everyMs);
  }
}
