/** The options of SET and GETEX: which may stand together, and what they come to. */
import { expiresAt, type TimeUnit } from './expire-time.js';
import { syntaxError, word } from './words.js';

export interface SetOptions {
  /** Only when the key is there (true), is not there (false), or either way (null). */
  ifExists: boolean | null;
  /** Answer the old value. */
  get: boolean;
  /** Keep the expiry that the key has. */
  keepTtl: boolean;
  /** Unix ms, null: none. */
  expiresAtMs: number | null;
}

const units: Readonly<Record<string, TimeUnit>> = {
  EX: { seconds: true, absolute: false },
  PX: { seconds: false, absolute: false },
  EXAT: { seconds: true, absolute: true },
  PXAT: { seconds: false, absolute: true },
};

/** args: what follows key and value. */
export function parseSetOptions(args: readonly Buffer[], nowMs: number): SetOptions {
  const options: SetOptions = { ifExists: null, get: false, keepTtl: false, expiresAtMs: null };
  let unit: string | null = null;
  let amount: Buffer | null = null;
  for (let at = 0; at < args.length; at += 1) {
    const option = word(args[at] as Buffer);
    if (option === 'NX' || option === 'XX') {
      const ifExists = option === 'XX';
      if (options.ifExists === !ifExists) throw syntaxError();
      options.ifExists = ifExists;
    } else if (option === 'GET') {
      options.get = true;
    } else if (option === 'KEEPTTL') {
      if (unit !== null) throw syntaxError();
      options.keepTtl = true;
    } else {
      const value = args[at + 1];
      if (units[option] === undefined || value === undefined || options.keepTtl) throw syntaxError();
      if (unit !== null && unit !== option) throw syntaxError();
      unit = option;
      amount = value;
      at += 1;
    }
  }
  if (unit !== null && amount !== null) options.expiresAtMs = expiresAt(amount, units[unit] as TimeUnit, nowMs, 'set');
  return options;
}

/** GETEX takes one of them: null is none. What the amount comes to is asked only when the key is there. */
export function parseGetexOption(args: readonly Buffer[]): 'persist' | { unit: TimeUnit; amount: Buffer } | null {
  let persist = false;
  let unit: string | null = null;
  let amount: Buffer | null = null;
  for (let at = 0; at < args.length; at += 1) {
    const option = word(args[at] as Buffer);
    const value = args[at + 1];
    if (option === 'PERSIST' && unit === null) {
      persist = true;
    } else if (units[option] !== undefined && value !== undefined && !persist && (unit === null || unit === option)) {
      unit = option;
      amount = value;
      at += 1;
    } else {
      throw syntaxError();
    }
  }
  if (unit !== null && amount !== null) return { unit: units[unit] as TimeUnit, amount };
  return persist ? 'persist' : null;
}
