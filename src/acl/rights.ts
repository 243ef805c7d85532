/**
 * What one user may do, and with which passwords: built by applying rules, one word each, to a copy of what was there.
 * Of passwords only the SHA-256 is kept.
 *
 *   on >secret ~app:* +@read (%R~shared:* +get)
 */
import { isSha256, sha256 } from '../base/hash.js';
import type { Catalogue, GuardedCommand } from './catalogue.js';
import { RuleError, withoutSecrets } from './rule-error.js';
import { type Denial, Selector } from './selector.js';

export class Rights {
  enabled = false;
  /** Any password is right. */
  nopass = false;
  /** SHA-256, lower-case hex. */
  passwords: readonly string[] = [];
  /** Accepted and shown: what RESTORE is given is checked for everybody. */
  private payload: 'sanitize-payload' | 'skip-sanitize-payload' | null = null;
  private root: Selector;
  private others: readonly Selector[] = [];

  /** A new user's: off, no password, nothing allowed. */
  constructor(private readonly catalogue: Catalogue) {
    this.root = new Selector(catalogue);
  }

  /** The default user's, where nothing else is said: everything, without a password. */
  static ofDefault(catalogue: Catalogue): Rights {
    const rights = new Rights(catalogue);
    for (const rule of ['on', 'nopass', '~*', '&*', '+@all']) rights.apply(rule);
    return rights;
  }

  copy(): Rights {
    const copy = new Rights(this.catalogue);
    copy.enabled = this.enabled;
    copy.nopass = this.nopass;
    copy.passwords = this.passwords;
    copy.payload = this.payload;
    copy.root = this.root.copy();
    copy.others = this.others;
    return copy;
  }

  /** No request can be refused. */
  get unrestricted(): boolean {
    return this.root.unrestricted;
  }

  /**
   * null: allowed. Of several refusals the one that came nearest is told: a key before a command, and of keys the one
   * that stands last.
   */
  check(command: GuardedCommand, argv: readonly Buffer[]): Denial | null {
    let worst = this.root.check(command, argv);
    for (const selector of this.others) {
      if (worst === null) return null;
      const denial = selector.check(command, argv);
      if (denial === null) return null;
      if (denial.reason === 'key' && (worst.reason === 'command' || denial.at > worst.at)) worst = denial;
    }
    return worst;
  }

  /** One rule. Throws RuleError, and may have changed something then: apply rules to a copy. */
  apply(rule: string): void {
    switch (rule.toLowerCase()) {
      case '':
        return;
      case 'on':
      case 'off':
        this.enabled = rule.toLowerCase() === 'on';
        return;
      case 'nopass':
        this.nopass = true;
        this.passwords = [];
        return;
      case 'resetpass':
        this.nopass = false;
        this.passwords = [];
        return;
      case 'sanitize-payload':
      case 'skip-sanitize-payload':
        this.payload = rule.toLowerCase() as typeof this.payload;
        return;
      case 'clearselectors':
        this.others = [];
        return;
      case 'reset':
        this.reset();
        return;
    }
    if (rule.startsWith('(') && rule.endsWith(')')) this.addSelector(rule.slice(1, -1));
    else if (/^[>#<!]/.test(rule)) this.applyPassword(rule[0] as string, rule.slice(1));
    else this.root.apply(rule);
  }

  private reset(): void {
    for (const rule of ['resetpass', 'off', 'sanitize-payload', 'clearselectors']) this.apply(rule);
    this.root = new Selector(this.catalogue);
  }

  private addSelector(rules: string): void {
    const selector = new Selector(this.catalogue);
    for (const rule of rules.split(/\s+/)) if (rule !== '') selector.apply(rule);
    this.others = [...this.others, selector];
  }

  /** sign: > and # add a password and a hash, < and ! take them away. */
  private applyPassword(sign: string, text: string): void {
    const isHash = sign === '#' || sign === '!';
    if (isHash && !isSha256(text)) {
      throw new RuleError(
        'The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters',
      );
    }
    const hash = isHash ? text : sha256(Buffer.from(text, 'latin1'));
    const known = this.passwords.includes(hash);
    if (sign === '>' || sign === '#') {
      this.nopass = false;
      if (!known) this.passwords = [...this.passwords, hash];
    } else {
      if (!known) throw new RuleError('The password you are trying to remove from the user does not exist');
      this.passwords = this.passwords.filter((other) => other !== hash);
    }
  }

  // How it is shown.

  get flags(): string[] {
    const flags = [this.enabled ? 'on' : 'off'];
    if (this.nopass) flags.push('nopass');
    if (this.payload !== null) flags.push(this.payload);
    return flags;
  }

  /** The user's own first. */
  get selectors(): readonly [Selector, ...Selector[]] {
    return [this.root, ...this.others];
  }

  /** The rules that make it, in latin1. */
  get text(): string {
    const passwords = this.passwords.map((hash) => `#${hash}`);
    const others = this.others.map((selector) => `(${selector.text})`);
    return [...this.flags, ...passwords, this.root.text, ...others].join(' ');
  }
}

/**
 * Puts the words of a selector together that were given as several: '(+get', '~a)' → '(+get ~a)'. Throws RuleError for
 * one that is not closed.
 */
export function joinSelectors(words: readonly string[]): string[] {
  const rules: string[] = [];
  let open: string | null = null;
  let first = '';
  for (const word of words) {
    if (open !== null) open += ` ${word}`;
    else if (word.startsWith('(') && !word.endsWith(')')) open = first = word;
    else rules.push(word);
    if (open !== null && word.endsWith(')')) {
      rules.push(open);
      open = null;
    }
  }
  if (open !== null)
    throw new RuleError(`Unmatched parenthesis in acl selector starting at '${withoutSecrets(first)}'.`);
  return rules;
}
