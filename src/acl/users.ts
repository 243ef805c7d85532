/**
 * The users that there are. A connection holds on to its User; rules that change take effect for it at once, because a
 * change exchanges the rights that the User has. Whoever is gone is told to those who asked, so that connections end.
 *
 * `default` is always there: it is who a new connection is, logged in or not.
 */
import { randomBytes, timingSafeEqual } from 'node:crypto';
import { sha256 } from '../base/hash.js';
import type { Catalogue } from './catalogue.js';
import { Denials } from './denials.js';
import { Rights } from './rights.js';
import { hasBlanks, RuleError, UnknownName, withoutSecrets } from './rule-error.js';

export const defaultName = 'default';

export class User {
  /** Nothing can be refused: what every request asks first. */
  unrestricted: boolean;

  constructor(
    readonly name: string,
    private own: Rights,
  ) {
    this.unrestricted = own.unrestricted;
  }

  get rights(): Rights {
    return this.own;
  }

  /** For the table of users. */
  become(rights: Rights): void {
    this.own = rights;
    this.unrestricted = rights.unrestricted;
  }
}

/** `cause`: what was handed to the change that removed the user. */
export type GoneListener = (user: User, cause: unknown) => void;

export interface UsersOptions {
  catalogue: Catalogue;
  /** SHA-256 of the default user's password; '': none. */
  defaultPassword: string;
  maxDenials: () => number;
}

export class Users {
  readonly denials: Denials;
  readonly default: User;
  private readonly users = new Map<string, User>();
  private readonly gone: GoneListener[] = [];
  private readonly catalogue: Catalogue;
  private defaultPassword: string;
  /** What the password of a user who is not there is compared with. */
  private readonly decoy = randomBytes(32).toString('hex');

  constructor({ catalogue, defaultPassword, maxDenials }: UsersOptions) {
    this.catalogue = catalogue;
    this.defaultPassword = defaultPassword;
    this.denials = new Denials(maxDenials);
    this.default = new User(defaultName, this.rightsOfDefault());
    this.users.set(defaultName, this.default);
  }

  onGone(listener: GoneListener): void {
    this.gone.push(listener);
  }

  get(name: string): User | undefined {
    return this.users.get(name);
  }

  /** In the order of their names' bytes. */
  all(): User[] {
    return sorted([...this.users.values()]);
  }

  /** A new connection has to log in. */
  get passwordRequired(): boolean {
    const { nopass, enabled } = this.default.rights;
    return !nopass || !enabled;
  }

  /** ACL SETUSER: all rules or none. Throws RuleRefused. */
  set(name: string, rules: readonly string[]): void {
    const user = this.users.get(name);
    const rights = user?.rights.copy() ?? new Rights(this.catalogue);
    applyAll(rights, rules);
    if (user === undefined) this.users.set(name, new User(name, rights));
    else user.become(rights);
  }

  /** How many there were. */
  remove(names: readonly string[], cause: unknown): number {
    let count = 0;
    for (const name of names) {
      const user = this.users.get(name);
      if (user === undefined || user === this.default) continue;
      this.users.delete(name);
      count++;
      this.tellGone(user, cause);
    }
    return count;
  }

  /** As `requirepass` changes it: this password and no other, or none. */
  setDefaultPassword(hash: string): void {
    this.defaultPassword = hash;
    const rights = this.default.rights.copy();
    applyPassword(rights, hash);
    this.default.become(rights);
  }

  /**
   * These users and no others. Who has the same rights as before stays connected; a default user whom nobody describes is
   * what it is without a file.
   */
  replace(described: ReadonlyMap<string, Rights>, cause: unknown): void {
    this.default.become(described.get(defaultName) ?? this.rightsOfDefault());
    for (const user of [...this.users.values()]) {
      if (user === this.default || described.get(user.name)?.text === user.rights.text) continue;
      this.users.delete(user.name);
      this.tellGone(user, cause);
    }
    for (const [name, rights] of described) {
      if (!this.users.has(name)) this.users.set(name, new User(name, rights));
    }
  }

  /** Rights from nothing, for what a file describes. Throws RuleRefused. */
  describe(rules: readonly string[]): Rights {
    const rights = new Rights(this.catalogue);
    applyAll(rights, rules);
    return rights;
  }

  /**
   * The user, when name and password are right and the user is on; else null. The same work is done for a user who is
   * not there or is off, and every password is compared, in a time that does not depend on where they differ.
   */
  verify(name: string, password: Buffer): User | null {
    const given = Buffer.from(sha256(password));
    const user = this.users.get(name);
    const known = user?.rights.passwords ?? [];
    let right = 0;
    for (const hash of known.length > 0 ? known : [this.decoy]) {
      right |= Number(timingSafeEqual(given, Buffer.from(hash)));
    }
    if (user === undefined || !user.rights.enabled) return null;
    return user.rights.nopass || (known.length > 0 && right === 1) ? user : null;
  }

  private rightsOfDefault(): Rights {
    const rights = Rights.ofDefault(this.catalogue);
    applyPassword(rights, this.defaultPassword);
    return rights;
  }

  private tellGone(user: User, cause: unknown): void {
    for (const listener of this.gone) listener(user, cause);
  }
}

/** A rule that was refused. */
export class RuleRefused extends Error {
  override readonly name = 'RuleRefused';
  constructor(
    /** As it was given, without passwords and hashes. */
    readonly rule: string,
    readonly reason: RuleError,
  ) {
    super(reason.message, { cause: reason });
  }

  /** The reason and, where nobody would understand it otherwise, the rule. */
  get told(): string {
    const unknown = this.reason instanceof UnknownName;
    return unknown ? `Error in applying operation '${this.rule}': ${this.message}` : this.message;
  }
}

/** `text`: latin1, as rules are. null: no user can be named so. */
export function userName(text: string): string | null {
  if (hasBlanks(text)) return null;
  const bytes = Buffer.from(text, 'latin1');
  const name = bytes.toString('utf8');
  return Buffer.from(name).equals(bytes) ? name : null;
}

/** 'user name rules…': how ACL LIST and the file show a user. */
export function userLine({ name, rights }: User): Buffer {
  return Buffer.concat([Buffer.from(`user ${name} `), Buffer.from(rights.text, 'latin1')]);
}

function applyAll(rights: Rights, rules: readonly string[]): void {
  for (const rule of rules) {
    try {
      rights.apply(rule);
    } catch (thrown) {
      if (!(thrown instanceof RuleError)) throw thrown;
      throw new RuleRefused(withoutSecrets(rule), thrown);
    }
  }
}

function applyPassword(rights: Rights, hash: string): void {
  for (const rule of hash === '' ? ['nopass'] : ['resetpass', `#${hash}`]) rights.apply(rule);
}

function sorted(users: User[]): User[] {
  return users.sort((a, b) => Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)));
}
