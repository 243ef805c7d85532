/**
 * What can happen to a file while nobody looks: a bit flips, its end is lost, something is appended, it is emptied, gone,
 * another file, or has a companion. Each damage says whether it changed anything, and what it did can be taken back.
 */
import { appendFileSync, copyFileSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { randomBytes } from '../property/support/random.js';

export interface Damage {
  readonly name: string;
  /** false: this file cannot be damaged so (it is empty, or there is no other). */
  apply(path: string, others: readonly string[]): boolean;
}

/** Inverts the lowest bit of the byte at `offset`. */
export function flippedAt(offset: number): Damage {
  return { name: `a bit flipped at ${offset}`, apply: (path) => flip(path, () => offset) };
}

function flip(path: string, offsetIn: (size: number) => number): boolean {
  const bytes = readFileSync(path);
  const at = offsetIn(bytes.length);
  const byte = bytes[at];
  if (byte === undefined) return false;
  bytes[at] = byte ^ 0x01;
  writeFileSync(path, bytes);
  return true;
}

/** Every kind of damage, in the order of the rows E1 to E3. */
export const damages: readonly Damage[] = [
  { name: 'first bit flipped', apply: (path) => flip(path, () => 0) },
  { name: 'middle bit flipped', apply: (path) => flip(path, (size) => size >> 1) },
  { name: 'last bit flipped', apply: (path) => flip(path, (size) => size - 1) },
  {
    name: 'truncated by one',
    apply(path) {
      const { length } = readFileSync(path);
      if (length === 0) return false;
      truncateSync(path, length - 1);
      return true;
    },
  },
  {
    name: 'one byte longer',
    apply(path) {
      appendFileSync(path, 'x');
      return true;
    },
  },
  {
    name: 'emptied',
    apply(path) {
      if (readFileSync(path).length === 0) return false;
      truncateSync(path, 0);
      return true;
    },
  },
  {
    name: 'missing',
    apply(path) {
      rmSync(path);
      return true;
    },
  },
  {
    name: 'other bytes of the same size',
    apply(path) {
      const bytes = readFileSync(path);
      if (bytes.length === 0) return false;
      const other = randomBytes(bytes.length, 7);
      if (other.equals(bytes)) return false;
      writeFileSync(path, other);
      return true;
    },
  },
  {
    name: 'another file of its kind',
    apply(path, others) {
      const own = readFileSync(path);
      const { length } = own;
      const differing = others.filter((other) => other !== path && !readFileSync(other).equals(own));
      const same = differing.find((other) => readFileSync(other).length === length) ?? differing[0];
      if (same === undefined) return false;
      copyFileSync(same, path);
      return true;
    },
  },
  {
    name: 'a surplus file beside it',
    apply(path) {
      copyFileSync(path, surplusOf(path));
      return true;
    },
  },
];

export function isSurplus(damage: Damage): boolean {
  return damage.name === damages.at(-1)?.name;
}

/** What the last damage leaves beside a file. */
export function surplusOf(path: string): string {
  return `${path}.copy`;
}

/** Takes back what a damage did; `whole` are the bytes that the file had. */
export function mend(path: string, whole: Buffer): void {
  writeFileSync(path, whole);
  rmSync(surplusOf(path), { force: true });
}
