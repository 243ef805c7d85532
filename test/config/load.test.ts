import { join } from 'node:path';
import t, { type Test } from 'tap';
import { sha256 } from '../../src/base/hash.js';
import type { Environment } from '../../src/config/environment.js';
import { type LoadedConfig, loadConfig } from '../../src/config/load.js';
import { ConfigError } from '../../src/config/sources.js';

interface Given {
  file?: string;
  environment?: Environment;
  args?: string[];
}

function load(t: Test, given: Given): LoadedConfig {
  const workingDirectory = t.testdir(given.file === undefined ? {} : { 'cairn.yaml': given.file });
  const args = [...(given.file === undefined ? [] : ['--config', 'cairn.yaml']), ...(given.args ?? [])];
  return loadConfig({ args, environment: given.environment ?? {}, workingDirectory });
}

function problems(t: Test, given: Given): string[] {
  try {
    load(t, given);
  } catch (error) {
    if (error instanceof ConfigError) return [...error.problems];
    throw error;
  }
  t.fail('it was accepted');
  return [];
}

t.test('without any source the defaults hold, with absolute paths', async (t) => {
  const { config, faultPoints } = load(t, {});
  t.match(config.values, {
    port: 7379,
    bind: ['127.0.0.1'],
    unixsocket: null,
    data_dir: null,
    protected_mode: true,
    proto_max_bulk_len: 512 * 2 ** 20,
    durability: 'everysec',
    'backup.retention.max_age': 0,
    'backup.wal.archive': true,
    'restore.keep_previous': 86_400_000,
  });
  t.equal(config.values.dir, join(t.testdirName, 'cairn-data'));
  t.equal(config.values['backup.dir'], join(t.testdirName, 'cairn-data', 'backups'));
  t.equal(config.values['backup.restore_dir'], join(t.testdirName, 'cairn-data', 'restores'));
  t.equal(config.file, null);
  t.equal(faultPoints, '');
});

t.test('the environment wins over the file, the command line over both', async (t) => {
  const file = 'port: 1001\ntimeout: 1001\nmaxclients: 1001\n';
  const { config } = load(t, {
    file,
    environment: { CAIRN_TIMEOUT: '1002', CAIRN_MAXCLIENTS: '1002', PATH: '/bin' },
    args: ['--set', 'maxclients=1003'],
  });
  t.match(config.values, { port: 1001, timeout: 1002, maxclients: 1003 });
  t.same(
    ['port', 'timeout', 'maxclients', 'dir'].map((name) => config.source(name as 'port')),
    ['file', 'environment', 'command line', 'default'],
  );
});

t.test('on the command line the later option wins, short or --set, with blank or equals sign', async (t) => {
  t.equal(load(t, { args: ['--port', '1', '--set', 'port=2'] }).config.values.port, 2);
  t.equal(load(t, { args: ['--set=port=2', '--port=1'] }).config.values.port, 1);
  const { config } = load(t, {
    args: ['--set', 'requirepass=a=b --port', '--backup-dir', 'x', '--data-dir=/y', '--bind', '::1'],
  });
  t.equal(config.values.requirepass, sha256(Buffer.from('a=b --port')));
  t.equal(config.values['backup.dir'], join(t.testdirName, 'x'));
  t.equal(config.values.data_dir, '/y');
  t.same(config.values.bind, ['::1']);
});

t.test('default paths follow dir; given ones are relative to the working directory in every source', async (t) => {
  const { config } = load(t, { file: 'backup: { restore_dir: r }', environment: { CAIRN_DIR: 'data' } });
  t.equal(config.values['backup.dir'], join(t.testdirName, 'data', 'backups'));
  t.equal(config.values['backup.restore_dir'], join(t.testdirName, 'r'));
});

t.test('a plain directory has no repository unless it is named, and restores go beside it', async (t) => {
  t.match(load(t, { args: ['--data-dir', '/r/x'] }).config.values, { 'backup.dir': null, 'backup.restore_dir': '/r' });
  const { config } = load(t, { args: ['--data-dir', 'x', '--backup-dir', 'b'] });
  t.equal(config.values['backup.dir'], join(t.testdirName, 'b'));
});

t.test('the file may nest or use dotted keys; values are taken as they are written', async (t) => {
  const { config } = load(t, {
    file: `# comment
backup:
  retention: { max_count: 3 }
  retention.max_age: 2d
  wal:
    # archive: yes
requirepass: 012   # digits stay text
protected_mode: no
unixsocket:
"log.level": "debug"
cache_size: 1048576
`,
  });
  t.match(config.values, {
    'backup.retention.max_count': 3,
    'backup.retention.max_age': 172_800_000,
    requirepass: sha256(Buffer.from('012')),
    protected_mode: false,
    unixsocket: null,
    'log.level': 'debug',
    cache_size: 1048576,
  });
});

t.test('an empty file and one of comments alone are fine', async (t) => {
  for (const file of ['', '# nothing\n', '---\n', '{}', 'backup:\n'])
    t.equal(load(t, { file }).config.values.port, 7379);
});

t.test(
  'an unknown or invalid setting is named with value, source and what is allowed, from every source',
  async (t) => {
    const cases: [Given, RegExp][] = [
      [
        { file: 'log:\n  level: loud\n' },
        /^log\.level = 'loud' \(.*cairn\.yaml line 2\): argument must be one of .*: debug, info/,
      ],
      [
        { file: 'backup:\n  retention:\n    maxcount: 3\n' },
        /^backup\.retention\.maxcount = '3' \(.* line 3\): there is no such setting\. Did you mean backup\.retention\.max_count\?$/,
      ],
      [
        { file: 'port: 0x10' },
        /^port = '0x10' \(.*line 1\): argument couldn't be parsed into an integer from 0 to 65535$/,
      ],
      [{ file: 'port: 1e3' }, /^port = '1e3'/],
      [{ file: 'protected_mode: true' }, /^protected_mode = 'true' .*'yes' or 'no'$/],
      [{ file: 'backup: 5' }, /^backup = '5' .*this is a group of settings: backup\.dir/],
      [{ file: 'port:' }, /^port = '' .*line 1/],
      [{ environment: { CAIRN_PORT: 'abc' } }, /^port = 'abc' \(environment variable CAIRN_PORT\): argument/],
      [
        { environment: { CAIRN_BACKUP_RETENTION_MAXAGE: '1d' } },
        /^CAIRN_BACKUP_RETENTION_MAXAGE = '1d' .* Did you mean backup\.retention\.max_age\?$/,
      ],
      [{ environment: { CAIRN_: 'x' } }, /^CAIRN_ = 'x'/],
      [{ environment: { CAIRN_port: '1' } }, /^CAIRN_port/],
      [{ environment: { CAIRN_BACKUP_WAL_RETENTION: '24' } }, /^backup\.wal\.retention = '24' .*must have a unit/],
      [{ args: ['--port', '-1'] }, /^port = '-1' \(option --port\): argument must be between 0 and 65535 inclusive$/],
      [{ args: ['--set', 'nope=1'] }, /^nope = '1' \(option --set\): there is no such setting/],
      [{ args: ['--set', 'backup.wal.archive=perhaps'] }, /^backup\.wal\.archive = 'perhaps' .*'yes' or 'no'$/],
      [{ args: ['--set', 'backup.retention.max_age=7'] }, /must have a unit: ms, s, m, h or d$/],
      [{ args: ['--frob', '1'] }, /^unknown option --frob; there are --config/],
      [{ args: ['--set', 'port'] }, /needs key=value/],
      [{ args: ['--set', '=1'] }, /needs key=value/],
      [{ args: ['--port'] }, /^option --port needs a value/],
      [{ args: ['stray'] }, /^unknown argument; there are/],
      [{ args: ['--config', 'absent.yaml'] }, /absent\.yaml cannot be read: ENOENT/],
      [{ args: ['--config', '.'] }, /cannot be read: EISDIR/],
    ];
    for (const [given, expected] of cases) t.match(problems(t, given)[0], expected);
  },
);

t.test('all problems are told at once', async (t) => {
  const found = problems(t, {
    file: 'port: x\nnope: 1\n',
    environment: { CAIRN_TIMEOUT: '-' },
    args: ['--set', 'expire=1'],
  });
  t.equal(found.length, 4);
});

t.test('a file that is no YAML, no map or says things twice stops the start with its lines', async (t) => {
  const cases: [string, RegExp][] = [
    ['port: [', /line \d+ is not valid YAML/],
    ['port: 1\nport: 2\n', /line 2 is not valid YAML \(DUPLICATE_KEY\)/],
    ['backup.dir: a\nbackup: {dir: b}\n', /line 2: backup\.dir is given twice, first in line 1/],
    ['- port\n', /must be a map/],
    ['just text', /must be a map/],
    ['bind: [127.0.0.1]', /bind must be a single value/],
    ['port: &a 7\ntimeout: *a\n', /timeout must be a single value/],
    ['a: 1\n---\nb: 2\n', /not valid YAML/],
    ['port: !!frob 7', /not valid YAML/],
    ['? [a]\n: 1\n', /^\?|no such setting/],
    ['<<: {port: 1}', /no such setting/],
    ['__proto__: {port: 1}', /no such setting/],
    [`# ${'x'.repeat(2 ** 20)}`, /more than 1048576/],
  ];
  for (const [file, expected] of cases) t.match(problems(t, { file })[0], expected, file.slice(0, 40));
});

t.test('a secret is never repeated, also under a misspelt name or in a broken file', async (t) => {
  const givens: Given[] = [
    { args: ['--set', 'requirepas=hunter2'] },
    { environment: { CAIRN_REQUIREPAS: 'hunter2' } },
    { file: 'requirepasss: hunter2' },
    { file: 'requirepass: hunter2\nport: [' },
    { file: 'requirepass: [hunter2]' },
    { args: ['hunter2'] },
    { file: 'requirepass: "hunter2' },
  ];
  for (const given of givens) {
    const found = problems(t, given);
    t.ok(found.length > 0);
    t.notMatch(found.join('\n'), /hunter2/);
  }
});

t.test('a problem is one line, whatever the value holds', async (t) => {
  const [problem = ''] = problems(t, { args: ['--set', `nope\r\n=${'x\n'.repeat(1000)}`] });
  t.notMatch(problem, /[\r\n]/);
  t.ok(problem.length < 500);
});

t.test('settings that contradict each other stop the start', async (t) => {
  t.match(problems(t, { args: ['--bind', ''] })[0], /nobody could connect/);
  t.match(problems(t, { args: ['--backup-dir', ''] })[0], /backup\.dir is empty/);
  t.ok(load(t, { args: ['--bind', '', '--set', 'unixsocket=s'] }));
  t.match(
    problems(t, { args: ['--dir', 'd', '--backup-dir', './d/'] })[0],
    /backup\.dir = '.*\/d' is the data directory itself/,
  );
  t.match(problems(t, { args: ['--backup-dir', 'b', '--set', 'backup.restore_dir=b'] })[0], /Choose two directories/);
});

t.test(
  'CAIRN_CONFIG names the file, the command line wins; CAIRN_FAULT_POINTS and CAIRN_TEST_… are no settings',
  async (t) => {
    const workingDirectory = t.testdir({ 'a.yaml': 'port: 1', 'b.yaml': 'port: 2' });
    const environment = { CAIRN_CONFIG: 'a.yaml', CAIRN_FAULT_POINTS: 'proven=kill', CAIRN_TEST_RUNNER: '1' };
    const byEnvironment = loadConfig({ args: [], environment, workingDirectory });
    t.equal(byEnvironment.config.values.port, 1);
    t.equal(byEnvironment.config.file, join(workingDirectory, 'a.yaml'));
    t.equal(byEnvironment.faultPoints, 'proven=kill');
    t.equal(loadConfig({ args: ['--config', 'b.yaml'], environment, workingDirectory }).config.values.port, 2);
  },
);
