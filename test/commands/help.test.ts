import t from 'tap';
import type { Call } from '../../src/commands/command.js';
import { helpCommands, helpLines } from '../../src/commands/help.js';
import { allSpecs, type CommandSpec, lookup } from '../../src/commands/spec.js';
import { plainReply } from '../support/plain-reply.js';

const containers = allSpecs().filter(({ subcommands }) => subcommands !== undefined);

t.test('every command with subcommands has HELP', async (t) => {
  t.same(helpCommands.map(({ name }) => name).sort(), containers.map(({ name }) => `${name}|help`).sort());
});

t.test('HELP is shaped as Redis shapes it, names every subcommand and ends with itself', async (t) => {
  for (const container of containers) {
    const lines = helpLines(container);
    t.equal(lines[0], `${container.name.toUpperCase()} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:`);
    for (const word of container.subcommands?.keys() ?? []) {
      t.ok(
        lines.some((line) => line.split(' ')[0] === word.toUpperCase()),
        `${container.name} ${word}`,
      );
    }
    t.match(lines.at(-2), /^HELP/);
    t.match(lines.at(-1), /^ {4}\S/);
    t.ok(lines.filter((line) => line.startsWith(' ')).every((line) => line.length <= 80));
  }
});

t.test('ADMIN.BACKUP HELP shows the options and explains every subcommand', async (t) => {
  const lines = helpLines(lookup('admin.backup') as CommandSpec);
  t.ok(lines.includes('PIN id [FORMAT JSON]'));
  t.ok(lines.some((line) => line.includes('[TYPE <FULL | INCREMENTAL | DIFFERENTIAL>]')));
  const explained = (word: string) => {
    const after = lines.slice(lines.findIndex((line) => line.split(' ')[0] === word) + 1);
    const end = after.findIndex((line) => !line.startsWith(' '));
    return after
      .slice(0, end)
      .map((line) => line.trim())
      .join(' ');
  };
  t.equal(explained('WINDOW'), 'Tells which moments can be restored to the microsecond.');
  t.equal(explained('CREATE'), 'Takes a backup of the whole database.');
});

t.test('HELP of an ADMIN command takes FORMAT JSON', async (t) => {
  const command = helpCommands.find(({ name }) => name === 'admin.backup|help');
  const args = ['FORMAT', 'json'].map((word) => Buffer.from(word));
  const text = plainReply((await command?.run({ args } as unknown as Call)) ?? null) as string;
  t.same(JSON.parse(text), helpLines(lookup('admin.backup') as CommandSpec));
});
