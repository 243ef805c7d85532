/**
 * Where the keys are in a command line, by Redis's key specs: a place to begin (a fixed position, or the position
 * after a keyword) and a way to go on from there (a range with a step, or a count that the command line carries).
 */
import type { KeySpec } from './spec-types.js';

/** Positions in argv of every key, ascending and without repetition. */
export function keyPositions(specs: readonly KeySpec[], argv: readonly Buffer[]): number[] {
  const only = specs[0];
  if (only === undefined) return [];
  if (specs.length === 1) return positionsOf(only, argv);
  return [...new Set(specs.flatMap((spec) => positionsOf(spec, argv)))].sort((a, b) => a - b);
}

/** First key, last key and step as COMMAND INFO tells them for clients that know no key specs. */
export function legacyRange(specs: readonly KeySpec[]): [first: number, last: number, step: number] {
  let first = 0;
  let last = 0;
  let step = 0;
  for (const spec of specs) {
    if (!('index' in spec.begin_search) || !('range' in spec.find_keys)) continue;
    const begin = spec.begin_search.index.index;
    const { lastkey, keystep } = spec.find_keys.range;
    if (first !== 0 && begin !== last + 1) continue;
    if (first === 0) [first, step] = [begin, keystep];
    last = lastkey >= 0 ? begin + lastkey : lastkey;
    if (last < 0) break;
  }
  return [first, last, step];
}

/** Of one spec. */
export function positionsOf(spec: KeySpec, argv: readonly Buffer[]): number[] {
  if ('unknown' in spec.begin_search || 'unknown' in spec.find_keys) {
    return spec.flags.includes('OW') ? storePosition(argv) : [];
  }
  const begin = beginOf(spec.begin_search, argv);
  if (begin === 0 || begin >= argv.length) return [];
  const positions: number[] = [];
  if ('range' in spec.find_keys) {
    const { lastkey, keystep, limit } = spec.find_keys.range;
    const last = lastOf(begin, lastkey, limit, argv.length);
    for (let at = begin; at <= last && at < argv.length; at += keystep) positions.push(at);
    return positions;
  }
  const { keynumidx, firstkey, keystep } = spec.find_keys.keynum;
  const count = Number(argv[begin + keynumidx]?.toString('latin1') ?? Number.NaN);
  if (!Number.isSafeInteger(count) || count < 0) return [];
  for (let nth = 0; nth < count; nth++) {
    const at = begin + firstkey + nth * keystep;
    if (at >= argv.length) break;
    positions.push(at);
  }
  return positions;
}

/** 0 when the keyword is not there (no key is at 0). */
function beginOf(search: Exclude<KeySpec['begin_search'], { unknown: unknown }>, argv: readonly Buffer[]): number {
  if ('index' in search) return search.index.index;
  const { keyword, startfrom } = search.keyword;
  const backwards = startfrom < 0;
  const from = backwards ? argv.length + startfrom : startfrom;
  for (let at = from; at > 0 && at < argv.length; at += backwards ? -1 : 1) {
    if (argv[at]?.toString('latin1').toUpperCase() === keyword) return at + 1;
  }
  return 0;
}

function lastOf(begin: number, lastkey: number, limit: number, argc: number): number {
  if (lastkey >= 0) return begin + lastkey;
  if (limit > 1) return begin + Math.trunc((argc - begin) / limit) + lastkey;
  return argc + lastkey;
}

/** How many values follow an option word of SORT, so that none of them is taken for STORE. */
const valuesOfSort: Readonly<Record<string, number>> = { LIMIT: 2, GET: 1, BY: 1, STORE: 1 };

/** What SORT stores into: the word after the last STORE. */
function storePosition(argv: readonly Buffer[]): number[] {
  let found: number[] = [];
  for (let at = 2; at < argv.length; at++) {
    const option = (argv[at] as Buffer).toString('latin1').toUpperCase();
    if (option === 'STORE' && at + 1 < argv.length) found = [at + 1];
    at += Object.hasOwn(valuesOfSort, option) ? (valuesOfSort[option] as number) : 0;
  }
  return found;
}
