/**
 * docs/compatibility.md is what the tests allow and what the programs have. To bring the page up to date:
 * CAIRN_TEST_UPDATE=1 node dist-test/test/commands/compatibility.test.js
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { allSpecs } from '../../src/commands/spec.js';
import { absentCommands } from '../support/absent-commands.js';
import { allowedDifferences } from '../support/allowed-differences.js';

const path = join(process.cwd(), 'docs', 'compatibility.md');

const absent = Object.values(absentCommands).flat();
const ofRedis = allSpecs().filter(({ group, container }) => group !== 'admin' && container === undefined);

const generated: Record<string, string> = {
  counts:
    `Of the ${ofRedis.length + absent.length} commands of redis-server 7.0 (subcommands not counted) Cairn has ${ofRedis.length}; ` +
    `the other ${absent.length} are below, by family.`,
  differences: table(
    ['name', 'commands', 'why'],
    allowedDifferences.map(({ name, commands, reason }) => [`\`${name}\``, commands, reason]),
  ),
  absent: table(
    ['family', 'commands'],
    Object.entries(absentCommands).map(([family, names]) => [family, names.join(' ')]),
  ),
};

function table(head: string[], rows: string[][]): string {
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

function between(page: string, name: string): [before: string, text: string, after: string] {
  const [open, close] = [`<!-- ${name} -->\n`, `<!-- /${name} -->`];
  const [from, to] = [page.indexOf(open) + open.length, page.indexOf(close)];
  if (from < open.length || to < from) throw new Error(`the page has no place for ${name}`);
  return [page.slice(0, from), page.slice(from, to).trim(), page.slice(to)];
}

for (const [name, text] of Object.entries(generated)) {
  if (process.env.CAIRN_TEST_UPDATE === '1') {
    const [before, , after] = between(readFileSync(path, 'utf8'), name);
    writeFileSync(path, `${before}${text}\n${after}`);
  }
  t.test(`the page has the ${name} of this version`, async (t) => {
    t.equal(between(readFileSync(path, 'utf8'), name)[1], text);
  });
}

t.test('every test that the page names is there', async (t) => {
  const named = readFileSync(path, 'utf8').match(/[\w/-]+\.test\.ts/g) ?? [];
  t.ok(named.length > 3);
  for (const file of named) {
    const place = file.startsWith('test/') ? file : `test/commands/${file}`;
    t.ok(existsSync(join(process.cwd(), place)), place);
  }
  for (const name of ['strings', 'data', 'dump', 'transactions', 'spec']) {
    t.ok(existsSync(join(process.cwd(), `test/commands/${name}-redis.test.ts`)), name);
  }
});

t.test('the names of allowed differences are unique, and each says why', async (t) => {
  const names = allowedDifferences.map(({ name }) => name);
  t.equal(new Set(names).size, names.length);
  for (const { name, reason } of allowedDifferences) t.match(reason, /\.$/, name);
});
