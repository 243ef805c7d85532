/**
 * `npm run bench`: Cairn side by side with what people use today, on this machine, in one run, in turns.
 *
 *   npm run bench -- --only backup,ping --size 1gb --rounds 3
 *
 * Every case writes bench/results/<case>.json (what was measured, on what); bench/results/README.md is made of all of
 * them. A case fails rather than leave something out: a peer that is not installed is named. See bench/README.md.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { inProject } from '../scripts/setup/root.mjs';
import { setUp } from '../scripts/setup.mjs';

/** What --only takes: cases/<name>.mjs with run(options) → { title, parameters, columns, rows, notes, goals, measured }. */
const names = [
  'backup',
  'changed',
  'quick',
  'in-place',
  'increment',
  'capture',
  'recover',
  'ping',
  'foreground',
  'resp',
  'cold',
  'catalogue',
  'growth',
];

/** Those that --size is about. */
const sized = ['backup', 'changed', 'in-place', 'increment', 'ping', 'foreground'];
const usualSize = '1gb';

const usage = `npm run bench -- [options]
  --only NAMES    of ${names.join(', ')}; default: all
  --size SIZE     of the data of backups: 200mb, 1gb (default), 4gb
  --largest SIZE  how far growth goes (default 8gb)
  --keys N        how far growth goes (default 10000000)
  --backups N     in the catalogue (default 10000)
  --commits N     to replay (default 1000000)
  --rounds N      how often each is measured; the median counts (default 3)
  --requests N    redis-benchmark requests per test (default 200000)
  --dir DIR       where the data goes (default bench/data; its disk is what is measured)
  --cold          drop the page cache before each measurement (root)`;

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: names.join(',') },
    size: { type: 'string', default: usualSize },
    rounds: { type: 'string', default: '3' },
    requests: { type: 'string', default: '200000' },
    commits: { type: 'string', default: '1000000' },
    largest: { type: 'string', default: '8gb' },
    keys: { type: 'string', default: '10000000' },
    backups: { type: 'string', default: '10000' },
    dir: { type: 'string', default: inProject('bench', 'data') },
    cold: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

if (values.help) {
  process.stdout.write(`${usage}\n`);
  process.exit(0);
}

const options = {
  sizeBytes: parseSize(values.size, '--size'),
  largestBytes: parseSize(values.largest, '--largest'),
  keys: parseCount(values.keys, '--keys'),
  backups: parseCount(values.backups, '--backups'),
  rounds: parseCount(values.rounds, '--rounds'),
  requests: parseCount(values.requests, '--requests'),
  commits: parseCount(values.commits, '--commits'),
  dir: values.dir,
  cold: values.cold,
};
const chosen = values.only.split(',');
const unknown = chosen.filter((name) => !names.includes(name));
if (unknown.length > 0) fail(`no case named ${unknown.join(', ')}\n${usage}`);

await setUp();
// Only now: these use packages that set-up installs.
const { stopAll } = await import('./peers.mjs');
const { record, renderResults } = await import('./report.mjs');

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    stopAll();
    process.exit(1);
  });
}

for (const name of chosen) {
  process.stderr.write(`bench: ${name}\n`);
  rmSync(options.dir, { recursive: true, force: true });
  mkdirSync(options.dir, { recursive: true });
  try {
    const { run } = await import(`./cases/${name}.mjs`);
    process.stdout.write(`${record(recordedAs(name), await run(options))}\n`);
  } catch (error) {
    stopAll();
    fail(`${name}: ${error.stack}`);
  } finally {
    rmSync(options.dir, { recursive: true, force: true });
  }
}
renderResults();

/** Other sizes of the data of backups are kept beside the usual one. */
function recordedAs(name) {
  return values.size === usualSize || !sized.includes(name) ? name : `${name}-${values.size.toLowerCase()}`;
}

function parseSize(text, name) {
  const match = /^(\d+)(kb|mb|gb)$/i.exec(text);
  if (match === null) fail(`${name} is a number with kb, mb or gb, not ${text}`);
  return Number(match[1]) * { kb: 1 << 10, mb: 1 << 20, gb: 1 << 30 }[match[2].toLowerCase()];
}

function parseCount(text, name) {
  if (!/^[1-9]\d*$/.test(text)) fail(`${name} is a positive number, not ${text}`);
  return Number(text);
}

function fail(text) {
  process.stderr.write(`bench: ${text}\n`);
  process.exit(1);
}
