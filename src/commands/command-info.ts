/**
 * COMMAND and its subcommands: what clients ask to learn the commands, where keys are, and how to route. Everything is
 * answered from protocol/, in the shapes of Redis 7.
 */
import { CairnError } from '../base/errors.js';
import { globMatch } from '../base/glob.js';
import { MapReply, type Reply, record, SetReply, Simple } from '../resp/reply.js';
import type { Call, ServerCommand } from './command.js';
import { type FlaggedKey, keysWithFlags } from './key-flags.js';
import { legacyRange } from './key-positions.js';
import { allSpecs, arityFits, type CommandSpec, find, type KeySpec, lookup } from './spec.js';
import type { ArgumentSpec, ArgumentType } from './spec-types.js';

const commands = allSpecs().filter(({ container }) => container === undefined);

export const commandInfoCommands: readonly ServerCommand[] = [
  { name: 'command', kind: 'server', run: () => commands.map(infoOf) },
  { name: 'command|count', kind: 'server', run: () => commands.length },
  { name: 'command|info', kind: 'server', run: ({ args }) => named(args).map((spec) => (spec ? infoOf(spec) : null)) },
  { name: 'command|docs', kind: 'server', run: ({ args }) => docs(named(args)) },
  { name: 'command|list', kind: 'server', run: list },
  { name: 'command|getkeys', kind: 'server', run: ({ args }) => flaggedKeys(args).map(({ at }) => args[at] as Buffer) },
  {
    name: 'command|getkeysandflags',
    kind: 'server',
    run: ({ args }) => flaggedKeys(args).map(({ at, flags }) => [args[at] as Buffer, statuses(flags)]),
  },
];

/** The specs that are named, in the order of the names, undefined for unknown ones; all commands when none is named. */
function named(names: readonly Buffer[]): (CommandSpec | undefined)[] {
  if (names.length === 0) return [...commands];
  return names.map((name) => lookup(name.toString('latin1').toLowerCase()));
}

function infoOf(spec: CommandSpec): Reply {
  return [
    spec.name,
    spec.arity,
    statuses(spec.flags),
    ...legacyRange(spec.keySpecs),
    statuses(spec.categories),
    new SetReply(spec.tips),
    new SetReply(spec.keySpecs.map(keySpecReply)),
    // As Redis has it: an empty set, but an array of subcommands.
    spec.subcommands === undefined ? new SetReply([]) : [...spec.subcommands.values()].map(infoOf),
  ];
}

function keySpecReply(spec: KeySpec): Reply {
  return record({
    ...(spec.notes !== undefined && { notes: spec.notes }),
    flags: statuses(spec.flags),
    begin_search: variant(spec.begin_search),
    find_keys: variant(spec.find_keys),
  });
}

/** { range: {…} } → type range, spec {…} */
function variant(form: object): Reply {
  const [[type, spec] = ['unknown', {}]] = Object.entries(form) as [string, Record<string, Reply>][];
  return record({ type, spec: record(spec) });
}

function statuses(words: Iterable<string>): SetReply {
  return new SetReply([...words].map((word) => new Simple(word)));
}

function docs(specs: readonly (CommandSpec | undefined)[]): MapReply {
  const known = specs.filter((spec) => spec !== undefined);
  return new MapReply(known.map((spec) => [spec.name, docsOf(spec)]));
}

function docsOf(spec: CommandSpec): Reply {
  const subcommands = [...(spec.subcommands?.values() ?? [])];
  return record({
    summary: spec.summary,
    since: spec.since,
    group: spec.group,
    complexity: spec.complexity,
    ...(spec.history && { history: new SetReply(spec.history.map((change) => [...change])) }),
    ...(spec.arguments.length > 0 && { arguments: spec.arguments.map(argumentReply) }),
    ...(subcommands.length > 0 && { subcommands: docs(subcommands) }),
  });
}

/** Clients know the types of Redis alone; those that only ADMIN commands have are strings to them. */
const redisTypes: Partial<Record<ArgumentType, string>> = { text: 'string', time: 'string', duration: 'string' };

function argumentReply(argument: ArgumentSpec): Reply {
  const flags = (['optional', 'multiple', 'multiple_token'] as const).filter((flag) => argument[flag]);
  return record({
    name: argument.name,
    type: redisTypes[argument.type] ?? argument.type,
    ...(argument.key_spec_index !== undefined && { key_spec_index: argument.key_spec_index }),
    ...(argument.token !== undefined && { token: argument.token }),
    ...(argument.summary !== undefined && { summary: argument.summary }),
    ...(argument.since !== undefined && { since: argument.since }),
    ...(argument.deprecated_since !== undefined && { deprecated_since: argument.deprecated_since }),
    ...(flags.length > 0 && { flags: statuses(flags) }),
    ...(argument.arguments !== undefined && { arguments: argument.arguments.map(argumentReply) }),
  });
}

function list({ args }: Call): Reply {
  const [filter, kind, wanted] = args;
  if (filter === undefined) return commands.map(({ name }) => name);
  if (args.length !== 3 || !isWord(filter, 'FILTERBY')) throw new CairnError('ERR', 'syntax error');
  const accepts = filterOf(kind as Buffer, wanted as Buffer);
  return allSpecs()
    .filter(accepts)
    .map(({ name }) => name);
}

function filterOf(kind: Buffer, wanted: Buffer): (spec: CommandSpec) => boolean {
  // There are no modules, so none has commands.
  if (isWord(kind, 'MODULE')) return () => false;
  if (isWord(kind, 'ACLCAT')) {
    const category = `@${wanted.toString('latin1').toLowerCase()}`;
    return (spec) => spec.categories.has(category);
  }
  if (isWord(kind, 'PATTERN')) {
    return (spec) => globMatch(wanted, Buffer.from(spec.name), { ignoreCase: true });
  }
  throw new CairnError('ERR', 'syntax error');
}

function flaggedKeys(args: readonly Buffer[]): FlaggedKey[] {
  const spec = find(args);
  if (spec === undefined) throw new CairnError('ERR', 'Invalid command specified');
  if (spec.keySpecs.length === 0) throw new CairnError('ERR', 'The command has no key arguments');
  if (!arityFits(spec, args.length)) throw new CairnError('ERR', 'Invalid number of arguments specified for command');
  return keysWithFlags(spec, args);
}

function isWord(word: Buffer, expected: string): boolean {
  return word.length === expected.length && word.toString('latin1').toUpperCase() === expected;
}
