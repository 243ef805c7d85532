/**
 * Replies leave when the write group of their commands is durable. Many commands of many connections share a group;
 * the promise is followed once, and the connections that wait for it are told.
 */
import { type CairnError, toCairnError } from '../base/errors.js';

/** Who is told when a group is settled. */
export interface Waiting {
  groupSettled(): void;
}

export class WriteGroup {
  settled = false;
  /** Why it is not durable; what its commands answer instead. */
  error: CairnError | null = null;
  private readonly waiting = new Set<Waiting>();

  constructor(durable: Promise<void>) {
    durable.then(
      () => this.settle(null),
      (thrown: unknown) => this.settle(toCairnError(thrown, 'MISCONF')),
    );
  }

  wait(connection: Waiting): void {
    this.waiting.add(connection);
  }

  private settle(error: CairnError | null): void {
    this.settled = true;
    this.error = error;
    for (const connection of this.waiting) connection.groupSettled();
    this.waiting.clear();
  }
}

/** Finds the group of a promise: nearly always it is the one of the command before. */
export class WriteGroups {
  private readonly known = new WeakMap<Promise<void>, WriteGroup>();
  private latestPromise: Promise<void> | null = null;
  private latest: WriteGroup | null = null;

  of(durable: Promise<void>): WriteGroup {
    if (durable === this.latestPromise && this.latest !== null) return this.latest;
    let group = this.known.get(durable);
    if (group === undefined) {
      group = new WriteGroup(durable);
      this.known.set(durable, group);
    }
    this.latestPromise = durable;
    this.latest = group;
    return group;
  }
}
