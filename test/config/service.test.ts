import { execFileSync } from 'node:child_process';
import { chmodSync, lstatSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { sha256 } from '../../src/base/hash.js';
import type { Environment } from '../../src/config/environment.js';
import { rewriteConfigFile } from '../../src/config/file.js';
import { loadConfig } from '../../src/config/load.js';
import type { ConfigService } from '../../src/config/service.js';
import { scratch } from '../support/scratch.js';

function service(...args: string[]): ConfigService {
  return loadConfig({ args, environment: {}, workingDirectory: '/nowhere' }).config;
}

function withFile(t: Test, text: string, args: string[] = [], environment: Environment = {}): ConfigService {
  const workingDirectory = t.testdir({ 'cairn.yaml': text });
  return loadConfig({ args: ['--config', 'cairn.yaml', ...args], environment, workingDirectory }).config;
}

function refusal(body: () => unknown): string {
  try {
    body();
  } catch (error) {
    return (error as { line: string }).line;
  }
  return 'accepted';
}

function rejection(pending: Promise<unknown>): Promise<string> {
  return pending.then(
    () => 'accepted',
    (error: { line: string }) => error.line,
  );
}

t.test('CONFIG GET matches globs in either case, several patterns, each name once', async (t) => {
  const config = service();
  t.same(config.configGet(['backup.retention.*']), [
    ['backup.retention.max_count', '0'],
    ['backup.retention.max_age', '0'],
  ]);
  t.same(config.configGet(['PORT', 'por?', 'p*ort']), [['PORT', '7379']]);
  t.same(config.configGet(['restore.*', 'cache_size']).sort(), [
    ['cache_size', '256mb'],
    ['restore.keep_previous', '24h'],
  ]);
  t.same(config.configGet(['nothing']), []);
  t.equal(config.configGet(['*']).length, new Set(config.configGet(['*']).map(([name]) => name)).size);
});

t.test('CONFIG GET answers the spellings of Redis in the form of Redis', async (t) => {
  const config = service('--set', 'durability=always');
  t.same(Object.fromEntries(config.configGet(['proto*', 'protected*', 'appendfsync', 'timeout', 'databases'])), {
    proto_max_bulk_len: '512mb',
    'proto-max-bulk-len': '536870912',
    protected_mode: 'yes',
    'protected-mode': 'yes',
    appendfsync: 'always',
    timeout: '0',
    databases: '16',
  });
  t.same(config.configGet(['save', 'appendonly', 'maxmemory', 'maxmemory-p*']), [
    ['save', ''],
    ['appendonly', 'no'],
    ['maxmemory', '0'],
    ['maxmemory-policy', 'noeviction'],
  ]);
});

t.test('CONFIG GET hides a password that is set, and shows that none is', async (t) => {
  t.same(service().configGet(['requirepass']), [['requirepass', '']]);
  t.notMatch(JSON.stringify(service('--set', 'requirepass=hunter2').configGet(['*'])), /hunter2/);
});

t.test('CONFIG SET changes what may change, at once and for the listeners', async (t) => {
  const config = service();
  const seen: unknown[] = [];
  const stop = config.onChange('backup.retention.max_age', (value, previous) => seen.push([value, previous]));
  const before = config.values;
  t.same(
    config.configSet([
      ['backup.retention.max_age', '2s'],
      ['maxclients', '5'],
    ]),
    ['backup.retention.max_age', 'maxclients'],
  );
  t.equal(config.get('backup.retention.max_age'), 2000);
  t.equal(config.source('maxclients'), 'CONFIG SET');
  t.equal(before.maxclients, 10_000, 'a snapshot stays what it was');
  t.same(config.configSet([['BACKUP.retention.MAX_AGE', '2000ms']]), [], 'the same value is no change');
  stop();
  config.configSet([['backup.retention.max_age', '0']]);
  t.same(seen, [[2000, 0]]);
  t.throws(() => Object.assign(config.values, { port: 1 }), TypeError);
});

t.test('CONFIG SET refuses with the words of Redis', async (t) => {
  const config = service();
  const failed = 'ERR CONFIG SET failed (possibly related to argument';
  const cases: [[string, string][], string][] = [
    [[['dir', '/x']], `${failed} 'dir') - can't set protected config`],
    [[['backup.dir', '/x']], `${failed} 'backup.dir') - can't set protected config`],
    [[['PORT', '1']], `${failed} 'PORT') - can't set protected config`],
    [[['foo', '1']], "ERR Unknown option or number of arguments for CONFIG SET - 'foo'"],
    [
      [
        ['maxclients', '10'],
        ['foo', '2'],
      ],
      "ERR Unknown option or number of arguments for CONFIG SET - 'foo'",
    ],
    [[['timeout', '-1']], `${failed} 'timeout') - argument must be between 0 and 2147483647 inclusive`],
    [[['protected-mode', 'maybe']], `${failed} 'protected-mode') - argument must be 'yes' or 'no'`],
    [
      [
        ['timeout', '1'],
        ['timeout', '2'],
      ],
      `${failed} 'timeout') - duplicate parameter`,
    ],
    [
      [
        ['protected-mode', 'no'],
        ['protected_mode', 'no'],
      ],
      `${failed} 'protected_mode') - duplicate parameter`,
    ],
    [[['maxmemory', '1gb']], `${failed} 'maxmemory') - argument must be '0': Cairn has no such setting`],
    [[['save', '60 1']], `${failed} 'save') - argument must be '': Cairn has no such setting`],
    [
      [['backup.wal.interval', '0']],
      `${failed} 'backup.wal.interval') - argument must be between 100ms and 1h inclusive`,
    ],
    [
      [['backup.retention.max_age', '7']],
      `${failed} 'backup.retention.max_age') - argument must have a unit: ms, s, m, h or d`,
    ],
    [
      [['backup.retention.maxage', '7d']],
      "ERR Unknown option or number of arguments for CONFIG SET - 'backup.retention.maxage'. Did you mean backup.retention.max_age?",
    ],
  ];
  for (const [pairs, line] of cases)
    t.equal(
      refusal(() => config.configSet(pairs)),
      line,
    );
});

t.test('CONFIG SET takes what is true anyway, for tools that set it', async (t) => {
  t.same(
    service().configSet([
      ['save', ''],
      ['appendonly', 'no'],
      ['timeout', '9'],
    ]),
    ['timeout'],
  );
});

t.test('CONFIG SET is all or nothing, whichever pair is wrong', async (t) => {
  const config = service();
  const before = config.values;
  let told = 0;
  config.onChange('maxclients', () => void told++);
  for (const bad of [
    ['timeout', 'x'],
    ['dir', 'x'],
    ['nope', 'x'],
    ['save', 'x'],
    ['maxclients', '7'],
  ] as const) {
    for (const pairs of [
      [['maxclients', '5'], bad],
      [bad, ['maxclients', '5']],
    ] as [string, string][][]) {
      t.match(
        refusal(() => config.configSet(pairs)),
        /^ERR /,
      );
    }
  }
  t.equal(config.values, before);
  t.equal(told, 0);
});

t.test('when a listener refuses, everything goes back and those who were told are told so', async (t) => {
  const config = service();
  const seen: number[] = [];
  config.onChange('timeout', (value) => void seen.push(value));
  config.onChange('maxclients', () => {
    throw new Error('too many for this machine');
  });
  t.equal(
    refusal(() =>
      config.configSet([
        ['timeout', '5'],
        ['maxclients', '99'],
      ]),
    ),
    "ERR CONFIG SET failed (possibly related to argument 'maxclients') - too many for this machine",
  );
  t.match(config.values, { timeout: 0, maxclients: 10_000 });
  t.same(seen, [5, 0]);
  t.equal(config.source('timeout'), 'default');
});

t.test('REWRITE without a file answers as Redis does', async (t) => {
  t.equal(await rejection(service().rewrite()), 'ERR The server is running without a config file');
});

t.test(
  'REWRITE keeps comments, order and what it did not touch, and the next start reads the same settings',
  async (t) => {
    const text = `# The shop's database
port: 7400 # behind the proxy

backup:
  # weekly full
  retention:
    max_count: 3 # three weeks
timeout: 0
`;
    const config = withFile(t, text, ['--set', 'maxclients=77']);
    config.configSet([
      ['backup.retention.max_count', '5'],
      ['backup.retention.max_age', '30d'],
      ['timeout', '60'],
      ['requirepass', 'a: "b" #c'],
      ['protected_mode', 'no'],
    ]);
    t.same(await config.rewrite(), []);
    const file = join(t.testdirName, 'cairn.yaml');
    t.equal(
      readFileSync(file, 'utf8'),
      `# The shop's database
port: 7400 # behind the proxy

backup:
  # weekly full
  retention:
    max_count: 5 # three weeks
    max_age: 30d
timeout: 60
requirepass: "#${sha256(Buffer.from('a: "b" #c'))}"
protected_mode: no
maxclients: 77
`,
    );
    const again = loadConfig({ args: ['--config', file], environment: {}, workingDirectory: t.testdirName }).config;
    t.same(again.values, config.values);
  },
);

t.test('REWRITE writes no password, only its hash, and awkward texts come back as they were', async (t) => {
  const config = withFile(t, 'requirepass: old\n');
  const file = join(t.testdirName, 'cairn.yaml');
  for (const password of [
    '',
    ' ',
    '012',
    '1e3',
    'null',
    '~',
    'yes',
    '# no',
    "it's",
    '"',
    '{a',
    '- x',
    'ü\u2028é',
    'a\nb\n',
    '0',
    '*a',
    '<<',
  ]) {
    await rewriteConfigFile(file, new Map([['requirepass', password]]));
    const plain = loadConfig({ args: ['--config', file], environment: {} }).config;
    const hash = password === '' ? '' : sha256(Buffer.from(password));
    t.equal(plain.values.requirepass, hash);
    config.configSet([['requirepass', `${password}.`]]);
    config.configSet([['requirepass', password]]);
    await config.rewrite();
    t.equal(readFileSync(file, 'utf8'), `requirepass: ${hash === '' ? '""' : `"#${hash}"`}\n`);
    const again = loadConfig({ args: ['--config', file], environment: {} }).config;
    t.equal(again.values.requirepass, hash);
  }
});

t.test('REWRITE fills empty files, empty groups, dotted keys and flow maps', async (t) => {
  for (const text of [
    '',
    '# only a comment\n',
    'backup:\n',
    'backup:\n  # retention is below\n',
    'backup.retention.max_count: 1\n',
    '{}',
    '{port: 1}',
    'backup:\n  retention:\n',
    '---\n',
    'timeout:\nport: 1\n'.replace('timeout:\n', ''),
  ]) {
    const config = withFile(t, text);
    config.configSet([
      ['backup.retention.max_count', '9'],
      ['backup.retention.max_age', '1h'],
    ]);
    await config.rewrite();
    const file = join(t.testdirName, 'cairn.yaml');
    t.same(
      loadConfig({ args: ['--config', file], environment: {}, workingDirectory: t.testdirName }).config.values,
      config.values,
      text,
    );
    const comment = /#.*/.exec(text)?.[0];
    if (comment !== undefined) t.ok(readFileSync(file, 'utf8').includes(comment), comment);
  }
});

t.test('REWRITE keeps an edit that was made since the start, and refuses to touch a file it cannot read', async (t) => {
  const config = withFile(t, 'port: 7400\n');
  const file = join(t.testdirName, 'cairn.yaml');
  writeFileSync(file, 'port: 7500 # from tomorrow\n');
  config.configSet([['timeout', '5']]);
  await config.rewrite();
  t.equal(readFileSync(file, 'utf8'), 'port: 7500 # from tomorrow\ntimeout: 5\n');
  writeFileSync(file, 'port: [\n');
  t.match(await rejection(config.rewrite()), /^ERR Rewriting config file: .*not valid YAML/);
  t.equal(readFileSync(file, 'utf8'), 'port: [\n');
  rmSync(file);
  t.match(await rejection(config.rewrite()), /^ERR Rewriting config file: ENOENT/);
});

t.test('REWRITE fails with the reason where the file cannot be replaced', async (t) => {
  const config = withFile(t, 'port: 7400\n');
  const file = join(t.testdirName, 'cairn.yaml');
  rmSync(file);
  mkdirSync(file);
  t.match(await rejection(config.rewrite()), /^ERR Rewriting config file: cairn.yaml is not a regular file/);
});

t.test('REWRITE follows a symbolic link and keeps it', async (t) => {
  const directory = t.testdir({ real: { 'c.yaml': 'port: 1\n' } });
  symlinkSync('real/c.yaml', join(directory, 'cairn.yaml'));
  const { config } = loadConfig({ args: ['--config', 'cairn.yaml'], environment: {}, workingDirectory: directory });
  config.configSet([['timeout', '5']]);
  await config.rewrite();
  t.ok(lstatSync(join(directory, 'cairn.yaml')).isSymbolicLink());
  t.equal(readFileSync(join(directory, 'real/c.yaml'), 'utf8'), 'port: 1\ntimeout: 5\n');
});

t.test('REWRITE keeps the permissions of the file', async (t) => {
  const config = withFile(t, 'port: 1\n');
  const file = join(t.testdirName, 'cairn.yaml');
  for (const mode of [0o640, 0o600, 0o644]) {
    chmodSync(file, mode);
    await config.rewrite();
    t.equal(lstatSync(file).mode & 0o777, mode);
  }
});

t.test('REWRITE leaves a secret of the environment there, and names what the environment will win over', async (t) => {
  const config = withFile(t, 'port: 1\n', [], { CAIRN_REQUIREPASS: 'hunter2', CAIRN_TIMEOUT: '3' });
  config.configSet([['timeout', '9']]);
  t.same(await config.rewrite(), ['timeout']);
  t.notMatch(readFileSync(join(t.testdirName, 'cairn.yaml'), 'utf8'), /hunter2/);
});

t.test('many REWRITEs at once leave one whole file', async (t) => {
  const config = withFile(t, 'port: 1\n');
  config.configSet([['timeout', '9']]);
  await Promise.all(Array.from({ length: 20 }, () => config.rewrite()));
  t.equal(readFileSync(join(t.testdirName, 'cairn.yaml'), 'utf8'), 'port: 1\ntimeout: 9\n');
});

t.test('what is no regular file is never replaced by a configuration, neither by name nor behind a link', async (t) => {
  const dir = scratch(t);
  execFileSync('mkfifo', [join(dir, 'pipe')]);
  symlinkSync(join(dir, 'pipe'), join(dir, 'link'));
  for (const name of ['pipe', 'link']) {
    await t.rejects(rewriteConfigFile(join(dir, name), new Map([['maxclients', '7']])), /is not a regular file/);
  }
  t.ok(lstatSync(join(dir, 'pipe')).isFIFO());
});
