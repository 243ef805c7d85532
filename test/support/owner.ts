/** Whoever starts processes and makes directories says what is left to do when they are not needed any more: a test, or a soak. */
export interface Owner {
  teardown(cleanUp: () => unknown): void;
}

/** An owner that is no test. */
export class Belongings implements Owner {
  readonly #cleanUps: (() => unknown)[] = [];

  teardown(cleanUp: () => unknown): void {
    this.#cleanUps.push(cleanUp);
  }

  /** The last one first. */
  async letGo(): Promise<void> {
    for (const cleanUp of this.#cleanUps.splice(0).reverse()) await cleanUp();
  }
}
