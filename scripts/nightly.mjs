/**
 * `npm run nightly`: the long checks, which look where the suite has no time to. Each is a compiled test file that goes on
 * for CAIRN_MINUTES with choices from CAIRN_SEED. `npm run nightly -- A B` runs those whose name has either in it;
 * `--seed N` repeats a night, `--minutes N` gives every check that long, `--list` says what there is.
 *
 * A check is `test/<area>/<what>.nightly.ts`, or a test that goes on for longer when it is asked to (test/support/night.ts),
 * and its line here. A failure prints the command that repeats it. The last line is `N passed, N failed`.
 */
import { parseArgs } from 'node:util';
import { killRunning } from './setup/run.mjs';
import { buildTests } from './setup/typescript.mjs';
import { setUp } from './setup.mjs';
import { killTestFiles, runTestFile } from './testing/test-file.mjs';

/** What runs by night: { name, source, minutes (about how long it goes on), what it looks for }. */
const checks = [
  {
    name: 'model-recovery',
    source: 'test/property/model-recovery.test.ts',
    minutes: 20,
    about: 'random histories of a database and its repository: every recovery is the state of the model, or refused',
  },
  {
    name: 'expires',
    source: 'test/property/expires.test.ts',
    minutes: 10,
    about:
      'random keys with an expiry over restarts, kills and restores: INFO counts them as a model and every record do',
  },
  {
    name: 'decode-fuzz',
    source: 'test/resp/decode-fuzz.test.ts',
    minutes: 5,
    about: 'hostile bytes through the request decoder, in random pieces, against a plain reference',
  },
  {
    name: 'command-fuzz',
    source: 'test/server/command-fuzz.test.ts',
    minutes: 10,
    about: 'every command with any arguments on the built server: one well-formed reply each, and nobody else notices',
  },
  {
    name: 'random-redis',
    source: 'test/commands/random-redis.test.ts',
    minutes: 10,
    about: 'random data commands of two clients, to Cairn and to redis-server: the same replies, the same keys left',
  },
  {
    name: 'data-sweep',
    source: 'test/fault/data-sweep.test.ts',
    minutes: 20,
    about: 'a start on every damage to every file of a data directory',
  },
  {
    name: 'repository-sweep',
    source: 'test/fault/repository-sweep-start.test.ts',
    minutes: 45,
    about: 'a start on every damage to every file of a repository, then flipped bits at every byte of small files',
  },
  {
    name: 'failing-files',
    source: 'test/fault/failing-files.test.ts',
    minutes: 10,
    about: 'every write, sync, rename and removal in the repository fails in turn, in every operation',
  },
  {
    name: 'failing-writes',
    source: 'test/fault/failing-writes.test.ts',
    minutes: 10,
    about: 'writers while the data disk fails writes, syncs and renames: nothing acknowledged is lost',
  },
  {
    name: 'many-tables',
    source: 'test/e2e/many-tables.test.ts',
    minutes: 15,
    about: '50,000 tables, far more than files may be open: adopted, backed up, proven, restored',
  },
  {
    name: 'many-segments',
    source: 'test/backup/many-segments.test.ts',
    minutes: 5,
    about: 'a day of segments that were never merged: the window, a plan, a restore',
  },
  {
    name: 'benchmark-soak',
    source: 'test/server/benchmark-soak.nightly.ts',
    minutes: 30,
    about:
      'redis-benchmark over strings with 50, 500 and 5,000 connections: no error, nothing left behind, memory flat',
  },
  {
    name: 'soak',
    source: 'test/fault/soak.test.ts',
    minutes: 60,
    about: 'a built server that is killed, cut off from power and stopped under load: nothing that it answered is lost',
  },
];

/** Beyond its minutes a check may finish the round that it is in. */
const graceMs = 15 * 60_000;

const { values: options, positionals: filters } = parseArgs({
  allowPositionals: true,
  options: { seed: { type: 'string' }, minutes: { type: 'string' }, list: { type: 'boolean', default: false } },
});

if (options.list) {
  for (const { name, minutes, about } of checks) print(`${name} (${minutes} min): ${about}`);
  process.exit(0);
}
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) {
  process.on(signal, () => {
    killRunning(signal);
    killTestFiles();
    process.exit(1);
  });
}

const seed = wholeNumber('seed') ?? Date.now() % 1_000_000_000;
const minutes = wholeNumber('minutes');
const chosen = checks.filter(({ name }) => filters.length === 0 || filters.some((filter) => name.includes(filter)));
if (chosen.length === 0) print(`No check has ${filters.join(' or ')} in its name; --list says what there is.`);

const total = { passed: 0, failed: chosen.length === 0 ? 1 : 0 };
if (chosen.length > 0) {
  await setUp();
  await buildTests();
}
print(`seed ${seed}`);
for (const check of chosen) await run(check);
print(`${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed === 0 ? 0 : 1;

async function run({ name, source, minutes: usual }) {
  const minutesLong = minutes ?? usual;
  const environment = { CAIRN_SEED: String(seed), CAIRN_MINUTES: String(minutesLong) };
  const file = `dist-test/${source.replace(/\.ts$/, '.js')}`;
  const result = await runTestFile(file, source, minutesLong * 60_000 + graceMs, environment);
  total.passed += result.passed;
  total.failed += result.failed.length;
  const verdict = result.failed.length === 0 ? 'ok  ' : 'FAIL';
  print(`${verdict} ${name}  ${result.passed} passed (${(result.durationMs / 60_000).toFixed(1)} min)`);
  for (const skipped of result.skipped) print(`       skipped: ${skipped}`);
  for (const command of result.leftovers) print(`       left running, and killed: ${command}`);
  for (const failure of result.failed) print(`\n  ✗ ${failure.name}\n${failure.report}`);
  if (result.failed.length === 0) return;
  print(`\n  everything it printed: ${result.log}`);
  print(`  again: npm run nightly -- ${name} --seed ${seed} --minutes ${minutesLong}\n`);
}

function wholeNumber(option) {
  const text = options[option];
  if (text === undefined) return null;
  if (/^[1-9]\d{0,9}$/.test(text)) return Number(text);
  print(`--${option} is a whole number, not '${text}'`);
  process.exit(1);
}

function print(text) {
  process.stdout.write(`${text}\n`);
}
