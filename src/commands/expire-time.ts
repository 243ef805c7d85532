/**
 * Expiry times in arguments: seconds or milliseconds, from now or absolute, with Redis's limits. They are kept as unix
 * milliseconds in a JavaScript number: what is later than the year 287396 expires then.
 */
import { CairnError } from '../base/errors.js';
import { INT64_MAX, INT64_MIN, integer } from './integers.js';

export interface TimeUnit {
  seconds: boolean;
  absolute: boolean;
}

/** For SET and SETEX: it has to be positive. */
export function expiresAt(text: Buffer, { seconds, absolute }: TimeUnit, nowMs: number, command: string): number {
  const amount = BigInt(integer(text));
  if (amount <= 0n || (seconds && amount > INT64_MAX / 1000n)) throw invalidExpireTime(command);
  const ms = (seconds ? amount * 1000n : amount) + (absolute ? 0n : BigInt(nowMs));
  if (ms > INT64_MAX) throw invalidExpireTime(command);
  return toMs(ms);
}

/** For EXPIRE and its kin: the past is allowed, and means at once. */
export function expiresAtOrBefore(
  text: Buffer,
  { seconds, absolute }: TimeUnit,
  nowMs: number,
  command: string,
): number {
  const amount = BigInt(integer(text));
  if (seconds && (amount > INT64_MAX / 1000n || amount < INT64_MIN / 1000n)) throw invalidExpireTime(command);
  const ms = (seconds ? amount * 1000n : amount) + (absolute ? 0n : BigInt(nowMs));
  if (ms > INT64_MAX) throw invalidExpireTime(command);
  return toMs(ms);
}

/** For RESTORE: so many milliseconds from now. */
export function afterNow(ms: bigint, nowMs: number): number {
  return toMs(ms + BigInt(nowMs));
}

export function toMs(ms: bigint): number {
  const number = Number(ms);
  return Math.max(Math.min(number, Number.MAX_SAFE_INTEGER), Number.MIN_SAFE_INTEGER);
}

function invalidExpireTime(command: string): CairnError {
  return new CairnError('ERR', `invalid expire time in '${command}' command`);
}
