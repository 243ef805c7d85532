/**
 * What rules speak of: commands, the categories that they are in, and the keys that a request names. The table of the
 * commands is handed in, so that rules know nothing of how commands are described or run.
 */

/** One key of a request, and what the command does with it. */
export interface KeyUse {
  /** Position in argv. */
  readonly at: number;
  readonly reads: boolean;
  readonly writes: boolean;
}

export interface GuardedCommand {
  /** A number of its own, from 0 on. */
  readonly id: number;
  /** Lower case; subcommands as 'config|get'. */
  readonly name: string;
  /** With the @. */
  readonly categories: ReadonlySet<string>;
  readonly flags: ReadonlySet<string>;
  readonly container?: string;
  /** By the last word of their names. */
  readonly subcommands?: ReadonlyMap<string, GuardedCommand>;
  keyUses(argv: readonly Buffer[]): readonly KeyUse[];
}

export interface Catalogue {
  /** Of a lower-case name. */
  lookup(name: string): GuardedCommand | undefined;
  /** Every command and subcommand. */
  all(): readonly GuardedCommand[];
}

/** Redis's categories in its order, also those that no command here is in: rules that name them are valid. */
export const categories = [
  'keyspace',
  'read',
  'write',
  'set',
  'sortedset',
  'list',
  'hash',
  'string',
  'bitmap',
  'hyperloglog',
  'geo',
  'stream',
  'pubsub',
  'admin',
  'fast',
  'slow',
  'blocking',
  'dangerous',
  'connection',
  'transaction',
  'scripting',
] as const;

/** In any case, without the @. */
export function isCategory(word: string): boolean {
  return (categories as readonly string[]).includes(word.toLowerCase());
}
