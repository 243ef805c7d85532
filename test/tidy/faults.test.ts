/**
 * docs/faults.md names for each fault the files that have a test of it: exactly those with a test whose name begins with the row.
 * To bring the page up to date: CAIRN_TEST_UPDATE=1 node dist-test/test/tidy/faults.test.js
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';

const page = 'docs/faults.md';
/** A name as tests have it: 'A8, A9: one exclusive operation at a time'. */
const testName = /['"`]((?:[A-EG]\d{1,2}, )*[A-EG]\d{1,2}): /g;
const tableRow = /^\| ([A-EG]\d{1,2}) \| (.*) \| (.*) \| (.*) \|$/gm;

/** Row → files, both in order. */
function testsByRow(): Map<string, string[]> {
  const found = new Map<string, string[]>();
  const files = readdirSync('test', { recursive: true })
    .map((name) => join('test', String(name)))
    .filter((name) => name.endsWith('.test.ts'))
    .sort();
  for (const file of files) {
    for (const [, rows] of readFileSync(file, 'utf8').matchAll(testName)) {
      for (const row of (rows as string).split(', ')) {
        const known = found.get(row) ?? [];
        if (!known.includes(file)) found.set(row, [...known, file]);
      }
    }
  }
  return found;
}

const cell = (files: readonly string[]): string => files.map((file) => file.replace(/\.test\.ts$/, '')).join(', ');

t.test('every fault on the page has a test of its name, and every such test is on the page', async (t) => {
  const found = testsByRow();
  const text = readFileSync(page, 'utf8');
  const rows = [...text.matchAll(tableRow)];
  if (process.env.CAIRN_TEST_UPDATE === '1') {
    writeFileSync(
      page,
      text.replace(
        tableRow,
        (_, row: string, fault: string, holds: string) =>
          `| ${row} | ${fault} | ${holds} | ${cell(found.get(row) ?? [])} |`,
      ),
    );
    return;
  }
  for (const [, row = '', , , files] of rows) {
    t.not(files, '', `${row} has a test`);
    t.equal(files, cell(found.get(row) ?? []), row);
  }
  t.same(
    [...found.keys()].filter((row) => !rows.some(([, known]) => known === row)),
    [],
    'tests of rows that the page does not have',
  );
  t.equal(new Set(rows.map(([, row]) => row)).size, rows.length, 'no row twice');
});
