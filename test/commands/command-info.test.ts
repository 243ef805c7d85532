/** What is Cairn's own in COMMAND; spec-redis.test.ts compares the rest with a real Redis. */
import t from 'tap';
import type { Call } from '../../src/commands/command.js';
import { commandInfoCommands } from '../../src/commands/command-info.js';
import { allSpecs, resolve } from '../../src/commands/spec.js';
import { MapReply, type Reply } from '../../src/resp/reply.js';
import { plainReply } from '../support/plain-reply.js';

const ask = async (...words: string[]): Promise<Reply> => {
  const { name, args } = resolve(words.map((word) => Buffer.from(word)));
  const command = commandInfoCommands.find((command) => command.name === name);
  if (command === undefined) throw new Error(`no ${name}`);
  return command.run({ args } as unknown as Call);
};
const plain = async (...words: string[]) => plainReply(await ask(...words));
const commands = allSpecs().filter(({ container }) => container === undefined);

t.test('COMMAND, COMMAND COUNT and COMMAND LIST agree on the commands', async (t) => {
  const all = (await plain('COMMAND')) as unknown[][];
  t.same(
    all.map(([name]) => name),
    commands.map(({ name }) => name),
  );
  t.equal(await plain('COMMAND', 'COUNT'), commands.length);
  t.same(
    await plain('COMMAND', 'LIST'),
    commands.map(({ name }) => name),
  );
  t.same(await plain('COMMAND', 'INFO'), all);
});

t.test('COMMAND INFO knows subcommands by their full name', async (t) => {
  t.same(await plain('COMMAND', 'INFO', 'ADMIN.BACKUP|create'), [
    [
      'admin.backup|create',
      -2,
      ['admin', 'noscript', 'stale', 'no_multi'],
      0,
      0,
      0,
      ['@admin', '@slow', '@dangerous'],
      [],
      [],
      [],
    ],
  ]);
  const [container] = (await plain('COMMAND', 'INFO', 'admin.backup')) as unknown[][];
  const names = ((container?.[9] ?? []) as unknown[][]).map(([name]) => name);
  t.ok(names.includes('admin.backup|create') && names.includes('admin.backup|help'));
});

t.test('reading ADMIN.BACKUP commands are answered while a state is swapped in, changing ones are not', async (t) => {
  for (const spec of allSpecs().filter(({ container }) => container === 'admin.backup')) {
    const reading = ['list', 'info', 'verify', 'tags', 'window', 'status', 'wait', 'help'].includes(spec.word);
    t.equal(spec.categories.has('@dangerous'), !reading, spec.name);
    t.ok(spec.categories.has('@admin') && spec.categories.has('@slow'));
    if (spec.word !== 'cancel') t.equal(spec.flags.has('loading'), reading, `${spec.name} loading`);
  }
});

t.test('COMMAND DOCS documents options in types that every client knows', async (t) => {
  const known = ['string', 'integer', 'double', 'key', 'pattern', 'unix-time', 'pure-token', 'oneof', 'block'];
  const types: string[] = [];
  const visit = (reply: Reply): void => {
    for (const item of Array.isArray(reply) ? (reply as readonly Reply[]) : []) visit(item);
    if (!(reply instanceof MapReply)) return;
    for (const [name, value] of reply.entries) {
      if (name === 'type' && typeof value === 'string') types.push(value);
      else visit(value);
    }
  };
  visit(await ask('COMMAND', 'DOCS'));
  t.same(
    [...new Set(types)].filter((type) => !known.includes(type)),
    [],
  );
  const docs = JSON.stringify(await plain('COMMAND', 'DOCS', 'admin.backup|pin'));
  t.match(docs, /"group","admin"/);
});

t.test('COMMAND LIST finds the ADMIN commands by category and pattern', async (t) => {
  const admin = (await plain('COMMAND', 'LIST', 'FILTERBY', 'ACLCAT', 'admin')) as string[];
  t.ok(admin.includes('admin.backup|restore') && admin.includes('admin.readonly'));
  t.same(await plain('COMMAND', 'LIST', 'FILTERBY', 'PATTERN', 'admin.backup|*pin'), [
    'admin.backup|pin',
    'admin.backup|unpin',
  ]);
});
