import t from 'tap';
import { keyPositions, legacyRange } from '../../src/commands/key-positions.js';
import type { KeySpec } from '../../src/commands/spec-types.js';

const argv = (...words: string[]) => words.map((word) => Buffer.from(word));
const counted = (index: number): KeySpec => ({
  flags: ['RO'],
  begin_search: { index: { index } },
  find_keys: { keynum: { keynumidx: 0, firstkey: 1, keystep: 1 } },
});
const afterWord = (keyword: string, startfrom: number, limit = 0): KeySpec => ({
  flags: ['RO'],
  begin_search: { keyword: { keyword, startfrom } },
  find_keys: { range: { lastkey: -1, keystep: 1, limit } },
});

t.test('keys that the command line counts', async (t) => {
  t.same(keyPositions([counted(2)], argv('EVAL', 'script', '2', 'a', 'b', 'arg')), [3, 4]);
  t.same(keyPositions([counted(2)], argv('EVAL', 'script', '9', 'a')), [3], 'none beyond the end');
  t.same(keyPositions([counted(2)], argv('EVAL', 'script', '-1', 'a')), []);
  t.same(keyPositions([counted(2)], argv('EVAL', 'script', 'x', 'a')), []);
});

t.test('keys after a keyword, from the front or from the end', async (t) => {
  t.same(keyPositions([afterWord('KEYS', 1)], argv('C', 'x', 'keys', 'a', 'b')), [3, 4]);
  t.same(keyPositions([afterWord('KEYS', -2)], argv('C', 'x', 'KEYS', 'a', 'b')), [3, 4]);
  t.same(keyPositions([afterWord('KEYS', 1)], argv('C', 'x', 'a', 'b')), []);
  t.same(keyPositions([afterWord('STREAMS', 1, 2)], argv('XREAD', 'STREAMS', 'a', 'b', '0', '0')), [2, 3], 'half');
});

t.test('several specs give each position once, ascending', async (t) => {
  t.same(keyPositions([counted(3), counted(2)], argv('Z', 'd', '2', '1', 'b')), [3, 4]);
});

t.test('clients that know no key specs get no range for keys that move', async (t) => {
  t.same(legacyRange([counted(2)]), [0, 0, 0]);
  t.same(legacyRange([]), [0, 0, 0]);
});
