/** LCS: the longest common subsequence of two strings, its length, or where its pieces lie. */
import { CairnError } from '../base/errors.js';
import { MapReply, type Reply } from '../resp/reply.js';
import type { DataCommand } from './command.js';
import { integer } from './integers.js';
import { syntaxError, word } from './words.js';

const EMPTY = Buffer.alloc(0);
/** The table has a cell for each pair of positions; Redis refuses at the same place, by memory. */
const MAX_CELLS = 2 ** 28;

interface Options {
  idx: boolean;
  len: boolean;
  minMatchLen: number;
  withMatchLen: boolean;
}

/** A piece of the subsequence: the same bytes in both strings. Ends are inclusive. */
interface Match {
  a: [number, number];
  b: [number, number];
}

const lcs: DataCommand = {
  name: 'lcs',
  kind: 'data',
  run(tx, args, { database }) {
    const [first, second, ...words] = args as [Buffer, Buffer, ...Buffer[]];
    const a = tx.get(database, first)?.bytes ?? EMPTY;
    const b = tx.get(database, second)?.bytes ?? EMPTY;
    const options = parseOptions(words);
    if ((a.length + 1) * (b.length + 1) > MAX_CELLS) {
      throw new CairnError('ERR', 'Insufficient memory, failed allocating transient memory, string too long?');
    }
    const table = lengths(a, b);
    const length = table[a.length * (b.length + 1) + b.length] as number;
    if (options.len) return length;
    const { matches, bytes } = walk(a, b, table);
    return options.idx ? indexes(matches, length, options) : bytes;
  },
};

function parseOptions(words: readonly Buffer[]): Options {
  const options: Options = { idx: false, len: false, minMatchLen: 0, withMatchLen: false };
  for (let at = 0; at < words.length; at += 1) {
    const option = word(words[at] as Buffer);
    const value = words[at + 1];
    if (option === 'IDX') options.idx = true;
    else if (option === 'LEN') options.len = true;
    else if (option === 'WITHMATCHLEN') options.withMatchLen = true;
    else if (option === 'MINMATCHLEN' && value !== undefined) {
      options.minMatchLen = Math.max(0, Number(integer(value)));
      at += 1;
    } else throw syntaxError();
  }
  if (options.idx && options.len) {
    throw new CairnError('ERR', 'If you want both the length and indexes, please just use IDX.');
  }
  return options;
}

/** table[i · (|b| + 1) + j]: the length for the first i bytes of a and the first j of b. */
function lengths(a: Buffer, b: Buffer): Uint32Array {
  const width = b.length + 1;
  const table = new Uint32Array((a.length + 1) * width);
  for (let i = 1; i <= a.length; i += 1) {
    for (let j = 1; j <= b.length; j += 1) {
      const at = i * width + j;
      table[at] =
        a[i - 1] === b[j - 1]
          ? (table[at - width - 1] as number) + 1
          : Math.max(table[at - width] as number, table[at - 1] as number);
    }
  }
  return table;
}

/** From the ends to the beginnings, as Redis goes: of equal ways the one that keeps b's position is taken. */
function walk(a: Buffer, b: Buffer, table: Uint32Array): { matches: Match[]; bytes: Buffer } {
  const width = b.length + 1;
  const matches: Match[] = [];
  const found: number[] = [];
  let match: Match | null = null;
  let [i, j] = [a.length, b.length];
  while (i > 0 && j > 0) {
    if (a[i - 1] === b[j - 1]) {
      found.push(a[i - 1] as number);
      if (match !== null && match.a[0] === i && match.b[0] === j) {
        match.a[0] -= 1;
        match.b[0] -= 1;
      } else {
        match = { a: [i - 1, i - 1], b: [j - 1, j - 1] };
        matches.push(match);
      }
      i -= 1;
      j -= 1;
    } else if ((table[(i - 1) * width + j] as number) > (table[i * width + j - 1] as number)) {
      i -= 1;
    } else {
      j -= 1;
    }
  }
  return { matches, bytes: Buffer.from(found.reverse()) };
}

function indexes(matches: readonly Match[], length: number, { minMatchLen, withMatchLen }: Options): Reply {
  const shown = matches
    .map(({ a, b }) => ({ a, b, size: a[1] - a[0] + 1 }))
    .filter(({ size }) => size >= minMatchLen)
    .map(({ a, b, size }) => (withMatchLen ? [a, b, size] : [a, b]));
  return new MapReply([
    ['matches', shown],
    ['len', length],
  ]);
}

export const lcsCommands: readonly DataCommand[] = [lcs];
