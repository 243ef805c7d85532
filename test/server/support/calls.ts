/**
 * Calls of every command, made from what protocol/ says of its arguments: right ones, and such as are nearly right,
 * contradict themselves or are no arguments at all.
 */
import { type ArgumentSpec, allSpecs, type CommandSpec } from '../../../src/commands/spec.js';
import type { Random } from '../../property/support/random.js';

const KEYS = ['k', 'n', 'other', 'k:1', 'bits', ''];
const INTEGERS = ['0', '1', '2', '7', '10', '100', '-1', '-2'];

const NUMBERS_NEARLY = [
  '-0',
  '00',
  '01',
  '+1',
  ' 1',
  '1 ',
  '1.5',
  '1e3',
  '0x1',
  'nan',
  'inf',
  '-inf',
  '1e400',
  '255',
  '1048576',
  '9007199254740993',
  '9223372036854775806',
  '9223372036854775807',
  '9223372036854775808',
  '-9223372036854775808',
  '-9223372036854775809',
  '18446744073709551616',
  '9'.repeat(400),
];
/** Lengths that a string may have, and that would cost as much memory: not for what takes an offset. */
const NUMBERS_LARGE = ['2147483647', '2147483648', '4294967295', '536870911'];
const OFFSET_TAKERS = new Set(['setrange', 'setbit', 'bitfield']);

const WORDS: (string | Buffer)[] = [
  '',
  ' ',
  '\r\n',
  'a\r\nb',
  '\n-ERR forged\r\n+OK\r\n',
  'a\0b',
  '\0',
  '\x1b[2J',
  '\u2028',
  '\u009b31m',
  '\u202e',
  'ümläut',
  '*',
  '[',
  '[^',
  '[a-',
  '\\',
  '?',
  '**********a',
  '%s%n',
  '../x',
  '/etc/passwd',
  "'; --",
  '"',
  '{"a":1}',
  '__proto__',
  'constructor',
  'toString',
  'LATEST',
  'ALL',
  'PREVIOUS',
  'FORMAT',
  'JSON',
  'ON',
  'OFF',
  'yes',
  '1s',
  '0',
  '2026-01-01',
  '2026-13-45T99:99:99Z',
  '9999-12-31T23:59:59.999999Z',
  Buffer.from([0xff, 0xfe, 0x80]),
  Buffer.from([0xed, 0xa0, 0x80]),
  Buffer.from([0xc3]),
  'x'.repeat(257),
  'L'.repeat(64 * 1024),
  Buffer.alloc(64 * 1024, 0xff),
  '\r\n'.repeat(32 * 1024),
];

export type Word = string | Buffer;

/** The command's own words. */
export function nameOf(spec: CommandSpec): string[] {
  return spec.name.split('|');
}

/** Commands and subcommands that can be called: CLIENT alone is none, COMMAND alone is one. */
export function callable(): CommandSpec[] {
  return allSpecs().filter(({ subcommands, arity }) => subcommands === undefined || arity === -1);
}

/** A call as the specification wants it: what is required, and each option once or not at all. */
export function rightCall(spec: CommandSpec, random: Random, withOptions = true): Word[] {
  return [...nameOf(spec), ...spec.arguments.flatMap((argument) => wordsOf(argument, random, withOptions))];
}

function wordsOf(argument: ArgumentSpec, random: Random, withOptions: boolean): Word[] {
  if (argument.optional && (!withOptions || random.once(2))) return [];
  const times = argument.multiple && withOptions ? 1 + random.int(3) : 1;
  const words: Word[] = [];
  for (let nth = 0; nth < times; nth++) {
    const token = argument.token !== undefined && (nth === 0 || argument.multiple_token);
    if (token && argument.type !== 'pure-token') words.push(argument.token as string);
    words.push(...valuesOf(argument, random, withOptions));
  }
  return words;
}

function valuesOf(argument: ArgumentSpec, random: Random, withOptions: boolean): Word[] {
  switch (argument.type) {
    case 'pure-token':
      return [argument.token as string];
    case 'oneof':
      return wordsOf({ ...random.pick(argument.arguments ?? []), optional: undefined } as never, random, withOptions);
    case 'block':
      return (argument.arguments ?? []).flatMap((part) => wordsOf(part, random, withOptions));
    case 'key':
      return [random.pick(KEYS.slice(0, 5))];
    case 'integer':
      // An expiry that does not come while it is looked at.
      if (/seconds/.test(argument.name)) return ['100000'];
      return [random.pick(argument.minimum === undefined ? INTEGERS : INTEGERS.slice(1, 6))];
    case 'double':
      return [random.pick(['0', '1.5', '-3.25'])];
    case 'unix-time':
      return ['4000000000'];
    case 'pattern':
      return [random.pick(['*', 'k*', '[kn]'])];
    case 'time':
      return ['2026-01-28T10:30:04Z'];
    case 'duration':
      return ['12h'];
    default:
      return [random.pick(['a', 'value', 'u8', '1'])];
  }
}

/** A call that may be anything. */
export function anyCall(spec: CommandSpec, random: Random): Word[] {
  const words = rightCall(spec, random);
  const own = nameOf(spec).length;
  for (let left = random.int(4); left > 0; left--) spoil(words, own, spec, random);
  return words;
}

function spoil(words: Word[], own: number, spec: CommandSpec, random: Random): void {
  const at = own + random.int(words.length - own + 1);
  switch (random.int(9)) {
    case 0:
      words.splice(at, 1);
      break;
    case 1:
      words.length = Math.min(words.length, own + random.int(3));
      break;
    case 2:
      words.push(...rightCall(spec, random).slice(own));
      break;
    case 3:
      words.splice(at, 0, hostileWord(spec, random));
      break;
    case 4:
      if (at < words.length) words.splice(at, 0, words[at] as Word);
      break;
    case 5:
      words.push(...Array.from({ length: random.pick([1, 5, 40]) }, () => hostileWord(spec, random)));
      break;
    case 6: {
      const word = words[random.int(words.length)];
      const place = words.indexOf(word as Word);
      if (typeof word === 'string') words[place] = random.once(2) ? word.toLowerCase() : word.toUpperCase();
      break;
    }
    default:
      if (at < words.length) words[at] = hostileWord(spec, random);
  }
}

function hostileWord(spec: CommandSpec, random: Random): Word {
  const tokens = spec.arguments.flatMap(tokensOf);
  if (tokens.length > 0 && random.once(4)) return random.pick(tokens);
  if (random.once(2)) {
    if (random.once(4) && !OFFSET_TAKERS.has(spec.name)) return random.pick(NUMBERS_LARGE);
    return random.pick(NUMBERS_NEARLY);
  }
  if (random.once(4)) return Buffer.from(Array.from({ length: random.int(12) }, () => random.int(256)));
  return random.pick(WORDS);
}

function tokensOf(argument: ArgumentSpec): string[] {
  return [...(argument.token === undefined ? [] : [argument.token]), ...(argument.arguments ?? []).flatMap(tokensOf)];
}

/** For a message: short, printable, and enough to see what it was. */
export function shownCall(words: readonly Word[]): string {
  return words
    .map((word) => {
      const bytes = Buffer.from(word as string);
      const shown = JSON.stringify(bytes.toString('latin1', 0, 60));
      return bytes.length > 60 ? `${shown}…(${bytes.length})` : shown;
    })
    .join(' ');
}
