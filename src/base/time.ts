/**
 * Moments as people write them, and as Cairn prints them. Inside, a moment is a whole number of microseconds since
 * 1970 (a safe integer: years 1684 to 2255). A restore target must never be guessed, so parsing is strict: a date that
 * the calendar does not have, a leap second, a missing zone or a surplus digit is refused, never rounded.
 *
 *   2026-01-28T10:30:04.123456Z        RFC 3339, Z or offset, up to 6 fraction digits
 *   2026-01-28 10:30:04.123456         UTC
 *   2026-01-28                         UTC, midnight, marked as a bare date (SINCE and UNTIL read it differently)
 *   1769596204 1769596204123 1769596204123456    epoch in s, ms, µs: told apart by 10, 13 or 16 digits
 */
import { CairnError } from './errors.js';

export interface ParsedTime {
  us: number;
  /** Only a date was given: us is its first microsecond. */
  bareDate: boolean;
}

/** The last microsecond of the day that a bare date starts, as an offset. */
export const DAY_US = 86_400_000_000;

const accepted =
  'Use 2026-01-28T10:30:04.123456Z (Z or an offset such as +02:00, up to 6 fraction digits), ' +
  '"2026-01-28 10:30:04" or 2026-01-28 (both UTC), or an integer epoch with 10 digits (s), 13 (ms) or 16 (us).';

const calendarForm =
  /^(\d{4})-(\d{2})-(\d{2})(?:([Tt ])(\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,6}))?(?:([Zz])|([+-])(\d{2}):(\d{2}))?)?$/;

const epochScale: Record<number, number> = { 10: 1_000_000, 13: 1000, 16: 1 };

/** Parses a moment; throws ERR naming the accepted forms. */
export function parseTime(text: string): ParsedTime {
  const printed = printedUs(text);
  if (printed !== null) return { us: printed, bareDate: false };
  if (/^\d+$/.test(text)) return { us: parseEpoch(text), bareDate: false };
  const match = calendarForm.exec(text);
  if (match === null) throw refused(text, 'it has none of the accepted forms');
  const [, year, month, day, separator, hour, minute, second, fraction, zulu, sign, offsetHour, offsetMinute] = match;
  const midnightMs = calendarDay(text, Number(year), Number(month), Number(day));
  if (separator === undefined) return { us: inRange(text, midnightMs * 1000), bareDate: true };

  if (separator !== ' ' && zulu === undefined && sign === undefined) throw refused(text, 'its time zone is missing');
  if (Number(hour) > 23) throw refused(text, `there is no hour ${hour}`);
  if (Number(minute) > 59) throw refused(text, `there is no minute ${minute}`);
  if (Number(second) > 59) throw refused(text, `there is no second ${second} (leap seconds are not supported)`);
  if (Number(offsetHour ?? 0) > 23 || Number(offsetMinute ?? 0) > 59) throw refused(text, 'its offset is not a time');

  const seconds = (Number(hour) * 60 + Number(minute)) * 60 + Number(second);
  const offset = (Number(offsetHour ?? 0) * 60 + Number(offsetMinute ?? 0)) * 60 * (sign === '-' ? -1 : 1);
  const micros = Number((fraction ?? '').padEnd(6, '0'));
  return { us: inRange(text, midnightMs * 1000 + (seconds - offset) * 1_000_000 + micros), bareDate: false };
}

/** Always 27 characters: 2026-01-28T10:30:04.123456Z. */
export function formatTime(us: number): string {
  if (!Number.isSafeInteger(us)) throw new RangeError(`${us} is not a whole number of microseconds`);
  const ms = Math.floor(us / 1000);
  const micros = us - ms * 1000;
  return `${new Date(ms).toISOString().slice(0, -1)}${String(micros).padStart(3, '0')}Z`;
}

const ZERO = 0x30;
/** 27 characters, as formatTime prints them: their codes where they are no digits. */
const [DASH, TEE, COLON, POINT, ZED] = [0x2d, 0x54, 0x3a, 0x2e, 0x5a];

/**
 * The moment of a text as formatTime prints it; null: it is none, or of the first or last year of all, where it takes more to tell.
 * Without regular expressions: it is asked for every moment of every document.
 */
function printedUs(text: string): number | null {
  const isPrinted =
    text.length === 27 &&
    text.charCodeAt(4) === DASH &&
    text.charCodeAt(7) === DASH &&
    text.charCodeAt(10) === TEE &&
    text.charCodeAt(13) === COLON &&
    text.charCodeAt(16) === COLON &&
    text.charCodeAt(19) === POINT &&
    text.charCodeAt(26) === ZED;
  if (!isPrinted) return null;
  const year = digits(text, 0, 4);
  const month = digits(text, 5, 7);
  const day = digits(text, 8, 10);
  const hour = digits(text, 11, 13);
  const minute = digits(text, 14, 16);
  const second = digits(text, 17, 19);
  const micros = digits(text, 20, 26);
  const isDay = year > 1684 && year < 2255 && month >= 1 && month <= 12 && day >= 1 && day <= daysOf(year, month);
  const isTime = hour >= 0 && hour <= 23 && minute >= 0 && minute <= 59 && second >= 0 && second <= 59;
  if (!isDay || !isTime || micros < 0) return null;
  return Date.UTC(year, month - 1, day, hour, minute, second) * 1000 + micros;
}

/** -1: not all of it is digits. */
function digits(text: string, from: number, to: number): number {
  let value = 0;
  for (let at = from; at < to; at++) {
    const digit = text.charCodeAt(at) - ZERO;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}

function daysOf(year: number, month: number): number {
  if (month !== 2) return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
  return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28;
}

/** True for text that formatTime could have printed; documents are held to this one form. */
export function isFormattedTime(text: string): boolean {
  if (printedUs(text) !== null) return true;
  if (!/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z$/.test(text)) return false;
  try {
    return formatTime(parseTime(text).us) === text;
  } catch {
    return false;
  }
}

function parseEpoch(text: string): number {
  const scale = epochScale[text.length];
  if (scale === undefined) throw refused(text, `it has ${text.length} digits`);
  return inRange(text, Number(text) * scale);
}

/** Midnight UTC of a day that exists, in ms. */
function calendarDay(text: string, year: number, month: number, day: number): number {
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  if (date.getUTCFullYear() !== year || date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) {
    throw refused(text, 'the calendar has no such day');
  }
  return date.getTime();
}

function inRange(text: string, us: number): number {
  if (!Number.isSafeInteger(us)) throw refused(text, 'it is outside the years 1684 to 2255');
  return us;
}

function refused(text: string, why: string): CairnError {
  const shown = text.length > 64 ? `${text.slice(0, 64)}...` : text;
  return new CairnError('ERR', `'${shown}' is not a time: ${why}`, { hint: accepted, details: { time: shown } });
}
