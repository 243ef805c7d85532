/**
 * Who may come in: one password for the default user, compared in constant time. Both sides are hashed first, so that
 * neither the length nor the first differing byte shows in the time taken.
 *
 * Guessing is slowed down per address: after a few failures each further one is answered later, up to a second. The
 * table of addresses is bounded; an attacker with more addresses than that gains the few quick guesses anew.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { CairnError } from '../base/errors.js';

const freeFailures = 3;
const firstDelayMs = 50;
const longestDelayMs = 1000;
const forgetAfterMs = 60_000;
const rememberedAddresses = 4096;

interface Failures {
  count: number;
  lastAtMs: number;
}

export class Authenticator {
  private readonly failures = new Map<string, Failures>();

  /** `password` is read at each use, so that CONFIG SET requirepass holds at once. */
  constructor(private readonly password: () => string) {}

  get required(): boolean {
    return this.password() !== '';
  }

  /** Returns when the pair is right, throws WRONGPASS when it is not, after a wait where guesses came before. */
  check(address: string, user: string | null, password: Buffer): void | Promise<void> {
    const expected = this.password();
    if (expected === '' && user === null) {
      throw new CairnError(
        'ERR',
        'AUTH <password> called without any password configured for the default user. ' +
          'Are you sure your configuration is correct?',
      );
    }
    const right = expected === '' || timingSafeEqual(digest(password), digest(expected));
    if (right && (user === null || user === 'default')) {
      this.failures.delete(address);
      return;
    }
    const delayMs = this.delayAfterFailure(address);
    if (delayMs === 0) throw wrongPassword();
    return new Promise((_, reject) => {
      setTimeout(() => reject(wrongPassword()), delayMs);
    });
  }

  private delayAfterFailure(address: string): number {
    const now = Date.now();
    let entry = this.failures.get(address);
    if (entry === undefined || now - entry.lastAtMs > forgetAfterMs) entry = { count: 0, lastAtMs: now };
    entry.count++;
    entry.lastAtMs = now;
    // Re-inserting keeps the map in order of use: the first key is the one to forget.
    this.failures.delete(address);
    this.failures.set(address, entry);
    if (this.failures.size > rememberedAddresses) {
      for (const oldest of this.failures.keys()) {
        this.failures.delete(oldest);
        break;
      }
    }
    if (entry.count <= freeFailures) return 0;
    return Math.min(longestDelayMs, firstDelayMs * 2 ** Math.min(10, entry.count - freeFailures - 1));
  }
}

function digest(text: string | Buffer): Buffer {
  return createHash('sha256').update(text).digest();
}

function wrongPassword(): CairnError {
  return new CairnError('WRONGPASS', 'invalid username-password pair or user is disabled.');
}
