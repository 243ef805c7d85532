/** protocol/ is right in itself, its schema refuses what is not, and everything made from it is current. */
import { spawnSync } from 'node:child_process';
import { cpSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { errorTable } from '../../src/base/error-table.generated.js';
import { allSpecs } from '../../src/commands/spec.js';

const root = process.cwd();
const generate = (...args: string[]) => {
  const { status, stderr } = spawnSync(process.execPath, ['scripts/generate.mjs', ...args], { cwd: root });
  return { status, text: stderr.toString() };
};
const docs = (name: string) => readFileSync(path.join(root, 'docs', name), 'utf8');

t.test('the protocol files are valid and what is generated from them is current', async (t) => {
  t.same(generate('--check'), { status: 0, text: '' });
});

t.test('the table in the code has a row for every file', async (t) => {
  const files = readdirSync(path.join(root, 'protocol/commands'));
  const names = allSpecs().map(({ name }) => `${name.replace('|', '.')}.json`);
  t.same(names.sort(), files.sort());
});

t.test('the reference names every command, docs/errors.md every error', async (t) => {
  const pages = readdirSync(path.join(root, 'docs/reference')).map((name) => docs(`reference/${name}`));
  const headings = new Set(pages.flatMap((page) => page.split('\n').filter((line) => line.startsWith('#'))));
  for (const { name } of allSpecs()) {
    const title = name.toUpperCase().replace('|', ' ');
    t.ok(
      ['#', '##', '###'].some((mark) => headings.has(`${mark} ${title}`)),
      title,
    );
  }
  const errors = docs('errors.md').split('\n');
  for (const code of Object.keys(errorTable)) t.ok(errors.includes(`### ${code}`), code);
});

t.test('a link of the generated pages leads to a heading that is there', async (t) => {
  for (const name of readdirSync(path.join(root, 'docs/reference'))) {
    const page = docs(`reference/${name}`);
    for (const [, file = '', anchor = ''] of page.matchAll(/\]\(([^)#]*)#([^)]*)\)/g)) {
      const target = file === '' ? page : docs(path.join('reference', file));
      const anchors = [...target.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
        heading
          .toLowerCase()
          .replace(/[^a-z0-9 -]/g, '')
          .replaceAll(' ', '-'),
      );
      t.ok(anchors.includes(anchor), `${name} → ${file}#${anchor}`);
    }
  }
});

t.test('a file that is wrong is refused, with its name and the field', async (t) => {
  const cases: [name: string, spoil: (command: Record<string, unknown>) => void, expected: RegExp][] = [
    ['unknown field', (command) => Object.assign(command, { sumary: 'x' }), /sumary/],
    ['no summary', (command) => void delete command.summary, /summary/],
    ['flags out of order', (command) => Object.assign(command, { flags: ['fast', 'readonly'] }), /flags/],
    ['unknown flag', (command) => Object.assign(command, { flags: ['quick'] }), /flags/],
    ['unknown category', (command) => Object.assign(command, { acl_categories: ['@nope'] }), /acl_categories/],
    ['arity 0', (command) => Object.assign(command, { arity: 0 }), /arity/],
    ['another name', (command) => Object.assign(command, { name: 'PUT' }), /must be named put\.json/],
    ['no such container', (command) => Object.assign(command, { container: 'NOPE' }), /no command NOPE/],
    ['no such error', (command) => Object.assign(command, { errors: ['NOPE'] }), /errors\.json has no NOPE/],
    ['no such structure', (command) => Object.assign(command, { reply: { meaning: 'x', structure: 'nope' } }), /nope/],
    ['no such key spec', (command) => void delete command.key_specs, /key spec/],
    ['option without a word', withArgument({ name: 'a', type: 'pure-token' }), /token/],
    ['oneof without choices', withArgument({ name: 'a', type: 'oneof' }), /oneof/],
    ['unknown type', withArgument({ name: 'a', type: 'date' }), /type/],
    ['conflict with nothing', withArgument({ name: 'a', type: 'string', conflicts: ['b'] }), /conflicts with b/],
  ];
  const directory = t.testdir();
  for (const [what, spoil, expected] of cases) {
    const copy = path.join(directory, what.replaceAll(' ', '-'));
    cpSync(path.join(root, 'protocol'), copy, { recursive: true });
    const file = path.join(copy, 'commands/get.json');
    const command = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
    spoil(command);
    writeFileSync(file, JSON.stringify(command));
    const { status, text } = generate('--check', '--protocol', copy);
    t.equal(status, 1, what);
    t.match(text, /get|put/, what);
    t.match(text, expected, what);
  }
});

t.test('damaged JSON, a stray file, a missing catalogue and a duplicate code are refused', async (t) => {
  const copy = path.join(t.testdir(), 'protocol');
  cpSync(path.join(root, 'protocol'), copy, { recursive: true });
  writeFileSync(path.join(copy, 'commands/get.json'), '{"name":');
  writeFileSync(path.join(copy, 'commands/notes.txt'), '');
  renameSync(path.join(copy, 'structures.json'), path.join(copy, 'gone.json'));
  const errors = JSON.parse(readFileSync(path.join(copy, 'errors.json'), 'utf8')) as object[];
  writeFileSync(path.join(copy, 'errors.json'), JSON.stringify([...errors, errors[0]]));
  const { status, text } = generate('--check', '--protocol', copy);
  t.equal(status, 1);
  for (const expected of [/get\.json/, /notes\.txt/, /structures\.json/, /twice/]) t.match(text, expected);
});

t.test('a generated file that is not current is named with the command that renews it', async (t) => {
  const copy = path.join(t.testdir(), 'protocol');
  cpSync(path.join(root, 'protocol'), copy, { recursive: true });
  const file = path.join(copy, 'commands/get.json');
  const command = JSON.parse(readFileSync(file, 'utf8')) as object;
  writeFileSync(file, JSON.stringify({ ...command, summary: 'Something else.' }));
  const { status, text } = generate('--check', '--protocol', copy);
  t.equal(status, 1);
  t.match(text, /src\/commands\/table\.generated\.ts is not current: run node scripts\/generate\.mjs/);
  t.match(text, /docs\/reference\/redis-commands\.md is not current/);
  t.notMatch(text, /errors\.md/);
});

function withArgument(argument: object): (command: Record<string, unknown>) => void {
  return (command) => Object.assign(command, { arguments: [...(command.arguments as object[]), argument] });
}
