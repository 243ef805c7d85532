/**
 * The crash soak: a built server under load and operation, ended again and again, and everything that it promised checked after
 * every start.
 *
 *   directory      a fresh data directory, its settings drawn from the seed; after some lives the next one
 *     life         start → look at what is there → load and operation → an end
 *       end        kill -9 at a random moment (also while it starts or stops), at an armed fault point, a power cut, SIGTERM
 *
 * Every role of every life draws from a stream of its own, so a seed gives the same decisions whatever the timing; how many of
 * them are reached, and what they meet, timing decides.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Directory } from './directory.js';
import type { SoakOptions } from './plan.js';
import { buildSyncedFiles } from './power-cut.js';
import { Report } from './report.js';

export class Soak {
  readonly report: Report;
  readonly #options: SoakOptions;
  readonly #library: string;
  #lives = 0;
  #directory: Directory | null = null;

  constructor(options: SoakOptions) {
    this.#options = options;
    this.report = new Report(options.seed, options.durability ?? 'turned');
    mkdirSync(options.dir, { recursive: true });
    this.#library = buildSyncedFiles(options.dir);
  }

  get lately(): readonly string[] {
    return this.#directory?.lately ?? [];
  }

  /** Leaves no server behind. */
  async abandon(): Promise<void> {
    await this.#directory?.abandon();
  }

  /** Until it is over, or until something is not as it must be: then the directory stays, and a Violation is thrown. */
  async run(): Promise<void> {
    for (let nth = 0; !this.#options.isOver(this.#lives); nth += 1) {
      const path = join(this.#options.dir, `data-${nth}`);
      this.#directory = new Directory(this.#options, this.#library, nth, path, this.report);
      await this.#directory.run(() => {
        this.#lives += 1;
        this.report.json.starts += 1;
        return !this.#options.isOver(this.#lives);
      });
      rmSync(path, { recursive: true });
    }
  }
}
