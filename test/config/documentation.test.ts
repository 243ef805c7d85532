/**
 * docs/configuration.md and the schema say the same. The table of settings is rendered from the schema; to bring the
 * page up to date: CAIRN_TEST_UPDATE=1 node dist-test/test/config/documentation.test.js
 */
import { readFileSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { exitCode } from '../../src/cli/exit-codes.js';
import { redisConstants, settingNames, settingOf } from '../../src/config/schema.js';

const page = 'docs/configuration.md';
const [begin, end] = ['<!-- settings -->\n', '<!-- /settings -->'];

function settingsTable(): string {
  const rows = settingNames.map((name) => {
    const { value, default: text, settable, redis, doc } = settingOf(name);
    const shown = text === '' ? 'none' : `\`${text}\``;
    const cells = [
      `\`${name}\``,
      value.kind,
      shown,
      value.allowed,
      settable,
      redis === null ? '' : `\`${redis}\``,
      doc,
    ];
    return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  });
  const head = ['setting', 'kind', 'default', 'allowed', 'settable', "Redis's spelling", ''];
  return [`| ${head.join(' | ')} |`, `|${'---|'.repeat(head.length)}`, ...rows, ''].join('\n');
}

function readPage(): { before: string; table: string; after: string } {
  const text = readFileSync(page, 'utf8');
  const [from, to] = [text.indexOf(begin) + begin.length, text.indexOf(end)];
  return { before: text.slice(0, from), table: text.slice(from, to), after: text.slice(to) };
}

t.test('the table of settings is what the schema says', async (t) => {
  const { before, table, after } = readPage();
  if (process.env.CAIRN_TEST_UPDATE === '1') writeFileSync(page, before + settingsTable() + after);
  else t.equal(table, settingsTable());
});

t.test('exit codes and the answers for tools are on the page', async (t) => {
  const { after } = readPage();
  for (const code of Object.values(exitCode)) t.ok(after.includes(`\n| ${code} |`), `exit code ${code}`);
  for (const name of Object.keys(redisConstants)) t.ok(after.includes(`\`${name}\``), name);
});
