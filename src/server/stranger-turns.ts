/**
 * Whose turn it is among clients that are not logged in. The first requests of such a client run at once, so that logging in does not
 * wait; from then on they take turns, a few requests each, and all of them together get a small part of each round of the event
 * loop. However many strangers send however much, who has logged in, and who is about to, is served.
 *
 *   AT_ONCE   requests of a new connection that wait for nobody
 *   A_TURN    requests of a connection when its turn has come
 *   A_ROUND   turns in one round of the event loop
 */
const AT_ONCE = 16;
const A_TURN = 8;
const A_ROUND = 32;

/** A connection that waits for its turn. */
export interface Stranger {
  strangerTurn(): void;
}

export class StrangerTurns {
  /** In the order in which they came; a Set keeps it, and lets anybody leave. */
  private readonly waiting = new Set<Stranger>();
  private scheduled = false;

  /** How many requests a new connection may run before it has to wait. */
  readonly atOnce = AT_ONCE;
  readonly aTurn = A_TURN;

  /** Its turn comes by `strangerTurn`, after all who wait already. */
  wait(stranger: Stranger): void {
    this.waiting.add(stranger);
    this.schedule();
  }

  /** It has gone, or is no stranger any more. */
  leave(stranger: Stranger): void {
    this.waiting.delete(stranger);
  }

  private schedule(): void {
    if (this.scheduled || this.waiting.size === 0) return;
    this.scheduled = true;
    setImmediate(() => {
      this.scheduled = false;
      // Who wants another turn joins at the end, and is not met twice in a round.
      for (const stranger of [...first(this.waiting, A_ROUND)]) {
        if (this.waiting.delete(stranger)) stranger.strangerTurn();
      }
      this.schedule();
    });
  }
}

function* first<T>(all: Iterable<T>, count: number): Iterable<T> {
  let left = count;
  for (const each of all) {
    if (left-- === 0) return;
    yield each;
  }
}
