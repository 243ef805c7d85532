/** `everysec`: once a second what was written since is made durable. With `always` there is nothing to do, with `no` nothing is done. */
import type { Database } from '../engine/types.js';

export type Durability = 'always' | 'everysec' | 'no';

const INTERVAL_MS = 1000;

export interface WalSyncerHost {
  /** null: none is open. */
  readonly database: Database | null;
  readonly durability: Durability;
  syncFailed(error: unknown): void;
}

export class WalSyncer {
  private dirty = false;
  private timer: NodeJS.Timeout | null = null;
  private running: Promise<void> | null = null;
  private stopped = false;

  constructor(private readonly host: WalSyncerHost) {}

  start(): void {
    this.schedule();
  }

  async stop(): Promise<void> {
    this.stopped = true;
    if (this.timer !== null) clearTimeout(this.timer);
    await this.running;
  }

  /** There are bytes in the log that are not synced. */
  mark(): void {
    this.dirty = true;
  }

  /** Another database is served. */
  clear(): void {
    this.dirty = false;
  }

  private schedule(): void {
    if (this.stopped) return;
    this.timer = setTimeout(() => {
      this.running = this.run();
    }, INTERVAL_MS);
    this.timer.unref();
  }

  private async run(): Promise<void> {
    const { database } = this.host;
    if (this.dirty && database !== null && this.host.durability !== 'no') {
      this.dirty = false;
      try {
        await database.syncWal();
      } catch (error) {
        this.dirty = true;
        // A database that was exchanged meanwhile is its new owner's business.
        if (database === this.host.database) this.host.syncFailed(error);
      }
    }
    this.schedule();
  }
}
