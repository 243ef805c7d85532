/**
 * Which commands may run, and on which keys: one set of permissions. A user has one of its own and any number of further
 * ones, "(…)" in the rules; a request is allowed when one of them allows all of it.
 *
 * Rules are words, as bytes in a latin1 string: patterns may hold any byte. Commands are a flag per command; beside
 * them stand the rules that led there, so that ACL LIST and ACL SAVE show what was meant: "+@read" stays "+@read", also
 * for a later version that has more commands in it.
 */
import { globMatch } from '../base/glob.js';
import { type Catalogue, type GuardedCommand, isCategory } from './catalogue.js';
import { hasBlanks, RuleError, syntax, UnknownName } from './rule-error.js';

/** Why a request is refused; `at`: the position in argv of the key that was the reason. */
export type Denial = { readonly reason: 'command' } | { readonly reason: 'key'; readonly at: number };

interface KeyPattern {
  readonly bytes: Buffer;
  reads: boolean;
  writes: boolean;
}

const commandDenied: Denial = { reason: 'command' };

export class Selector {
  allKeys = false;
  private allCommands = false;
  private allChannels = false;
  private allowed: Uint8Array;
  /** Commands that are not allowed, but are with these first arguments: "+select|0". */
  private firstArguments = new Map<number, readonly string[]>();
  /** Where the rules begin: with everything or with nothing. */
  private base: '+@all' | '-@all' = '-@all';
  private commandRules: readonly string[] = [];
  /** By their text, in the order in which they came. */
  private keyPatterns = new Map<string, KeyPattern>();
  private channelPatterns = new Set<string>();

  constructor(private readonly catalogue: Catalogue) {
    this.allowed = new Uint8Array(catalogue.all().length);
  }

  copy(): Selector {
    const copy = new Selector(this.catalogue);
    copy.allKeys = this.allKeys;
    copy.allCommands = this.allCommands;
    copy.allChannels = this.allChannels;
    copy.allowed = this.allowed.slice();
    copy.firstArguments = new Map(this.firstArguments);
    copy.base = this.base;
    copy.commandRules = this.commandRules;
    for (const [text, pattern] of this.keyPatterns) copy.keyPatterns.set(text, { ...pattern });
    copy.channelPatterns = new Set(this.channelPatterns);
    return copy;
  }

  /** Allows every request. */
  get unrestricted(): boolean {
    return this.allCommands && this.allKeys;
  }

  /** null: the request is allowed. `argv` begins with the command's name and has a number of words that fits it. */
  check(command: GuardedCommand, argv: readonly Buffer[]): Denial | null {
    if (!this.allowsCommand(command, argv)) return commandDenied;
    if (this.allKeys) return null;
    for (const { at, reads, writes } of command.keyUses(argv)) {
      if (!this.allowsKey(argv[at] as Buffer, reads, writes)) return { reason: 'key', at };
    }
    return null;
  }

  private allowsCommand(command: GuardedCommand, argv: readonly Buffer[]): boolean {
    if (this.allowed[command.id] === 1 || command.flags.has('no_auth')) return true;
    const words = this.firstArguments.get(command.id);
    if (words === undefined || argv.length < 2) return false;
    return words.includes((argv[1] as Buffer).toString('latin1').toLowerCase());
  }

  private allowsKey(key: Buffer, reads: boolean, writes: boolean): boolean {
    for (const pattern of this.keyPatterns.values()) {
      if ((pattern.reads || !reads) && (pattern.writes || !writes) && globMatch(pattern.bytes, key)) return true;
    }
    return false;
  }

  /** Throws RuleError, and may have changed something then: apply rules to a copy. */
  apply(rule: string): void {
    const word = rule.toLowerCase();
    const sign = rule[0];
    if (word === 'allkeys' || word === '~*') this.setKeys(true);
    else if (word === 'resetkeys') this.setKeys(false);
    else if (word === 'allchannels' || word === '&*') this.setChannels(true);
    else if (word === 'resetchannels') this.setChannels(false);
    else if (word === 'allcommands' || word === '+@all') this.setCommands(true);
    else if (word === 'nocommands' || word === '-@all') this.setCommands(false);
    else if (sign === '~' || sign === '%') this.addKeyPattern(rule);
    else if (sign === '&') this.addChannelPattern(rule.slice(1));
    else if (sign === '+' || sign === '-') this.applyCommandRule(sign === '+', word.slice(1));
    else throw syntax();
  }

  private setKeys(all: boolean): void {
    this.allKeys = all;
    this.keyPatterns.clear();
  }

  private setChannels(all: boolean): void {
    this.allChannels = all;
    this.channelPatterns.clear();
  }

  private setCommands(all: boolean): void {
    this.allCommands = all;
    this.allowed.fill(all ? 1 : 0);
    this.firstArguments.clear();
    this.base = all ? '+@all' : '-@all';
    this.commandRules = [];
  }

  /** '~pattern', '%R~pattern', '%W~pattern', '%RW~pattern' */
  private addKeyPattern(rule: string): void {
    if (this.allKeys) throw afterAll('keys', 'allkeys', 'patterns');
    const { reads, writes, text } = parseKeyPattern(rule);
    if (hasBlanks(text)) throw syntax();
    const pattern = this.keyPatterns.get(text) ?? { bytes: Buffer.from(text, 'latin1'), reads, writes };
    pattern.reads ||= reads;
    pattern.writes ||= writes;
    this.keyPatterns.set(text, pattern);
    // '%RW~*' is shown as '~*', and must then be that: what is shown has to be a rule for the same.
    if (text === '*' && pattern.reads && pattern.writes) this.setKeys(true);
  }

  private addChannelPattern(text: string): void {
    if (this.allChannels) throw afterAll('channels', 'allchannels', 'channels');
    if (hasBlanks(text)) throw syntax();
    this.channelPatterns.add(text);
  }

  /** name: lower case, without the sign. */
  private applyCommandRule(allow: boolean, name: string): void {
    if (name.startsWith('@')) {
      if (!isCategory(name.slice(1))) throw new UnknownName();
      for (const command of this.catalogue.all()) if (command.categories.has(name)) this.setOne(command, allow);
    } else {
      const command = this.catalogue.lookup(name);
      if (command !== undefined) this.setWithSubcommands(command, allow);
      else if (allow && name.includes('|')) this.allowFirstArgument(name);
      else throw new UnknownName();
    }
    this.noteCommandRule(allow ? '+' : '-', name);
  }

  private setWithSubcommands(command: GuardedCommand, allow: boolean): void {
    this.setOne(command, allow);
    for (const subcommand of command.subcommands?.values() ?? []) this.setOne(subcommand, allow);
  }

  private setOne(command: GuardedCommand, allow: boolean): void {
    this.allowed[command.id] = allow ? 1 : 0;
    this.firstArguments.delete(command.id);
    if (!allow) this.allCommands = false;
  }

  /** 'select|0': of a command that has no subcommands. */
  private allowFirstArgument(name: string): void {
    const bar = name.lastIndexOf('|');
    const command = this.catalogue.lookup(name.slice(0, bar));
    const argument = name.slice(bar + 1);
    if (command === undefined) throw new UnknownName();
    if (command.container !== undefined) throw new RuleError('Allowing first-arg of a subcommand is not supported');
    if (argument === '') throw syntax();
    if (command.subcommands !== undefined) throw new UnknownName();
    const known = this.firstArguments.get(command.id) ?? [];
    if (!known.includes(argument)) this.firstArguments.set(command.id, [...known, argument]);
  }

  /** The last rule for a name counts: an earlier one for it, or for a subcommand of it, has no effect any more. */
  private noteCommandRule(sign: '+' | '-', name: string): void {
    const others = this.commandRules.filter((rule) => {
      const old = rule.slice(1);
      return old !== name && !old.startsWith(`${name}|`);
    });
    this.commandRules = [...others, sign + name];
  }

  // How it is shown; the rules that lead here.

  get commandsText(): string {
    return [this.base, ...this.commandRules].join(' ');
  }

  get keysText(): string {
    if (this.allKeys) return '~*';
    return [...this.keyPatterns]
      .map(([text, { reads, writes }]) => `${reads && writes ? '' : reads ? '%R' : '%W'}~${text}`)
      .join(' ');
  }

  get channelsText(): string {
    return this.allChannels ? '&*' : [...this.channelPatterns].map((text) => `&${text}`).join(' ');
  }

  get text(): string {
    const channels = this.allChannels ? '&*' : `resetchannels ${this.channelsText}`.trimEnd();
    return [this.keysText, channels, this.commandsText].filter((part) => part !== '').join(' ');
  }
}

function parseKeyPattern(rule: string): { reads: boolean; writes: boolean; text: string } {
  if (rule[0] === '~') return { reads: true, writes: true, text: rule.slice(1) };
  let reads = false;
  let writes = false;
  let at = 1;
  for (; at < rule.length && rule[at] !== '~'; at++) {
    const letter = rule[at]?.toUpperCase();
    if (letter === 'R' && !reads) reads = true;
    else if (letter === 'W' && !writes) writes = true;
    else throw syntax();
  }
  if (!reads && !writes) throw syntax();
  return { reads, writes, text: rule.slice(at + 1) };
}

function afterAll(what: string, flag: string, list: string): RuleError {
  return new RuleError(
    `Adding a pattern after the * pattern (or the '${flag}' flag) is not valid and does not have any effect. ` +
      `Try 'reset${what}' to start with an empty list of ${list}`,
  );
}
