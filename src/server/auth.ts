/**
 * Logging in: name and password against the users, with guessing slowed down. After a few failures each further one is
 * answered later, up to a second; counted per address and per name, so that neither many names from one place nor one
 * name from many places are quicker. The right password is never held up, but inside EXEC, where nothing can wait. What
 * is remembered is bounded; an attacker with more addresses than that gains the few quick guesses anew.
 */
import { defaultName, type User, type Users } from '../acl/users.js';
import { CairnError } from '../base/errors.js';

const freeFailures = 3;
const firstDelayMs = 50;
const longestDelayMs = 1000;
const forgetAfterMs = 60_000;
const remembered = 4096;
const longestNameKept = 64;

interface Failures {
  count: number;
  lastAtMs: number;
}

export interface Credentials {
  /** null: AUTH with a password alone, which means the default user. */
  user: string | null;
  password: Buffer;
}

export class Authenticator {
  private readonly failures = new Map<string, Failures>();

  constructor(private readonly users: Users) {}

  /**
   * The user whose name and password these are. Else calls `onFailure` at once and throws WRONGPASS, after a wait where
   * guesses came before. Where it may not wait, nothing is tried then: a thousand guesses in one EXEC are three.
   */
  check(
    address: string,
    { user, password }: Credentials,
    onFailure: (name: string) => void,
    mayWait = true,
  ): User | Promise<never> {
    if (user === null && this.users.default.rights.nopass) {
      throw new CairnError(
        'ERR',
        'AUTH <password> called without any password configured for the default user. ' +
          'Are you sure your configuration is correct?',
      );
    }
    const name = user ?? defaultName;
    const keys = [`address ${address}`, `user ${name.slice(0, longestNameKept)}`];
    if (!mayWait && keys.some((key) => this.recentFailures(key) >= freeFailures)) throw untried();
    const found = this.users.verify(name, password);
    if (found !== null) {
      for (const key of keys) this.failures.delete(key);
      return found;
    }
    onFailure(name);
    const delayMs = Math.max(...keys.map((key) => this.delayAfterFailure(key)));
    if (delayMs === 0 || !mayWait) throw wrongPassword();
    return new Promise((_, reject) => {
      setTimeout(() => reject(wrongPassword()), delayMs);
    });
  }

  private recentFailures(key: string): number {
    const entry = this.failures.get(key);
    return entry === undefined || Date.now() - entry.lastAtMs > forgetAfterMs ? 0 : entry.count;
  }

  private delayAfterFailure(key: string): number {
    const entry = { count: this.recentFailures(key) + 1, lastAtMs: Date.now() };
    // Re-inserting keeps the map in order of use: the first key is the one to forget.
    this.failures.delete(key);
    this.failures.set(key, entry);
    if (this.failures.size > remembered) {
      for (const oldest of this.failures.keys()) {
        this.failures.delete(oldest);
        break;
      }
    }
    if (entry.count <= freeFailures) return 0;
    return Math.min(longestDelayMs, firstDelayMs * 2 ** Math.min(10, entry.count - freeFailures - 1));
  }
}

function untried(): CairnError {
  return new CairnError('WRONGPASS', 'invalid username-password pair or user is disabled.', {
    hint: 'After failed logins none is tried inside MULTI for a minute: log in outside of it.',
  });
}

function wrongPassword(): CairnError {
  return new CairnError('WRONGPASS', 'invalid username-password pair or user is disabled.');
}
