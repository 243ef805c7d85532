/**
 * Reads protocol/, checks it, and writes what follows from it:
 *
 *   src/base/error-table.generated.ts   the error codes
 *   src/commands/table.generated.ts     the command table
 *   docs/reference/*.md, docs/errors.md the reference pages
 *
 *   node scripts/generate.mjs           writes what is not current
 *   node scripts/generate.mjs --check   writes nothing; exit code 1 names what is not current
 *   … --protocol DIR                    reads another directory (tests)
 *
 * The same input gives the same bytes: everything is in the order of names, nothing depends on the clock.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { readProtocol } from './protocol.mjs';
import { errorPage, referencePages } from './render-docs.mjs';
import { commandTable, errorTable } from './render-tables.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');

function main(argv) {
  const check = argv.includes('--check');
  const at = argv.indexOf('--protocol');
  const { protocol, problems } = readProtocol(at === -1 ? path.join(root, 'protocol') : path.resolve(argv[at + 1]));
  if (problems.length > 0) {
    for (const problem of problems) console.error(problem);
    console.error(`${problems.length} problem(s) in protocol/; protocol/README.md says what each field means`);
    return 1;
  }
  const stale = [...render(protocol)].filter(([file, text]) => current(file) !== text);
  if (check) {
    for (const [file] of stale) console.error(`${file} is not current: run node scripts/generate.mjs and commit it`);
    return stale.length === 0 ? 0 : 1;
  }
  for (const [file, text] of stale) {
    mkdirSync(path.dirname(path.join(root, file)), { recursive: true });
    writeFileSync(path.join(root, file), text);
    console.log(`wrote ${file}`);
  }
  return 0;
}

function* render(protocol) {
  yield ['src/base/error-table.generated.ts', errorTable(protocol)];
  yield ['src/commands/table.generated.ts', commandTable(protocol)];
  yield ['docs/errors.md', errorPage(protocol)];
  for (const [name, text] of referencePages(protocol)) yield [`docs/reference/${name}`, text];
}

function current(file) {
  const full = path.join(root, file);
  return existsSync(full) ? readFileSync(full, 'utf8') : null;
}

process.exitCode = main(process.argv.slice(2));
