import { readdirSync, readFileSync } from 'node:fs';
import t from 'tap';
import { scratch } from '../support/scratch.js';
import { cairn } from './program.js';

const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };

t.test('--help and --version go to stdout with exit code 0', async (t) => {
  const cases: [string[], RegExp][] = [
    [['--help'], /^Usage: cairn <command>[\s\S]*serve[\s\S]*adopt/],
    [['-h'], /^Usage/],
    [['help'], /^Usage/],
    [['--version'], new RegExp(`^cairn ${version}\n$`)],
    [['serve', '--help'], /^Usage: cairn serve[\s\S]*--data-dir[\s\S]*CAIRN_/],
    [['adopt', '--help'], /^Usage: cairn adopt DIR/],
  ];
  for (const [args, expected] of cases) {
    const run = cairn(t, args);
    t.same(await run.ended, { code: 0, signal: null }, args.join(' '));
    t.match(run.stdout(), expected);
    t.equal(run.stderr(), '');
  }
});

t.test('an unknown command, or none, is answered with the usage on stderr and exit code 2', async (t) => {
  for (const [args, expected] of [
    [['frobnicate'], /^cairn: there is no command 'frobnicate'\n\nUsage/],
    [['constructor'], /^cairn: there is no command/],
    [[], /^Usage: cairn/],
  ] as [string[], RegExp][]) {
    const run = cairn(t, args);
    t.same(await run.ended, { code: 2, signal: null });
    t.match(run.stderr(), expected);
    t.equal(run.stdout(), '');
  }
});

t.test('settings that are not right stop the start with a readable line each, and touch nothing', async (t) => {
  const cwd = scratch(t, { 'bad.yaml': 'port: 0\nlog:\n  lvel: info\n' });
  const cases: [string[], Record<string, string>, RegExp][] = [
    [
      ['--port', 'abc'],
      {},
      /^cairn: port = 'abc' \(option --port\): argument couldn't be parsed into an integer from 0 to 65535\n/,
    ],
    [
      ['--config', 'bad.yaml'],
      {},
      /^cairn: log\.lvel = 'info' \(.*bad\.yaml line 3\): there is no such setting\. Did you mean log\.level\?\n/,
    ],
    [[], { CAIRN_PORTT: '1' }, /^cairn: CAIRN_PORTT = '1' .*Did you mean port\?/],
    [['--set', 'backup.wal.interval=0'], {}, /must be between 100ms and 1h/],
    [['stray'], {}, /unknown argument/],
    [[], { CAIRN_FAULT_POINTS: 'nope=kill' }, /CAIRN_FAULT_POINTS: unknown fault point 'nope'/],
  ];
  for (const [args, env, expected] of cases) {
    const run = cairn(t, ['serve', ...args], { cwd, env });
    t.same(await run.ended, { code: 2, signal: null });
    t.match(run.stderr(), expected);
    t.notMatch(run.stderr(), /^\s+at /m, 'no stack');
    t.equal(run.stdout(), '');
  }
  t.same(readdirSync(cwd), ['bad.yaml']);
});

t.test('a secret in a wrong setting does not reach stderr', async (t) => {
  const run = cairn(t, ['serve', '--set', 'requirepas=hunter2', 'hunter2'], { env: { CAIRN_REQUIREPASSS: 'hunter2' } });
  t.same(await run.ended, { code: 2, signal: null });
  t.notMatch(run.stderr(), /hunter2/);
});
