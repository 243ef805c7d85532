/**
 * The kinds of value that a setting can have. Every source (file, environment, command line, CONFIG SET) hands over
 * text, so that one value is read one way wherever it stands; a kind turns text into a typed value and back.
 */
import { isIP } from 'node:net';
import { z } from 'zod';
import { isSha256, sha256 } from '../base/hash.js';
import { NotAValue, parseDuration, parseSize, printDuration, printSize } from './units.js';

export type KindName =
  | 'integer'
  | 'yesno'
  | 'duration'
  | 'size'
  | 'limits'
  | 'enum'
  | 'string'
  | 'path'
  | 'addresses'
  | 'password'
  | 'secret';

export interface Kind<T> {
  readonly kind: KindName;
  readonly schema: z.ZodType<T, string>;
  /** The text that the schema reads back as this value. */
  print(value: T): string;
  /** The same as Redis prints it, under Redis's spelling. */
  printForRedis(value: T): string;
  /** "an integer from 0 to 65535": what the documentation and the error messages say. */
  readonly allowed: string;
}

/** Digits only: no blank, fraction or exponent. The texts begin as Redis's do: clients match on them. */
export function integer(min: number, max: number): Kind<number> {
  return kind('integer', `an integer from ${min} to ${max}`, String, (text) => {
    if (!/^(0|-?[1-9]\d{0,19})$/.test(text))
      throw new NotAValue(`argument couldn't be parsed into an integer from ${min} to ${max}`);
    const value = Number(text);
    if (value < min || value > max) throw new NotAValue(`argument must be between ${min} and ${max} inclusive`);
    return value;
  });
}

/** A TCP port; null is none, which 0 is not. */
export function portOrOff(): Kind<number | null> {
  const port = integer(0, 65535);
  return kind(
    'integer',
    `${port.allowed}, or off`,
    (value) => (value === null ? 'off' : port.print(value)),
    (text) => (text.toLowerCase() === 'off' ? null : parsedBy(port, text)),
  );
}

/** The kind's words, and Redis's words for them. */
export function withRedisWords<T extends string>(own: Kind<T>, redis: Readonly<Record<string, NoInfer<T>>>): Kind<T> {
  const words = Object.entries(redis);
  const meaning = (text: string) => words.find(([word]) => word.toLowerCase() === text.toLowerCase())?.[1];
  return {
    ...kind(own.kind, own.allowed, own.print, (text) => meaning(text) ?? parsedBy(own, text)),
    printForRedis: (value) => words.find(([, meant]) => meant === value)?.[0] ?? value,
  };
}

/** Permission bits in octal, as chmod takes them. */
export function permissions(): Kind<number> {
  return kind(
    'integer',
    'three octal digits, as chmod takes them',
    (value) => value.toString(8).padStart(3, '0'),
    (text) => {
      if (!/^0?[0-7]{3}$/.test(text)) throw new NotAValue('argument must be three octal digits, such as 770');
      return Number.parseInt(text, 8);
    },
  );
}

export function yesno(): Kind<boolean> {
  return kind(
    'yesno',
    'yes or no',
    (value) => (value ? 'yes' : 'no'),
    (text) => {
      const word = text.toLowerCase();
      if (word !== 'yes' && word !== 'no') throw new NotAValue(`argument must be 'yes' or 'no'`);
      return word === 'yes';
    },
  );
}

/** Milliseconds. */
export function duration(): Kind<number> {
  return kind('duration', 'a duration such as 45s, 12h or 90d; 0: no limit', printDuration, parseDuration);
}

/** Milliseconds between two rounds of something; there is no "no limit". */
export function interval(minMs: number, maxMs: number): Kind<number> {
  const range = `${printDuration(minMs)} to ${printDuration(maxMs)}`;
  return kind('duration', `a duration, ${range}`, printDuration, (text) => {
    const value = parseDuration(text);
    if (value >= minMs && value <= maxMs) return value;
    throw new NotAValue(`argument must be between ${printDuration(minMs)} and ${printDuration(maxMs)} inclusive`);
  });
}

/** Bytes. */
export function size(min: number, max: number = Number.MAX_SAFE_INTEGER, orZero = false): Kind<number> {
  const range =
    max === Number.MAX_SAFE_INTEGER ? `at least ${printSize(min)}` : `${printSize(min)} to ${printSize(max)}`;
  const allowed = `${orZero ? '0 or ' : ''}a size, ${range}`;
  const parse = (text: string): number => {
    const value = parseSize(text);
    if (orZero && value === 0) return 0;
    if (value < min || value > max) {
      throw new NotAValue(`argument must be between ${min} and ${max} inclusive${orZero ? ', or 0' : ''}`);
    }
    return value;
  };
  return { ...kind('size', allowed, printSize, parse), printForRedis: String };
}

export function oneOf<const T extends string>(...words: readonly T[]): Kind<T> {
  return kind('enum', words.join(', '), String, (text) => {
    const found = words.find((word) => word === text.toLowerCase());
    if (found === undefined) throw new NotAValue(`argument must be one of the following: ${words.join(', ')}`);
    return found;
  });
}

/** Redis's client-output-buffer-limit, of normal clients: bytes at once, bytes for so many seconds; 0: no limit. */
export interface OutputBufferLimit {
  readonly hardBytes: number;
  readonly softBytes: number;
  readonly softSeconds: number;
}

export function outputBufferLimit(): Kind<OutputBufferLimit> {
  const sizeOf = (text: string): number => (/^\d+$/.test(text) ? Number(text) : parseSize(text));
  const print = (show: (bytes: number) => string) => (value: OutputBufferLimit) =>
    `normal ${show(value.hardBytes)} ${show(value.softBytes)} ${value.softSeconds}`;
  const allowed = 'normal, a hard limit, a soft limit and its seconds; 0: no limit';
  const parse = (text: string): OutputBufferLimit => {
    const words = text.split(/\s+/).filter((word) => word !== '');
    const limits = { hardBytes: 0, softBytes: 0, softSeconds: 0 };
    if (words.length === 0 || words.length % 4 !== 0) {
      throw new NotAValue('argument must be a class of clients and three numbers, for each class');
    }
    for (let at = 0; at < words.length; at += 4) {
      const [name, hard, soft, seconds] = words.slice(at, at + 4) as [string, string, string, string];
      if (!/^(normal|replica|slave|pubsub)$/i.test(name))
        throw new NotAValue('Invalid client class specified in buffer limit configuration.');
      const read = { hardBytes: sizeOf(hard), softBytes: sizeOf(soft), softSeconds: Number(seconds) };
      if (!/^\d{1,9}$/.test(seconds) || !Object.values(read).every(Number.isSafeInteger)) {
        throw new NotAValue('Error in hard, soft or soft_seconds setting in buffer limit configuration.');
      }
      // There are no clients of the other classes.
      if (name.toLowerCase() === 'normal') Object.assign(limits, read);
    }
    return Object.freeze(limits);
  };
  return { ...kind('limits', allowed, print(printSize), parse), printForRedis: print(String) };
}

/** A file or directory; '' is null. Made absolute when it is loaded. */
export function path(): Kind<string | null> {
  return kind(
    'path',
    'a path; empty: none',
    (value) => value ?? '',
    (text) => {
      if (text.includes('\0')) throw new NotAValue('argument must not contain NUL');
      if (/^~($|[/\w])/.test(text))
        throw new NotAValue('argument must be a path without ~, which only a shell expands');
      return text === '' ? null : text;
    },
  );
}

export function requiredPath(): Kind<string> {
  const optional = path();
  return kind('path', 'a path', String, (text) => {
    const value = parsedBy(optional, text);
    if (value === null) throw new NotAValue('argument must not be empty');
    return value;
  });
}

/** IP addresses or host names, separated by blanks; none: no TCP at all. */
export function addresses(): Kind<readonly string[]> {
  return kind(
    'addresses',
    'IP addresses or host names, separated by blanks; 0.0.0.0 or :: for all; empty: no TCP',
    (value) => value.join(' '),
    (text) => {
      const list = text.split(/\s+/).filter((word) => word !== '');
      for (const word of list) {
        const good = isIP(word) !== 0 || /^[a-z_]([a-z0-9_.-]{0,251}[a-z0-9])?$/i.test(word);
        if (!good) throw new NotAValue(`argument must be IP addresses or host names, which '${word}' is not`);
      }
      if (new Set(list).size !== list.length) throw new NotAValue('argument must not name an address twice');
      return Object.freeze(list);
    },
  );
}

/**
 * Any text; '' is none. Only its SHA-256 is kept, in lower-case hex, and printed, as '#' and the hash; a text of that form
 * is taken as a hash.
 */
export function password(): Kind<string> {
  const print = (hash: string) => (hash === '' ? '' : `#${hash}`);
  return kind('password', 'any text, or # and its SHA-256; empty: none', print, (text) => {
    if (text === '') return '';
    if (text.startsWith('#') && isSha256(text.slice(1))) return text.slice(1);
    return sha256(Buffer.from(text));
  });
}

/** Text that is needed as it was given, and is never shown; '' is none. */
export function secretText(): Kind<string> {
  return kind('secret', 'any text without NUL; empty: none', String, (text) => {
    if (text.includes('\0')) throw new NotAValue('argument must not contain NUL');
    return text;
  });
}

function parsedBy<T>({ schema }: Kind<T>, text: string): T {
  const parsed = schema.safeParse(text);
  if (!parsed.success) throw new NotAValue(parsed.error.issues[0]?.message);
  return parsed.data;
}

function kind<T>(name: KindName, allowed: string, print: (value: T) => string, parse: (text: string) => T): Kind<T> {
  const schema = z.string().transform((text, context): T => {
    try {
      return parse(text);
    } catch (error) {
      if (!(error instanceof NotAValue)) throw error;
      context.addIssue({ code: 'custom', message: error.message });
      return z.NEVER;
    }
  });
  return { kind: name, schema, print, printForRedis: print, allowed };
}
