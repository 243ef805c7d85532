/**
 * CLIENT PAUSE: commands of clients are held back for a while, those that write or all. A connection whose command is
 * held runs nothing further; when the pause ends each goes on where it stopped, in the order in which they were held.
 *
 * What an operator does is never held: ADMIN commands, SHUTDOWN, CLIENT PAUSE and UNPAUSE. So a backup can be taken of a
 * state that stands still, a restore in place can go on under it (what was held then runs on the restored state), and
 * there is a way out of a pause that was made too long. While it lasts no key expires: the data stands still.
 *
 * A pause that is given during another ends it no sooner and makes it no milder, as in Redis.
 */
import type { CommandSpec } from '../commands/spec.js';

/** A timer takes no more. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

const neverHeld = new Set(['shutdown', 'client|pause', 'client|unpause']);

/** Whether a pause can hold it at all. */
export function canBeHeld({ name, group }: CommandSpec): boolean {
  return group !== 'admin' && !neverHeld.has(name);
}

/** A connection with a command that is held. */
export interface HeldConnection {
  goOn(): void;
}

export class ClientPause {
  private readonly held = new Set<HeldConnection>();
  private untilMs = 0;
  private timer: NodeJS.Timeout | null = null;
  /** What is held: nothing, what writes, or everything. */
  holds: 'nothing' | 'writes' | 'all' = 'nothing';

  /** changed: told when a pause begins and when it is over. */
  constructor(private readonly changed: (paused: boolean) => void) {}

  begin(ms: number, writesOnly: boolean): void {
    const before = this.holds;
    if (!writesOnly) this.holds = 'all';
    else if (before === 'nothing') this.holds = 'writes';
    this.untilMs = Math.max(this.untilMs, performance.now() + ms);
    if (before === 'nothing') this.changed(true);
    this.schedule();
  }

  end(): void {
    if (this.holds === 'nothing') return;
    this.holds = 'nothing';
    this.untilMs = 0;
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
    this.changed(false);
    const held = [...this.held];
    this.held.clear();
    for (const connection of held) connection.goOn();
  }

  hold(connection: HeldConnection): void {
    this.held.add(connection);
  }

  /** The connection is gone. */
  forget(connection: HeldConnection): void {
    this.held.delete(connection);
  }

  private schedule(): void {
    if (this.timer !== null) clearTimeout(this.timer);
    const leftMs = this.untilMs - performance.now();
    this.timer = setTimeout(
      () => (performance.now() >= this.untilMs ? this.end() : this.schedule()),
      Math.min(Math.max(leftMs, 0), LONGEST_TIMER_MS),
    );
  }
}
