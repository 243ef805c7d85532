/**
 * LIVE while a server serves the directory. Nothing reads the file then, so that one which was removed, emptied or replaced
 * would be found at the next start only, when nobody knows any more which database was live. The running server does know:
 * it looks once a second, and before it gives the directory back, and writes LIVE anew.
 *
 * It does so only as long as the LOCK that it holds is the one that lies in the directory. Another one there, or none, says
 * that the directory is not (or no longer only) this server's: what LIVE says then may be another server's word.
 */
import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Log } from '../observability/log.js';
import type { DataDirectory } from './data-directory.js';

const EVERY_MS = 1000;

export class LiveGuard {
  readonly #directory: DataDirectory;
  readonly #log: Log;
  readonly #ownLock: string;
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> | null = null;
  /** What was said last, and has not got better since: said once. */
  #said = '';

  private constructor(directory: DataDirectory, log: Log, ownLock: string) {
    this.#directory = directory;
    this.#log = log;
    this.#ownLock = ownLock;
  }

  /** The caller holds LOCK, until it stopped this. */
  static async begin(directory: DataDirectory, log: Log): Promise<LiveGuard> {
    const guard = new LiveGuard(directory, log, await identity(join(directory.path, 'LOCK')));
    guard.#timer = setInterval(() => void guard.check(), EVERY_MS);
    guard.#timer.unref();
    return guard;
  }

  /** One look. Never rejects: what cannot be mended is logged, and tried again at the next one. */
  check(): Promise<void> {
    this.#looking ??= this.#check().finally(() => {
      this.#looking = null;
    });
    return this.#looking;
  }

  /** The last look, just before LOCK is given back. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#looking;
    await this.check();
  }

  async #check(): Promise<void> {
    const { path } = this.#directory;
    try {
      const wrong = await this.#directory.keepLive(async () => (await identity(join(path, 'LOCK'))) === this.#ownLock);
      if (wrong === null) {
        this.#said = '';
        return;
      }
      const { what, mended } = wrong;
      if (mended) {
        this.#log.warn('LIVE was not as this server left it: it was written anew', { path, found: what });
        this.#said = '';
        return;
      }
      this.#say(`LIVE is not as this server left it, and LOCK is not the one that it holds: it is left alone`, {
        path,
        found: what,
        hint: 'Another server may have the directory. Stop one of them before the next start.',
      });
    } catch (error) {
      this.#say('LIVE is not as this server left it, and cannot be written anew', { path, error });
    }
  }

  #say(event: string, fields: Record<string, unknown>): void {
    const text = `${event} ${fields.found ?? fields.error}`;
    if (text !== this.#said) this.#log.error(event, fields);
    this.#said = text;
  }
}

/** Without opening it: closing the file would give up the lock that this process has on it. */
async function identity(path: string): Promise<string> {
  const { dev, ino } = await lstat(path, { bigint: true });
  return `${dev}:${ino}`;
}
