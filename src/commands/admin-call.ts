/**
 * What all ADMIN commands share: arguments parsed as protocol/ says, FORMAT JSON, and records turned into replies.
 */
import { CairnError } from '../base/errors.js';
import { Fields, MapReply, type Reply } from '../resp/reply.js';
import { parseArguments } from './arguments.js';
import type { Call, ServerCommand } from './command.js';
import { jsonReply } from './json-reply.js';
import { type CommandSpec, lookup } from './spec.js';

/** Parsed values, still of unknown type; the accessors narrow them to what the protocol file promises. */
export class Values {
  constructor(private readonly values: Readonly<Record<string, unknown>>) {}

  flag(name: string): boolean {
    return this.values[name] === true;
  }
  word(name: string): string | null {
    const value = this.values[name];
    return typeof value === 'string' ? value : null;
  }
  number(name: string): number | null {
    const value = this.values[name];
    return typeof value === 'number' ? value : null;
  }
  /** Of "an id or a word": which one was given. */
  either(name: string): number | string | null {
    return this.number(name) ?? this.word(name);
  }
}

/** `json`: the caller wants FORMAT JSON; LIST answers another structure then. */
export type AdminRun = (values: Values, call: Call, json: boolean) => Reply | Promise<Reply>;

/** name: 'admin.backup|create'. */
export function adminCommand(name: string, run: AdminRun): ServerCommand {
  return {
    name,
    kind: 'server',
    async run(call) {
      const { values, format } = parseArguments(specOf(name), call.args);
      const reply = await run(new Values(values), call, format === 'json');
      return format === 'json' ? jsonReply(reply) : reply;
    },
  };
}

function specOf(name: string): CommandSpec {
  const [container = '', word = ''] = name.split('|');
  const spec = word === '' ? lookup(container) : lookup(container)?.subcommands?.get(word);
  if (spec === undefined) throw new Error(`protocol/ does not know ${name}`);
  return spec;
}

/** Plain JSON values as replies: an object is a structure, a list a list, text text. */
export function replyOf(value: unknown): Reply {
  if (value === null || value === undefined) return null;
  if (typeof value === 'number' || typeof value === 'string') return value;
  if (typeof value === 'boolean') return value ? 1 : 0;
  if (Array.isArray(value)) return value.map(replyOf);
  const structure = value as object;
  if (isFlat(structure)) return new Fields(structure);
  return new MapReply(Object.entries(structure).map(([name, field]) => [name, replyOf(field)]));
}

function isFlat(value: object): value is Fields['members'] {
  for (const field of Object.values(value)) {
    if (field !== null && typeof field !== 'number' && typeof field !== 'string') return false;
  }
  return true;
}

/** The command line that triggered an operation, for the manifest: arguments as text, bounded. */
export function commandLine(name: string, args: readonly Buffer[]): string {
  const words = args.map((arg) => {
    const word = arg.toString('utf8', 0, Math.min(arg.length, 300));
    return /^[\x21-\x7e]+$/.test(word) ? word : JSON.stringify(word);
  });
  return [name.toUpperCase().replace('|', ' '), ...words].join(' ').slice(0, 2000);
}

/** An argument that the protocol file guarantees; its absence is a mistake in the program. */
export function required<T>(value: T | null, name: string): T {
  if (value === null) throw new CairnError('ERR', `argument ${name} is missing`);
  return value;
}
