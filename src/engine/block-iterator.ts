/** A scan in blocks. One call at a time; `close` waits for the one that runs. */
import type { NativeIterator } from './addon.js';
import { engineError } from './status.js';
import type { BlockIterator, EntryBlock } from './types.js';

export class DatabaseIterator implements BlockIterator {
  readonly #native: NativeIterator;
  readonly #path: string;
  #running: Promise<unknown> = Promise.resolve();

  constructor(native: NativeIterator, path: string) {
    this.#native = native;
    this.#path = path;
  }

  next(): Promise<EntryBlock | null> {
    const result = this.#native.next().catch((thrown: unknown) => {
      throw this.#explain(thrown);
    });
    this.#running = result.catch(() => undefined);
    return result;
  }

  nextSync(): EntryBlock | null {
    try {
      return this.#native.nextSync();
    } catch (thrown) {
      throw this.#explain(thrown);
    }
  }

  async close(): Promise<void> {
    this.#native.close();
    await this.#running;
  }

  #explain(thrown: unknown): Error {
    return engineError(thrown, `cannot scan ${this.#path}`, this.#path);
  }
}
