/** Something that must never be so: ends the soak, which keeps the directories and says how to do it again. */
export class Violation extends Error {}

/** True for what a connection says when the server is gone. */
export function isGone(error: unknown): boolean {
  return (
    error instanceof Error &&
    /closed?\b|ECONNRESET|ECONNREFUSED|EPIPE|Stream isn't writeable|max retries/i.test(error.message)
  );
}

export function codeOf(error: Error): string {
  return /^[A-Z]+(?= |$)/.exec(error.message)?.[0] ?? 'ERR';
}
