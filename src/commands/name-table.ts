/**
 * A map from command names to values that is asked with the bytes of a request, in whatever case they came, without
 * making a string: the first lookup of every command is on the path of every request.
 *
 * A hash over the bytes with ASCII letters folded to lower case leads to the candidates, whose bytes are compared.
 */

interface Entry<T> {
  readonly name: Uint8Array;
  readonly value: T;
}

export class NameTable<T> {
  private readonly buckets: Entry<T>[][] = [];
  private readonly mask: number;
  private readonly longest: number;

  /** names: ASCII, lower case. */
  constructor(entries: Iterable<readonly [string, T]>) {
    const all = [...entries];
    let size = 1;
    while (size < all.length * 4) size *= 2;
    this.mask = size - 1;
    this.longest = Math.max(0, ...all.map(([name]) => name.length));
    for (let slot = 0; slot < size; slot++) this.buckets.push([]);
    for (const [text, value] of all) {
      const name = Buffer.from(text, 'latin1');
      this.buckets[hash(name) & this.mask]?.push({ name, value });
    }
  }

  get(name: Uint8Array): T | undefined {
    if (name.length > this.longest) return undefined;
    const bucket = this.buckets[hash(name) & this.mask] as Entry<T>[];
    for (let nth = 0; nth < bucket.length; nth++) {
      const entry = bucket[nth] as Entry<T>;
      if (sameName(entry.name, name)) return entry.value;
    }
    return undefined;
  }
}

function hash(name: Uint8Array): number {
  let value = name.length;
  for (let at = 0; at < name.length; at++) value = (Math.imul(value, 31) + fold(name[at] as number)) | 0;
  return value ^ (value >>> 15);
}

function fold(byte: number): number {
  return byte >= 65 && byte <= 90 ? byte + 32 : byte;
}

function sameName(lower: Uint8Array, name: Uint8Array): boolean {
  if (lower.length !== name.length) return false;
  for (let at = 0; at < lower.length; at++) if (lower[at] !== fold(name[at] as number)) return false;
  return true;
}
