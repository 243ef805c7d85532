/** When the archive is tidied (segment-upkeep.ts): after so many new segments, and once in a while; one round at a time. */
import { type CairnError, toCairnError } from '../base/errors.js';
import type { Log } from '../observability/log.js';
import type { Repository } from './repository.js';
import { tidySegments } from './segment-upkeep.js';

const SEGMENTS_BETWEEN = 32;
const MS_BETWEEN = 60_000;

export class ArchiveUpkeep {
  readonly #repository: Repository;
  readonly #expendable: () => Promise<string[]>;
  readonly #log: Log;
  readonly #abort = new AbortController();
  readonly #refused = new Set<string>();
  #running: Promise<void> | null = null;
  #pending = 0;
  #error: CairnError | null = null;
  #lastMs = performance.now();

  /** `expendable`: the keys of segments that nobody needs. */
  constructor(repository: Repository, expendable: () => Promise<string[]>, log: Log) {
    this.#repository = repository;
    this.#expendable = expendable;
    this.#log = log;
  }

  /** Why the last round failed; null: it did not. */
  get error(): CairnError | null {
    return this.#error;
  }

  /** Something was archived: begins a round when one is due. */
  archived(): void {
    this.#pending += 1;
    const isDue = this.#pending >= SEGMENTS_BETWEEN || performance.now() - this.#lastMs >= MS_BETWEEN;
    if (isDue) void this.tidy();
  }

  /** One round, or the rest of the one that runs. Never rejects: what fails is logged and met again. */
  tidy(): Promise<void> {
    this.#running ??= this.#tidy().finally(() => {
      this.#running = null;
      this.#lastMs = performance.now();
    });
    return this.#running;
  }

  async #tidy(): Promise<void> {
    if (this.#abort.signal.aborted || !this.#repository.isOwn) return;
    this.#pending = 0;
    try {
      const done = await tidySegments(this.#repository, this.#expendable, this.#abort.signal, this.#log, this.#refused);
      this.#error = null;
      if (done.merged > 0 || done.removed > 0) this.#log.debug('segments tidied', { ...done });
    } catch (thrown) {
      this.#error = toCairnError(thrown, 'BACKUPFAILED');
      this.#log.warn('segments could not be tidied', { error: this.#error });
    }
  }

  async close(): Promise<void> {
    this.#abort.abort();
    await this.#running;
  }
}
