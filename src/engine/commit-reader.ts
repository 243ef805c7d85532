/** Commits out of the WAL, framed by the addon (native/commits.h): here arguments are checked and errors explained. */
import type { NativeCommitReader, NativeMark } from './addon.js';
import type { CommitMarkShape, CommitReader, FramedCommits } from './types.js';
import { explainWalError } from './wal-reader.js';

export const DIGEST_BYTES = 32;
const TIME_BYTES = 8;
const TIMELINE_BYTES = 4;

export class DatabaseCommitReader implements CommitReader {
  readonly #native: NativeCommitReader;
  readonly #path: string;
  #running: Promise<unknown> = Promise.resolve();

  constructor(native: NativeCommitReader, path: string) {
    this.#native = native;
    this.#path = path;
  }

  next(maxBytes: number, upToSequence: number, options: { continues?: boolean } = {}): Promise<FramedCommits> {
    const result = this.#native
      .next(Math.max(1, Math.trunc(maxBytes)), upToSequence, options.continues === true)
      .catch(async (thrown: unknown) => {
        throw await explainWalError(thrown, this.#path);
      });
    this.#running = result.catch(() => undefined);
    return result;
  }

  async close(): Promise<void> {
    this.#native.close();
    await this.#running;
  }
}

export function markOf(mark: CommitMarkShape): NativeMark {
  const { prefix, bytes, timeOffset, timelineOffset } = mark;
  const fits = prefix.length <= bytes && timeOffset + TIME_BYTES <= bytes && timelineOffset + TIMELINE_BYTES <= bytes;
  if (!fits || timeOffset < 0 || timelineOffset < 0) throw new TypeError('a commit mark is too short for its fields');
  return [prefix, bytes, timeOffset, timelineOffset];
}

export function digestOf(digest: Buffer): Buffer {
  if (digest.length !== DIGEST_BYTES) throw new TypeError(`a digest has ${DIGEST_BYTES} bytes, not ${digest.length}`);
  return digest;
}
