/**
 * The arguments of ADMIN commands, parsed as their protocol file describes them. Positional arguments come first;
 * then option words, in any case and any order, each once.
 *
 *   RESTORE 5 to drill DRYRUN  →  { id: 5, to: 'drill', dryrun: true, async: false }
 *
 * How a value appears in the record:
 *
 *   in protocol/                                       in `values`
 *   a plain argument, or TOKEN and a value             its name: number, or string (times, durations, patterns, texts)
 *   an option word alone (pure-token)                  its name: true or false
 *   one of several words, or of words and a number     the name of the choice: the word in capitals, or the number
 *   one of several TOKEN-and-value pairs               the name of the one that was given
 *   an optional argument that was not given            undefined
 *
 * FORMAT JSON is taken by every command.
 */

import { errorTable } from '../base/error-table.generated.js';
import { CairnError, type ErrorCode } from '../base/errors.js';
import { type ArgumentSpec, type CommandSpec, wrongArity } from './spec.js';

export interface ParsedArguments {
  readonly values: Readonly<Record<string, unknown>>;
  readonly format: 'resp' | 'json';
}

/** What an option word leads to: the argument it belongs to, and which of its alternatives it is. */
interface Option {
  readonly argument: ArgumentSpec;
  /** The argument itself, or the alternative of a oneof. */
  readonly chosen: ArgumentSpec;
}

interface Grammar {
  readonly positional: readonly ArgumentSpec[];
  readonly options: ReadonlyMap<string, Option>;
}

const FORMAT: ArgumentSpec = {
  name: 'format',
  type: 'oneof',
  token: 'FORMAT',
  optional: true,
  arguments: [{ name: 'json', type: 'pure-token', token: 'JSON' }],
};

const grammars = new WeakMap<CommandSpec, Grammar>();

/** Parses what follows the command's name. Throws ERR, or the more specific code that the protocol file names. */
export function parseArguments(spec: CommandSpec, args: readonly Buffer[]): ParsedArguments {
  return new Parser(spec, args).run();
}

class Parser {
  private readonly grammar: Grammar;
  private readonly values: Record<string, unknown> = {};
  /** What was given: argument and, of a oneof, the alternative. By the argument's name. */
  private readonly given = new Map<string, Option>();
  private at = 0;

  constructor(
    private readonly spec: CommandSpec,
    private readonly args: readonly Buffer[],
  ) {
    this.grammar = grammarOf(spec);
    for (const { argument, chosen } of this.grammar.options.values()) {
      if (argument.type === 'pure-token') this.values[chosen.name] = false;
    }
  }

  run(): ParsedArguments {
    for (const argument of this.grammar.positional) this.positional(argument);
    while (this.at < this.args.length) this.option();
    this.refuseConflicts();
    const { format, ...values } = this.values;
    return { values, format: format === undefined ? 'resp' : 'json' };
  }

  private positional(argument: ArgumentSpec): void {
    const word = this.args[this.at];
    const isOption = word !== undefined && this.grammar.options.has(upper(word));
    if (word === undefined || (isOption && argument.type !== 'text')) {
      if (argument.optional) return;
      throw wrongArity(this.spec);
    }
    this.take(argument, argument, word);
  }

  private option(): void {
    const word = this.args[this.at] as Buffer;
    const option = this.grammar.options.get(upper(word));
    if (option === undefined) throw this.unknownWord(word);
    const { argument, chosen } = option;
    const before = this.given.get(argument.name);
    if (before !== undefined) throw syntaxError(twice(before.chosen, chosen));
    if (chosen.type === 'pure-token') {
      this.at++;
      this.give(argument, chosen, argument === chosen ? true : (chosen.token as string));
      return;
    }
    const value = this.args[this.at + 1];
    if (value === undefined) throw syntaxError(`${chosen.token} needs a value.`);
    this.at++;
    this.take(argument, chosen, value);
  }

  /** Reads one word as the value of `chosen`. */
  private take(argument: ArgumentSpec, chosen: ArgumentSpec, word: Buffer): void {
    this.at++;
    if (chosen.type !== 'oneof') {
      this.give(argument, chosen, plainValue(chosen, word, chosen.token ?? chosen.name));
      return;
    }
    const alternatives = chosen.arguments ?? [];
    const token = alternatives.find((alternative) => alternative.token === upper(word));
    if (token !== undefined) {
      this.values[chosen.name] = token.token;
      this.given.set(argument.name, { argument, chosen: token });
      return;
    }
    const plain = alternatives.find((alternative) => alternative.token === undefined);
    if (plain === undefined) throw unknownChoice(chosen, word);
    this.values[chosen.name] = plainValue(plain, word, choices(chosen));
    this.given.set(argument.name, { argument, chosen: plain });
  }

  /** A choice among bare words is known by the choice's name, everything else by its own. */
  private give(argument: ArgumentSpec, chosen: ArgumentSpec, value: unknown): void {
    const choice = argument !== chosen && chosen.type === 'pure-token';
    this.values[choice ? argument.name : chosen.name] = value;
    this.given.set(argument.name, { argument, chosen });
  }

  private unknownWord(word: Buffer): CairnError {
    const open = this.spec.arguments.find(({ unknown, token, name }) => unknown && !token && !this.given.has(name));
    if (open !== undefined) return unknownChoice(open, word);
    return syntaxError(`${quote(word)} is not understood here; ADMIN.BACKUP HELP shows the options.`);
  }

  private refuseConflicts(): void {
    for (const { chosen } of this.given.values()) {
      for (const name of chosen.conflicts ?? []) {
        const other = [...this.given.values()].find(
          (option) => option.chosen.name === name || option.argument.name === name,
        );
        if (other !== undefined) throw syntaxError(`${nameOf(chosen)} and ${nameOf(other.chosen)} exclude each other.`);
      }
    }
  }
}

function grammarOf(spec: CommandSpec): Grammar {
  const known = grammars.get(spec);
  if (known !== undefined) return known;
  const options = new Map<string, Option>();
  const positional: ArgumentSpec[] = [];
  for (const argument of [...spec.arguments, FORMAT]) {
    const words = optionWords(argument);
    if (words.length === 0) positional.push(argument);
    for (const chosen of words) options.set(chosen.token as string, { argument, chosen });
  }
  const grammar = { positional, options };
  grammars.set(spec, grammar);
  return grammar;
}

/** What can stand for the argument as an option word; nothing when the argument is positional. */
function optionWords(argument: ArgumentSpec): readonly ArgumentSpec[] {
  if (!argument.optional) return [];
  if (argument.token !== undefined) return [argument];
  const alternatives = argument.arguments ?? [];
  return alternatives.every(({ token }) => token !== undefined) ? alternatives : [];
}

function plainValue(argument: ArgumentSpec, word: Buffer, shownAs: string): unknown {
  if (argument.type !== 'integer') return text(word, shownAs);
  const digits = word.toString('latin1');
  const value = /^(0|[1-9]\d*)$/.test(digits) ? Number(digits) : Number.NaN;
  const minimum = argument.minimum ?? 0;
  if (Number.isSafeInteger(value) && value >= minimum) return value;
  throw new CairnError('ERR', 'value is not an integer or out of range', {
    hint: `${shownAs} is to be an integer from ${minimum}${shownAs.includes(',') ? ', or one of the words' : ''}.`,
  });
}

function text(word: Buffer, shownAs: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(word);
  } catch {
    throw new CairnError('ERR', `${shownAs} is not valid UTF-8`, { hint: 'Send text, not arbitrary bytes.' });
  }
}

function unknownChoice(argument: ArgumentSpec, word: Buffer): CairnError {
  const hint = `Use ${choices(argument)}.`;
  if (argument.unknown === undefined) return syntaxError(`${quote(word)} is not understood. ${hint}`);
  return new CairnError(codeOf(argument), `unknown backup ${argument.name} ${quote(word)}`, { hint });
}

function codeOf(argument: ArgumentSpec): ErrorCode {
  const code = argument.unknown;
  return code !== undefined && code in errorTable ? (code as ErrorCode) : 'ERR';
}

function syntaxError(hint: string): CairnError {
  return new CairnError('ERR', 'syntax error', { hint });
}

function twice(before: ArgumentSpec, now: ArgumentSpec): string {
  if (before === now) return `${nameOf(now)} is given twice.`;
  return `${nameOf(before)} and ${nameOf(now)} exclude each other.`;
}

/** 'id, LATEST or ALL' */
function choices(argument: ArgumentSpec): string {
  const names = (argument.arguments ?? []).map(nameOf);
  return names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} or ${names.at(-1)}`;
}

function nameOf(argument: ArgumentSpec): string {
  return argument.token ?? argument.name;
}

function upper(word: Buffer): string {
  return word.length > 64 ? '' : word.toString('latin1').toUpperCase();
}

function quote(word: Buffer): string {
  return `'${word.toString('utf8', 0, Math.min(word.length, 128))}'`;
}
