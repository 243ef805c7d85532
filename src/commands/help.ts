/** HELP of the commands that have subcommands, shaped as Redis does it: plain lines, made from protocol/. */
import { Simple } from '../resp/reply.js';
import { parseArguments } from './arguments.js';
import type { ServerCommand } from './command.js';
import { jsonReply } from './json-reply.js';
import { allSpecs, arityFits, type CommandSpec } from './spec.js';

const LINE_WIDTH = 74;

/** One '<container>|help' for every container. */
export const helpCommands: readonly ServerCommand[] = allSpecs()
  .filter((spec) => spec.subcommands?.has('help'))
  .map((container) => ({
    name: `${container.name}|help`,
    kind: 'server',
    run({ args }) {
      const help = container.subcommands?.get('help') as CommandSpec;
      const lines = helpLines(container).map((line) => new Simple(line));
      return help.group === 'admin' && parseArguments(help, args).format === 'json' ? jsonReply(lines) : lines;
    },
  }));

/** The lines for one container. */
export function helpLines(container: CommandSpec): string[] {
  const lines = [`${container.name.toUpperCase()} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:`];
  if (arityFits(container, 1)) lines.push('(no subcommand)', ...explained(container));
  const subcommands = [...(container.subcommands?.values() ?? [])];
  subcommands.sort((a, b) => Number(a.word === 'help') - Number(b.word === 'help'));
  for (const spec of subcommands) lines.push(`${spec.word.toUpperCase()} ${spec.syntax}`.trimEnd(), ...explained(spec));
  return lines;
}

function explained(spec: CommandSpec): string[] {
  return wrap(spec.summary).map((line) => `    ${line}`);
}

/** Breaks a text at blanks. */
function wrap(text: string): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > LINE_WIDTH) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}
