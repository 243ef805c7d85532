/** next_id and latest: one number as text, so that a person can read and mend it. */
import { assert } from '../base/assert.js';

export function formatNumber(value: number): Buffer {
  assert(Number.isSafeInteger(value) && value >= 0, `${value} is not a number for next_id or latest`);
  return Buffer.from(`${value}\n`);
}

/** null for anything but decimal digits and at most one line end: the caller then counts what is there. */
export function parseNumber(bytes: Uint8Array): number | null {
  if (bytes.length > 17) return null;
  const digits = /^(0|[1-9]\d{0,15})\n?$/.exec(Buffer.from(bytes).toString('latin1'))?.[1];
  return digits !== undefined && Number.isSafeInteger(Number(digits)) ? Number(digits) : null;
}
