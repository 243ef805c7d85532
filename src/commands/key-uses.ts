/**
 * What a request does with each of its keys, for access rules: a key spec's `access` reads, `update`, `insert` and `delete`
 * write; a key with none of them (EXISTS, TYPE) is only named. Where the arguments decide (`variable_flags`), a
 * function per command looks at them; without one the spec's own flags, which say all that may happen, count.
 */
import type { KeyUse } from '../acl/catalogue.js';
import { positionsOf } from './key-positions.js';
import type { KeySpec } from './spec-types.js';

type Use = Omit<KeyUse, 'at'>;

export function keyUses(name: string, specs: readonly KeySpec[], argv: readonly Buffer[]): KeyUse[] {
  const uses: KeyUse[] = [];
  for (const spec of specs) {
    if (spec.flags.includes('not_key')) continue;
    const variable = spec.flags.includes('variable_flags') ? byArguments[name] : undefined;
    const use = variable?.(argv) ?? useOf(spec);
    for (const at of positionsOf(spec, argv)) uses.push({ at, ...use });
  }
  return uses;
}

function useOf({ flags }: KeySpec): Use {
  const writes = ['update', 'insert', 'delete'].some((flag) => flags.includes(flag));
  return { reads: flags.includes('access'), writes };
}

const byArguments: Readonly<Record<string, (argv: readonly Buffer[]) => Use>> = {
  /** SET key value … GET reads what was there. */
  set: (argv) => ({ reads: argv.slice(3).some((word) => isWord(word, 'get')), writes: true }),
  bitfield: (argv) => ({ reads: true, writes: !onlyReads(argv) }),
};

/** BITFIELD key [GET type offset | OVERFLOW behaviour] …; what is written otherwise counts as a write. */
function onlyReads(argv: readonly Buffer[]): boolean {
  for (let at = 2; at < argv.length; ) {
    const word = argv[at] as Buffer;
    const left = argv.length - at - 1;
    if (isWord(word, 'get') && left >= 2) at += 3;
    else if (isWord(word, 'overflow') && left >= 1) at += 2;
    else return false;
  }
  return true;
}

/** word: lower case */
function isWord(text: Buffer, word: string): boolean {
  return text.length === word.length && text.toString('latin1').toLowerCase() === word;
}
