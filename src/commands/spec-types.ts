/**
 * The forms that a command's protocol file takes in code. table.generated.ts holds the facts in the short form of
 * `RawCommand`; spec.ts turns them into `CommandSpec`. protocol/README.md says what each field means.
 */

import type { KeyUse } from '../acl/catalogue.js';

export type ArgumentType =
  | 'string'
  | 'integer'
  | 'double'
  | 'key'
  | 'pattern'
  | 'unix-time'
  | 'pure-token'
  | 'oneof'
  | 'block'
  | 'text'
  | 'time'
  | 'duration';

export interface ArgumentSpec {
  readonly name: string;
  readonly type: ArgumentType;
  /** The option word, in capitals. */
  readonly token?: string;
  /** What the documentation calls the value after the token. */
  readonly display?: string;
  readonly summary?: string;
  readonly optional?: true;
  readonly multiple?: true;
  readonly multiple_token?: true;
  readonly key_spec_index?: number;
  readonly since?: string;
  readonly deprecated_since?: string;
  /** The smallest integer that is taken. */
  readonly minimum?: number;
  /** The error code for a word that is none of the alternatives, where it is more specific than ERR. */
  readonly unknown?: string;
  /** Names of arguments that must not be given together with this one. */
  readonly conflicts?: readonly string[];
  readonly arguments?: readonly ArgumentSpec[];
}

export interface KeySpec {
  readonly notes?: string;
  readonly flags: readonly string[];
  readonly begin_search:
    | { readonly index: { readonly index: number } }
    | { readonly keyword: { readonly keyword: string; readonly startfrom: number } }
    | { readonly unknown: Record<string, never> };
  readonly find_keys:
    | { readonly range: { readonly lastkey: number; readonly keystep: number; readonly limit: number } }
    | { readonly keynum: { readonly keynumidx: number; readonly firstkey: number; readonly keystep: number } }
    | { readonly unknown: Record<string, never> };
}

/** One entry of the generated table. */
export interface RawCommand {
  /** Lower case; subcommands as 'admin.backup|create'. */
  readonly name: string;
  readonly summary: string;
  readonly since: string;
  readonly group: string;
  readonly complexity: string;
  readonly arity: number;
  readonly flags: readonly string[];
  readonly categories: readonly string[];
  readonly tips?: readonly string[];
  readonly keySpecs?: readonly KeySpec[];
  readonly arguments?: readonly ArgumentSpec[];
  /** The arguments as the documentation writes them: 'id [FORCE] [FORMAT JSON]'. */
  readonly syntax: string;
  readonly history?: readonly (readonly [string, string])[];
  /** Names of the reply's fields, in their order, where the reply is a structure. */
  readonly replyFields?: readonly string[];
}

export interface CommandSpec extends Omit<RawCommand, 'flags' | 'categories' | 'keySpecs' | 'arguments' | 'tips'> {
  /** Its place in the table. */
  readonly id: number;
  /** The name of the command that this is a subcommand of. */
  readonly container?: string;
  /** The last word of the name: 'create' of 'admin.backup|create'. */
  readonly word: string;
  /** Redis's rule: counts the name (and the subcommand); negative means at least. */
  readonly arity: number;
  /** As COMMAND INFO names them, in its order. */
  readonly flags: ReadonlySet<string>;
  /** With the @, in the order of COMMAND INFO. */
  readonly categories: ReadonlySet<string>;
  readonly tips: readonly string[];
  readonly keySpecs: readonly KeySpec[];
  readonly arguments: readonly ArgumentSpec[];
  readonly subcommands?: ReadonlyMap<string, CommandSpec>;
  /** Positions in argv (the command's name is 0) of the keys; ascending, none beyond the end. */
  keyIndexes(argv: readonly Buffer[]): number[];
  /** The same with what becomes of each, for access rules. */
  keyUses(argv: readonly Buffer[]): readonly KeyUse[];
}
