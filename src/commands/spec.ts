/**
 * What every command is, as protocol/ says it: arity, flags, categories, keys, arguments. The dispatcher asks
 * `resolve` which command a request is; nothing else decides about names and arity.
 *
 *   argv [ 'ADMIN.BACKUP', 'pin', '5' ]  →  { spec, name: 'admin.backup|pin', args: [ '5' ] }
 */
import { CairnError } from '../base/errors.js';
import { keyUses } from './key-flags.js';
import { keyPositions } from './key-positions.js';
import { NameTable } from './name-table.js';
import type { CommandSpec, RawCommand } from './spec-types.js';
import { commandTable } from './table.generated.js';

export type { ArgumentSpec, ArgumentType, CommandSpec, KeySpec } from './spec-types.js';

/** What a request turned out to be. */
export interface Resolved {
  readonly spec: CommandSpec;
  /** As in `Command.name`: 'get', 'admin.backup|create'. */
  readonly name: string;
  /** What follows the name and the subcommand. */
  readonly args: Buffer[];
}

interface Entry {
  readonly spec: CommandSpec;
  /** null: the command has no subcommands. */
  readonly subcommands: NameTable<CommandSpec> | null;
}

/** Redis cuts what it repeats of a request at this many bytes. */
const ECHO_BYTES = 128;

const specs = buildSpecs(commandTable);
const byName = new Map(specs.map((spec) => [spec.name, spec]));
const commands = new NameTable(
  specs.filter((spec) => spec.container === undefined).map((spec) => [spec.name, entryOf(spec)] as const),
);

/** The spec of a lower-case name, subcommands as 'admin.backup|create'. */
export function lookup(name: string): CommandSpec | undefined {
  return byName.get(name);
}

/** Every command and subcommand, in the order of their names. */
export function allSpecs(): readonly CommandSpec[] {
  return specs;
}

/**
 * Which command a request is. Throws ERR, in Redis 7's words, for an unknown command or subcommand and for a wrong
 * number of arguments. argv has at least one element.
 */
export function resolve(argv: Buffer[]): Resolved {
  const entry = commands.get(argv[0] as Buffer);
  if (entry === undefined) throw unknownCommand(argv);
  let spec = entry.spec;
  let consumed = 1;
  if (entry.subcommands !== null && argv.length > 1) {
    const subcommand = entry.subcommands.get(argv[1] as Buffer);
    if (subcommand === undefined) throw unknownSubcommand(entry.spec, argv[1] as Buffer);
    spec = subcommand;
    consumed = 2;
  }
  if (!arityFits(spec, argv.length)) throw wrongArity(spec);
  return { spec, name: spec.name, args: argv.slice(consumed) };
}

/** The same without an error: undefined when there is no such command; arity is not looked at. */
export function find(argv: readonly Buffer[]): CommandSpec | undefined {
  const entry = commands.get(argv[0] as Buffer);
  if (entry === undefined || entry.subcommands === null || argv.length < 2) return entry?.spec;
  return entry.subcommands.get(argv[1] as Buffer);
}

/** Whether a command line of argc words (the name included) is long enough, or of the exact length. */
export function arityFits(spec: CommandSpec, argc: number): boolean {
  return spec.arity >= 0 ? argc === spec.arity : argc >= -spec.arity;
}

export function wrongArity(spec: CommandSpec): CairnError {
  return new CairnError('ERR', `wrong number of arguments for '${spec.name}' command`);
}

function unknownSubcommand(container: CommandSpec, word: Buffer): CairnError {
  const shown = echo(word, ECHO_BYTES);
  return new CairnError('ERR', `unknown subcommand '${shown}'. Try ${container.name.toUpperCase()} HELP.`);
}

function unknownCommand(argv: readonly Buffer[]): CairnError {
  let shown = '';
  let bytes = 0;
  for (let at = 1; at < argv.length && bytes < ECHO_BYTES; at++) {
    const word = echo(argv[at] as Buffer, ECHO_BYTES - bytes);
    shown += `'${word}' `;
    bytes += Buffer.byteLength(word) + 3;
  }
  const name = echo(argv[0] as Buffer, ECHO_BYTES);
  return new CairnError('ERR', `unknown command '${name}', with args beginning with: ${shown}`);
}

/** A request's own bytes in an error: to the first NUL, at most so many, line ends as blanks. */
function echo(bytes: Buffer, limit: number): string {
  const zero = bytes.indexOf(0);
  const end = Math.min(limit, zero === -1 ? bytes.length : zero);
  return bytes.toString('utf8', 0, end).replace(/[\r\n]/g, ' ');
}

function entryOf(spec: CommandSpec): Entry {
  return { spec, subcommands: spec.subcommands === undefined ? null : new NameTable(spec.subcommands) };
}

function buildSpecs(table: readonly RawCommand[]): CommandSpec[] {
  const subcommandsOf = new Map<string, Map<string, CommandSpec>>();
  for (const { name } of table) if (name.includes('|')) subcommandsOf.set(beforeBar(name), new Map());
  return table.map((raw, id) => {
    const container = raw.name.includes('|') ? beforeBar(raw.name) : undefined;
    const subcommands = subcommandsOf.get(raw.name);
    const keySpecs = raw.keySpecs ?? [];
    const spec: CommandSpec = {
      ...raw,
      id,
      ...(container !== undefined && { container }),
      ...(subcommands !== undefined && { subcommands }),
      word: raw.name.slice(raw.name.indexOf('|') + 1),
      flags: new Set(raw.flags),
      categories: new Set(raw.categories),
      tips: raw.tips ?? [],
      keySpecs,
      arguments: raw.arguments ?? [],
      keyIndexes: (argv) => keyPositions(keySpecs, argv),
      keyUses: (argv) => keyUses(spec, argv),
    };
    if (container !== undefined) subcommandsOf.get(container)?.set(spec.word, spec);
    return spec;
  });
}

function beforeBar(name: string): string {
  return name.slice(0, name.indexOf('|'));
}
