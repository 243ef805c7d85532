/** Bytes that nearly are requests: valid ones mutated, cut, spliced, with lengths and counts that lie. */
import type { Random } from '../../property/support/random.js';
import { multibulk } from '../../support/resp.js';

const NUMBERS = [
  '0',
  '-0',
  '-1',
  '-2',
  '00',
  '01',
  '+1',
  '1',
  '2',
  '3',
  '10',
  '11',
  '16384',
  '16385',
  '65536',
  '1048576',
  '1048577',
  '2147483647',
  '2147483648',
  '4294967295',
  '4294967296',
  '536870912',
  '536870913',
  '9007199254740993',
  '9223372036854775807',
  '9223372036854775808',
  '18446744073709551615',
  '99999999999999999999',
  '1e3',
  '0x10',
  ' 1',
  '1 ',
  '',
  '-',
  '٣',
  '1.5',
  '\0',
  '1\0',
];
const NAMES = ['PING', 'GET', 'SET', 'ECHO', 'EXISTS', 'APPEND', 'STRLEN', 'MGET', 'NOPE'];
const BYTES = [
  '\r\n',
  '\n',
  '\r',
  '*',
  '$',
  '"',
  "'",
  '\\',
  ' ',
  '\0',
  '\t',
  '\v',
  '*1\r\n',
  '$1\r\n',
  '-',
  ':',
  '\xff',
  '\\x4',
  '\\x41',
  '*0\r\n',
  '*-1\r\n',
  '$-1\r\n',
];

/** Several requests' worth. `longest`: about the longest argument. */
export function hostileBytes(random: Random, longest = 40): Buffer {
  const parts: Buffer[] = [];
  for (let left = 1 + random.int(5); left > 0; left--) parts.push(request(random, longest));
  let bytes: Buffer = Buffer.concat(parts);
  for (let left = random.int(4); left > 0; left--) bytes = mutated(bytes, random);
  return bytes;
}

/** A valid request, in one of the forms. */
function request(random: Random, longest: number): Buffer {
  const words: Buffer[] = [Buffer.from(random.pick(NAMES))];
  for (let left = random.int(4); left > 0; left--) words.push(word(random, longest));
  if (!random.once(3)) return multibulk(...words);
  return Buffer.from(
    `${words.map((each) => inlineWord(each, random)).join(' ')}${random.pick(['\r\n', '\n'])}`,
    'latin1',
  );
}

function word(random: Random, longest: number): Buffer {
  if (random.once(2)) return Buffer.from(random.pick(['a', 'b', '', '1', 'key', 'x y', 'a\r\nb']));
  const bytes = Buffer.alloc(random.int(random.once(20) ? longest * 10 : longest));
  for (let at = 0; at < bytes.length; at++) bytes[at] = random.int(256);
  return bytes;
}

function inlineWord(word: Buffer, random: Random): string {
  const text = word.toString('latin1');
  if (/^[\w]+$/.test(text) && !random.once(3)) return text;
  if (random.once(3) && !/['\r\n\0]/.test(text)) return `'${text}'`;
  const hex = (byte: number) => `\\x${byte.toString(16).padStart(2, '0')}`;
  return `"${[...word].map((byte) => (byte > 32 && byte < 127 && byte !== 34 && byte !== 92 ? String.fromCharCode(byte) : hex(byte))).join('')}"`;
}

function mutated(bytes: Buffer, random: Random): Buffer {
  const at = random.int(bytes.length + 1);
  const insert = (text: string) =>
    Buffer.concat([bytes.subarray(0, at), Buffer.from(text, 'latin1'), bytes.subarray(at)]);
  switch (random.int(8)) {
    case 0: {
      const copy = Buffer.from(bytes);
      if (at < copy.length) copy[at] = random.int(256);
      return copy;
    }
    case 1:
      return bytes.subarray(0, at);
    case 2:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(Math.min(bytes.length, at + 1 + random.int(6)))]);
    case 3:
      return insert(random.pick(BYTES));
    case 4:
      return Buffer.concat([bytes.subarray(at), bytes.subarray(0, at)]);
    case 5:
      return insert(bytes.toString('latin1', random.int(bytes.length + 1), random.int(bytes.length + 1)));
    default:
      return lying(bytes, random);
  }
}

/** One count or length replaced. */
function lying(bytes: Buffer, random: Random): Buffer {
  const text = bytes.toString('latin1');
  const lines = [...text.matchAll(/[*$][^\r\n]*\r/g)];
  if (lines.length === 0) return bytes;
  const line = random.pick(lines);
  const from = line.index + 1;
  const number = random.once(12)
    ? '1'.repeat(random.pick([65_533, 65_534, 65_535, 65_536, 70_000]))
    : random.pick(NUMBERS);
  return Buffer.from(text.slice(0, from) + number + text.slice(from + line[0].length - 2), 'latin1');
}

/** The same bytes in pieces: where they are cut is random, and often in the middle of a line. */
export function inPieces(bytes: Buffer, random: Random): Buffer[] {
  const pieces: Buffer[] = [];
  const mean = random.pick([1, 2, 3, 7, 20, 200, 5000]);
  // No more than some hundred pieces: the long ones are long in one line.
  const least = Math.ceil(bytes.length / 400);
  for (let at = 0; at < bytes.length; ) {
    const size = least + random.int(2 * mean);
    pieces.push(Buffer.from(bytes.subarray(at, at + Math.max(1, size))));
    at += Math.max(1, size);
  }
  return pieces;
}
