/** protocol/ against a real Redis: what describes a command of Redis here is what Redis says of itself. */
import t from 'tap';
import { CairnError } from '../../src/base/errors.js';
import type { Call } from '../../src/commands/command.js';
import { commandInfoCommands } from '../../src/commands/command-info.js';
import { allSpecs, resolve } from '../../src/commands/spec.js';
import { plainReply } from '../support/plain-reply.js';
import { RealRedis } from '../support/real-redis.js';

/** Differences on purpose: of this version of Redis, or of what Cairn can do. */
const exceptions: Record<string, string> = {
  bgsave: 'a backup cannot start inside a transaction: no_multi',
  lastsave: 'looks at the repository, which cannot be waited for inside a transaction: no_multi',
  'config|rewrite': 'writes a file, which cannot be waited for inside a transaction: no_multi',
  'acl|save': 'writes a file, which cannot be waited for inside a transaction: no_multi',
  'acl|load': 'reads a file, which cannot be waited for inside a transaction: no_multi',
  'client|setinfo': 'came with Redis 7.2',
  'client|no-touch': 'came with Redis 7.2',
};

/** Command lines whose keys, and what becomes of them, are the same in both. */
const keyLines = [
  'SET a 1',
  'SET a 1 GET',
  'set a 1 ex 10 get',
  'SET a GET',
  'BITFIELD a',
  'BITFIELD a GET u8 0',
  'BITFIELD a GET u8 0 OVERFLOW SAT',
  'BITFIELD a OVERFLOW',
  'BITFIELD a GET u8',
  'BITFIELD a SET u8 0 1',
  'BITFIELD_RO a GET u8 0',
  'MSET a 1 a 2',
  'MGET a b a',
  'COPY a b',
  'RENAME a b',
  'RENAMENX a b',
  'MOVE a 1',
  'LCS a b',
  'BITOP AND d a b',
  'RESTORE a 0 x',
  'DUMP a',
  'OBJECT ENCODING a',
  'OBJECT NOPE a',
  'OBJECT HELP',
  'MEMORY USAGE a',
  'MEMORY STATS',
  'SORT k',
  'SORT k STORE d',
  'SORT k STORE d STORE e',
  'SORT k BY x GET y STORE d ALPHA',
  'SORT k GET store d STORE e',
  'SORT k LIMIT STORE d STORE e',
  'SORT k STORE',
  'SORT k BY STORE',
  'SORT_RO k BY x GET y',
  'WATCH a b',
  'GETEX a',
  'GETDEL a',
  'TOUCH a b',
  'GET a b',
  'PING x',
  'SWAPDB 0 1',
  'NOPE x',
];

const redis = await RealRedis.start(t.testdir());
if (redis === null) {
  t.plan(0, 'no redis-server is installed');
} else {
  t.teardown(() => redis.stop());
  const ofRedis = allSpecs().filter(({ group }) => group !== 'admin');
  const run = async (...words: string[]): Promise<unknown> => {
    try {
      const { name, args } = resolve(words.map((word) => Buffer.from(word)));
      const command = commandInfoCommands.find((command) => command.name === name);
      if (command === undefined) return name;
      return plainReply(await command.run({ args } as unknown as Call));
    } catch (error) {
      if (error instanceof CairnError) return error;
      throw error;
    }
  };
  /** Error texts on both sides, as clients see them. */
  const outcome = (reply: unknown) => {
    if (reply instanceof CairnError) return `-${reply.line}`;
    return reply instanceof Error ? `-${reply.message}` : reply;
  };

  t.test('COMMAND INFO says the same of every command of Redis', async (t) => {
    for (const { name } of ofRedis.filter(({ name }) => exceptions[name] === undefined)) {
      const [ours] = (await run('COMMAND', 'INFO', name)) as unknown[][];
      const [theirs] = (await redis.ask('COMMAND', 'INFO', name)) as unknown[][];
      // Subcommands are compared one by one; notes are prose.
      t.same(withoutNotes(ours?.slice(0, 9)), withoutNotes(theirs?.slice(0, 9)), name);
    }
  });

  t.test('the exceptions are exceptions', async (t) => {
    for (const [name, why] of Object.entries(exceptions)) {
      const [ours] = (await run('COMMAND', 'INFO', name)) as unknown[][];
      const [theirs] = (await redis.ask('COMMAND', 'INFO', name)) as unknown[][];
      t.notSame(ours, theirs, `${name}: ${why}`);
    }
  });

  t.test('COMMAND DOCS names the same arguments, group and version', async (t) => {
    for (const { name } of ofRedis.filter(({ name }) => exceptions[name]?.includes('came with') !== true)) {
      const ours = fields(((await run('COMMAND', 'DOCS', name)) as unknown[])[1]);
      const theirs = fields(((await redis.ask('COMMAND', 'DOCS', name)) as unknown[])[1]);
      for (const field of ['since', 'group', 'arguments']) t.same(ours[field], theirs[field], `${name} ${field}`);
    }
  });

  const sameAnswers: string[][] = [
    ['COMMAND', 'INFO', 'nope', 'GET', 'command|nope', 'get|x'],
    ['COMMAND', 'DOCS', 'nope', 'config|nope'],
    ['COMMAND', 'LIST', 'FILTERBY', 'MODULE', 'x'],
    ['COMMAND', 'LIST', 'filterby', 'aclcat', 'nope'],
    ['COMMAND', 'LIST', 'filterby', 'aclcat', '@transaction'],
    ['COMMAND', 'LIST', 'FILTERBY', 'NOPE', 'x'],
    ['COMMAND', 'LIST', 'FILTERBY', 'PATTERN'],
    ['COMMAND', 'LIST', 'nope'],
    ['COMMAND', 'GETKEYS', 'MSET', 'a', '1', 'b', '2'],
    ['COMMAND', 'GETKEYS', 'SET', 'a', '1', 'EX', '10', 'GET'],
    ['COMMAND', 'GETKEYS', 'GET', 'a', 'b'],
    ['COMMAND', 'GETKEYS', 'PING', 'a'],
    ['COMMAND', 'GETKEYS', 'CONFIG', 'GET', 'a'],
    ['COMMAND', 'GETKEYS', 'CONFIG', 'NOPE', 'a'],
    ['COMMAND', 'GETKEYS', 'NOPE', 'a'],
    ['COMMAND', 'GETKEYS', 'GET'],
    ...keyLines.flatMap((line) => [
      ['COMMAND', 'GETKEYS', ...line.split(' ')],
      ['COMMAND', 'GETKEYSANDFLAGS', ...line.split(' ')],
    ]),
    ['COMMAND', 'GETKEYSANDFLAGS'],
    ['COMMAND', 'COUNT', 'x'],
    ['COMMAND', 'NOPE'],
    ['CONFIG'],
    ['CONFIG', 'NOPE', 'x'],
    ['CONFIG', 'GET'],
    ['CONFIG', 'a\r\nb'],
    ['CONFIG', 'n'.repeat(200)],
    ['CLIENT', 'SETNAME'],
    ['GET'],
    ['GET', 'a', 'b'],
    ['SET', 'a'],
    ['config|get', 'a'],
    ['NOPE'],
    ['nope', 'a', 'b'],
    ['NOPE', 'a\r\nb', '\0x', ''],
    ['x'.repeat(200), 'y'.repeat(200), 'z'],
    ['NOPE', 'a'.repeat(100), 'b'.repeat(100), 'c'],
    ['NOPE', 'a'.repeat(125), 'b'.repeat(100), 'c'],
    ['NOPE', 'a'.repeat(126), 'b'],
    ['NOPE', ...Array.from({ length: 100 }, () => 'a')],
    [''],
    ['no\0pe'],
    ['ключ', 'значение'],
  ];
  for (const words of sameAnswers) {
    const shown = JSON.stringify(words.join(' ').slice(0, 60));
    t.test(`the same answer to ${shown}`, async (t) => {
      const theirs = await redis.ask(...words);
      t.same(withoutNotes(outcome(await run(...words))), withoutNotes(outcome(theirs)));
    });
  }

  t.test('COMMAND LIST by pattern and category finds what is here of what Redis finds', async (t) => {
    const names = new Set(allSpecs().map(({ name }) => name));
    for (const filter of [
      ['PATTERN', 'CONFIG*'],
      ['pattern', 'get'],
      ['ACLCAT', 'TRANSACTION'],
      ['ACLCAT', 'string'],
    ]) {
      const ours = (await run('COMMAND', 'LIST', 'FILTERBY', ...filter)) as string[];
      const theirs = (await redis.ask('COMMAND', 'LIST', 'FILTERBY', ...filter)) as string[];
      t.same(ours.sort(), theirs.filter((name) => names.has(name)).sort(), filter.join(' '));
    }
  });
}

/** Key specs may begin with 'notes', a sentence. */
function withoutNotes(value: unknown): unknown {
  if (!Array.isArray(value)) return value;
  const list = value[0] === 'notes' ? value.slice(2) : value;
  return list.map(withoutNotes);
}

function fields(flat: unknown): Record<string, unknown> {
  const list = flat as unknown[];
  return Object.fromEntries(list.flatMap((name, at) => (at % 2 === 0 ? [[String(name), list[at + 1]]] : [])));
}
