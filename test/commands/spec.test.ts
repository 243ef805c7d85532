import fc from 'fast-check';
import t from 'tap';
import { CairnError } from '../../src/base/errors.js';
import { NameTable } from '../../src/commands/name-table.js';
import { allSpecs, find, lookup, resolve } from '../../src/commands/spec.js';

const argv = (...words: (string | Buffer)[]) => words.map((word) => Buffer.from(word as string));
const line = (...words: (string | Buffer)[]): string => {
  try {
    return resolve(argv(...words)).name;
  } catch (error) {
    if (error instanceof CairnError) return error.line;
    throw error;
  }
};

t.test('a request is resolved to its spec, in any case, and its arguments', async (t) => {
  const { spec, name, args } = resolve(argv('sEt', 'Key', 'value'));
  t.equal(name, 'set');
  t.equal(spec, lookup('set'));
  t.same(args.map(String), ['Key', 'value']);
});

t.test('a subcommand is resolved with the arguments after it', async (t) => {
  const { spec, name, args } = resolve(argv('Admin.Backup', 'PIN', '5'));
  t.equal(name, 'admin.backup|pin');
  t.equal(spec.container, 'admin.backup');
  t.equal(spec.word, 'pin');
  t.same(args.map(String), ['5']);
});

t.test('a command with subcommands and a form of its own resolves without one', async (t) => {
  t.equal(line('COMMAND'), 'command');
  t.equal(line('COMMAND', 'COUNT'), 'command|count');
});

t.test('what cannot be resolved is refused in the words that clients know', async (t) => {
  t.equal(line('NOPE', 'a', 'b'), "ERR unknown command 'NOPE', with args beginning with: 'a' 'b' ");
  t.equal(line('admin.backup|pin', '5'), "ERR unknown command 'admin.backup|pin', with args beginning with: '5' ");
  t.equal(line('ADMIN.BACKUP', 'INFO'), "ERR wrong number of arguments for 'admin.backup|info' command");
  t.equal(line('ADMIN.BACKUP'), "ERR wrong number of arguments for 'admin.backup' command");
  t.equal(line('admin.backup', 'NOPE'), "ERR unknown subcommand 'NOPE'. Try ADMIN.BACKUP HELP.");
  t.equal(line('GET', 'a', 'b'), "ERR wrong number of arguments for 'get' command");
  t.equal(line(''), "ERR unknown command '', with args beginning with: ");
});

t.test('an error never carries more of a request than 128 bytes, nor its line ends', async (t) => {
  const text = line('x'.repeat(10_000), ...Array.from({ length: 1000 }, () => 'y\r\n'.repeat(1000)));
  t.ok(text.length < 400, `${text.length} characters`);
  t.notMatch(text, /[\r\n]/);
});

t.test('any bytes at all resolve or are refused with ERR', async (t) => {
  const words = fc.array(fc.uint8Array({ maxLength: 40 }), { minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(words, (bytes) => {
      const text = line(...bytes.map((word) => Buffer.from(word)));
      return lookup(text) !== undefined || /^ERR (unknown|wrong)/.test(text);
    }),
  );
  t.pass('no other outcome');
});

t.test('every command is found under its name in any case, and under no other', async (t) => {
  for (const spec of allSpecs()) {
    const words = spec.name.split('|').flatMap((word) => [word.toUpperCase()]);
    t.equal(find(argv(...words)), spec, spec.name);
    t.equal(find(argv(...words.slice(0, -1), `${words.at(-1)}x`)) === spec, false);
  }
});

t.test('the name table answers as a map with lower-case names does', async (t) => {
  const name = fc.string({ unit: fc.constantFrom('a', 'b', '.', '-', 'z', '@', '[', '`', '{'), maxLength: 5 });
  fc.assert(
    fc.property(fc.uniqueArray(name), fc.array(name), (names, others) => {
      const table = new NameTable(names.map((text, index) => [text, index] as const));
      const map = new Map(names.map((text, index) => [text, index]));
      return [...names, ...others].every((text) => table.get(Buffer.from(text.toUpperCase())) === map.get(text));
    }),
  );
  t.pass('equal');
});

t.test('key positions follow the key specs', async (t) => {
  const keys = (...words: string[]) => find(argv(...words))?.keyIndexes(argv(...words));
  t.same(keys('GET', 'a'), [1]);
  t.same(keys('MSET', 'a', '1', 'b', '2'), [1, 3]);
  t.same(keys('DEL', 'a', 'b', 'c'), [1, 2, 3]);
  t.same(keys('RENAME', 'a', 'b'), [1, 2]);
  t.same(keys('RENAME', 'a'), [1]);
  t.same(keys('PING'), []);
  t.same(keys('GET'), []);
});
