/**
 * `npm test`: set-up, then the whole suite. `npm test -- test/engine` runs what has that in its path, `npm test -- A B`
 * what has either. The last line is `N passed, N failed`, and the exit code is true to it.
 *
 * A test is an outermost `t.test('a sentence', …)`. A file that crashes, hangs or has no tests is one failed test, and so
 * is a suite that does not compile or a filter that finds nothing.
 */
import { existsSync } from 'node:fs';
import { filesUnder } from './setup/fingerprint.mjs';
import { inProject, SetupError } from './setup/root.mjs';
import { killRunning } from './setup/run.mjs';
import { buildTests } from './setup/typescript.mjs';
import { setUp } from './setup.mjs';
import { killTestFiles, runTestFile } from './testing/test-file.mjs';

const jobs = Number(process.env.TEST_JOBS ?? 2);
const timeoutMs = 180_000;
const stderrLines = 30;

const filters = process.argv.slice(2).map((filter) => filter.replace(/^\.\//, ''));

for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) {
  process.on(signal, () => {
    killRunning(signal);
    killTestFiles();
    process.exit(1);
  });
}

process.on('exit', (code) => {
  // Whatever ended us: the last line is there, and says that something failed when something did.
  if (!finished) process.stdout.write(`0 passed, ${code === 0 ? 0 : 1} failed\n`);
});
let finished = false;

await setUp();
const compiled = await compileTests();
const total = compiled ? await runAll(testFiles()) : { passed: 0, failed: 1, skipped: 0 };
finished = true;
print(`${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed === 0 ? 0 : 1;

async function compileTests() {
  try {
    await buildTests();
    return true;
  } catch (error) {
    print(`The tests were not run: ${error instanceof SetupError ? error.message : error.stack}`);
    return false;
  }
}

/** Sources that have a compiled file beside them: [{ source, file }], by name. */
function testFiles() {
  return filesUnder(['test'])
    .map(({ path }) => path)
    .filter((path) => path.endsWith('.test.ts'))
    .filter((path) => filters.length === 0 || filters.some((filter) => path.includes(filter.replace(/\.js$/, '.ts'))))
    .map((source) => ({ source, file: `dist-test/${source.replace(/\.ts$/, '.js')}` }))
    .filter(({ file }) => existsSync(inProject(file)));
}

async function runAll(files) {
  const total = { passed: 0, failed: 0, skipped: 0 };
  if (files.length === 0) {
    print(`No test file has ${filters.join(' or ')} in its path.`);
    return { ...total, failed: 1 };
  }
  const waiting = files.values();
  const failures = [];
  let done = 0;
  const worker = async () => {
    for (const { source, file } of waiting) {
      const result = await runTestFile(file, source, timeoutMs);
      total.passed += result.passed;
      total.failed += result.failed.length;
      total.skipped += result.skipped.length;
      done += 1;
      printProgress(result, done, files.length);
      if (result.failed.length > 0) failures.push(result);
    }
  };
  await Promise.all(Array.from({ length: Math.max(1, jobs) }, worker));
  printFailedNames(failures);
  return total;
}

function printProgress(result, done, count) {
  const verdict = result.failed.length === 0 ? 'ok  ' : 'FAIL';
  const skipped = result.skipped.length === 0 ? '' : `, ${result.skipped.length} skipped`;
  const seconds = (result.durationMs / 1000).toFixed(1);
  const progress = `${String(done).padStart(String(count).length)}/${count}`;
  print(`${verdict} ${progress} ${result.name}  ${result.passed} passed${skipped} (${seconds} s)`);
  for (const name of result.skipped) print(`       skipped: ${name}`);
  for (const command of result.leftovers) print(`       left running, and killed: ${command}`);
  if (result.failed.length === 0) return;
  for (const failure of result.failed) {
    print(`\n  ✗ ${failure.name}`);
    if (failure.report !== '') print(indent(failure.report));
  }
  if (result.stderr !== '') print(`\n  stderr (last lines):\n${indent(lastLines(result.stderr))}`);
  print(`\n  everything it printed: ${result.log}\n`);
}

function printFailedNames(failures) {
  if (failures.length === 0) return;
  print('\nFailed:');
  for (const { name, failed } of failures) for (const failure of failed) print(`  ${name}: ${failure.name}`);
  print(`Again: npm test -- ${failures.map(({ name }) => name).join(' ')}\n`);
}

function lastLines(text) {
  return text.trimEnd().split('\n').slice(-stderrLines).join('\n');
}

function indent(text) {
  return text.replace(/^/gm, '    ');
}

function print(text) {
  process.stdout.write(`${text}\n`);
}
