/**
 * The keys of a command line with what becomes of each, as COMMAND GETKEYSANDFLAGS tells it. Mostly that is what the
 * key spec says; of SET and BITFIELD the arguments decide (`variable_flags`). For access rules `access` reads, `update`,
 * `insert` and `delete` write; a key with none of them (EXISTS, TYPE) is only named.
 */
import type { KeyUse } from '../acl/catalogue.js';
import { positionsOf } from './key-positions.js';
import type { CommandSpec } from './spec-types.js';

export interface FlaggedKey {
  /** Position in argv. */
  readonly at: number;
  /** As Redis names them, in its order. */
  readonly flags: readonly string[];
}

const writing = ['update', 'insert', 'delete'];

const byArguments: Readonly<Record<string, (argv: readonly Buffer[]) => string[]>> = {
  set: (argv) => (argv.slice(3).some((word) => isWord(word, 'GET')) ? ['RW', 'access', 'update'] : ['OW', 'update']),
  bitfield: (argv) => (onlyReads(argv) ? ['RO', 'access'] : ['RW', 'access', 'update']),
};

export function keysWithFlags(spec: CommandSpec, argv: readonly Buffer[]): FlaggedKey[] {
  return spec.keySpecs.flatMap((keySpec) => {
    const flags = byArguments[spec.name]?.(argv) ?? keySpec.flags;
    return positionsOf(keySpec, argv).map((at) => ({ at, flags }));
  });
}

export function keyUses(spec: CommandSpec, argv: readonly Buffer[]): KeyUse[] {
  return keysWithFlags(spec, argv)
    .filter(({ flags }) => !flags.includes('not_key'))
    .map(({ at, flags }) => ({
      at,
      reads: flags.includes('access'),
      writes: writing.some((flag) => flags.includes(flag)),
    }));
}

/** BITFIELD key [GET type offset | OVERFLOW behaviour] … */
function onlyReads(argv: readonly Buffer[]): boolean {
  for (let at = 2; at < argv.length; at++) {
    const left = argv.length - at - 1;
    if (isWord(argv[at] as Buffer, 'GET') && left >= 2) at += 2;
    else if (isWord(argv[at] as Buffer, 'OVERFLOW') && left >= 1) at += 1;
    else return false;
  }
  return true;
}

function isWord(text: Buffer, word: string): boolean {
  return text.length === word.length && text.toString('latin1').toUpperCase() === word;
}
