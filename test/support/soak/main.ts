/** `npm run soak`: see CONTRIBUTING.md. Exit code 0: nothing was found; 1: a violation, whose directory stays. */
import { mkdirSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { Soak } from './soak.js';
import { Violation } from './violation.js';

const usage = `npm run soak -- [options]
  --minutes N      how long (default 10)
  --lives N        how many lives of the server, in place of --minutes
  --life-seconds N how long every life is under load, e.g. 600, so that a leak has time to show (default: drawn, some seconds)
  --seed S         of every decision (default: from the clock)
  --durability D   always, everysec or no (default: drawn, and turned while it runs)
  --dir D          where the data goes, a directory that is made below it (default: the system's temporary one)
  --json           the report as JSON on stdout
  --quiet          no progress lines`;

const DURABILITIES = ['always', 'everysec', 'no'] as const;

function options() {
  const { values } = parseArgs({
    options: {
      minutes: { type: 'string' },
      lives: { type: 'string' },
      'life-seconds': { type: 'string' },
      seed: { type: 'string' },
      durability: { type: 'string' },
      dir: { type: 'string' },
      json: { type: 'boolean', default: false },
      quiet: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(`${usage}\n`);
    process.exit(0);
  }
  const durability = DURABILITIES.find((one) => one === values.durability) ?? null;
  if (durability === null && values.durability !== undefined) throw new Error(`no durability: ${values.durability}`);
  return {
    ...values,
    minutes: number('minutes', values.minutes ?? '10'),
    lives: values.lives === undefined ? null : number('lives', values.lives),
    loadMs: values['life-seconds'] === undefined ? undefined : 1000 * number('life-seconds', values['life-seconds']),
    seed: values.seed === undefined ? Date.now() % 1_000_000_000 : number('seed', values.seed),
    durability,
  };
}

function number(name: string, text: string): number {
  if (!/^\d+(\.\d+)?$/.test(text)) throw new Error(`--${name} is a number, not '${text}'`);
  return Number(text);
}

const asked = options();
const place = resolve(asked.dir ?? tmpdir());
mkdirSync(place, { recursive: true });
const dir = realpathSync(mkdtempSync(join(place, 'cairn-soak-')));
const endMs = performance.now() + asked.minutes * 60_000;
const isOver = (lives: number) => (asked.lives === null ? performance.now() >= endMs : lives >= asked.lives);
const say = (line: string) => {
  if (!asked.quiet) process.stderr.write(`${line}\n`);
};
const soak = new Soak({
  ...{ seed: asked.seed, durability: asked.durability, dir, isOver, say },
  ...(asked.loadMs === undefined ? {} : { loadMs: asked.loadMs }),
});
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
  process.on(signal, async () => {
    await soak.abandon();
    process.stderr.write(`stopped by ${signal}; what there was is in ${dir}\n`);
    printReport();
    process.exit(2);
  });
}
function printReport(): void {
  process.stdout.write(asked.json ? `${JSON.stringify(soak.report.finish(), null, 2)}\n` : `${soak.report.table()}\n`);
}

say(`soak: seed ${asked.seed}, ${dir}`);
try {
  await soak.run();
  rmSync(dir, { recursive: true });
} catch (error) {
  if (!(error instanceof Violation)) throw error;
  const replay = [
    'npm run soak --',
    ...(asked.lives === null ? ['--minutes', asked.minutes] : ['--lives', asked.lives]),
    ...(asked.loadMs === undefined ? [] : ['--life-seconds', asked.loadMs / 1000]),
    ...['--seed', asked.seed],
    ...(asked.durability === null ? [] : ['--durability', asked.durability]),
  ].join(' ');
  soak.report.json.violations.push(error.message);
  if (/lost|a power cut took/.test(error.message)) soak.report.json.losses += 1;
  process.stderr.write(
    `\nVIOLATION, seed ${asked.seed}: ${error.stack}\n\nWhat it happened to is in ${dir} (lately.txt: what was done last; stderr.txt: what ` +
      `the server said).\nThe same decisions again (the timing is another one): ${replay}\n\n`,
  );
  process.exitCode = 1;
}
printReport();
