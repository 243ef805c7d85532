import fc from 'fast-check';
import t from 'tap';
import { validate } from '../../src/config/judge.js';
import { loadConfig } from '../../src/config/load.js';
import { environmentName, redisConstants, type SettingName, settingNames, settingOf } from '../../src/config/schema.js';

t.test('every default is a value that the setting allows and prints back', async (t) => {
  for (const name of settingNames) {
    const { default: text, value: kind } = settingOf(name);
    const verdict = validate(name, text);
    t.ok(verdict.ok, name);
    if (verdict.ok) t.same(validate(name, kind.print(verdict.value)), verdict, name);
  }
});

t.test('names are dotted snake case, and no two share a spelling or an environment variable', async (t) => {
  for (const name of settingNames) t.match(name, /^[a-z]+(_[a-z]+)*(\.[a-z]+(_[a-z]+)*)*$/);
  const variables = settingNames.map(environmentName);
  t.equal(new Set(variables).size, variables.length);
  t.notOk(variables.some((name) => name.startsWith('CAIRN_TEST_')));
  const spellings = settingNames.flatMap((name) => [name, settingOf(name).redis ?? []].flat());
  spellings.push(...Object.keys(redisConstants));
  t.equal(new Set(spellings).size, spellings.length);
  for (const name of settingNames) {
    t.notOk(
      settingNames.some((other) => other.startsWith(`${name}.`)),
      `${name} is no group as well`,
    );
  }
});

t.test('the defaults are those of the contract', async (t) => {
  const expected: Partial<Record<SettingName, string>> = {
    port: '7379',
    bind: '127.0.0.1',
    dir: './cairn-data',
    unixsocket: '',
    databases: '16',
    requirepass: '',
    protected_mode: 'yes',
    maxclients: '10000',
    timeout: '0',
    proto_max_bulk_len: '512mb',
    durability: 'everysec',
    keyspace: 'native',
    expire: 'yes',
    'backup.dir': '<dir>/backups',
    'backup.restore_dir': '<dir>/restores',
    'backup.retention.max_count': '0',
    'backup.retention.max_age': '0',
    'backup.verify_after_create': 'no',
    'backup.wal.archive': 'yes',
    'backup.wal.interval': '1s',
    'backup.wal.retention': '24h',
    'wal.spool_max': '4gb',
    'restore.keep_previous': '24h',
    'log.level': 'info',
  };
  for (const [name, text] of Object.entries(expected)) t.equal(settingOf(name as SettingName).default, text, name);
});

const invalid: [SettingName, string[]][] = [
  ['port', ['-1', '65536', '7e3', '07379', '0x1', '', ' 1', '7379 ', '1.0', 'NaN', '99999999999999999999999']],
  ['databases', ['0', '17', '-1', '']],
  ['maxclients', ['0', '-5', 'many']],
  ['timeout', ['-1', '5m', '2147483648']],
  ['proto_max_bulk_len', ['0', '1', '1023kb', '513mb', '1m', '-1']],
  ['client_output_limit', ['1', '2gb']],
  ['protected_mode', ['true', 'false', '1', '0', 'on', '', 'y']],
  ['durability', ['sometimes', '', 'alwaysx', '1']],
  ['keyspace', ['cooked']],
  ['backup.retention.max_count', ['-1', '2147483648', '1.5', 'all', '', '3 ', 'NaN', 'Infinity', '1e1', '0s']],
  ['backup.retention.max_age', ['-1d', '1', '7', '1w', '', 'NaN', '99999999999d', '1 d']],
  ['restore.keep_previous', ['-24h', '24', 'forever']],
  ['backup.wal.archive', ['true', '1', '']],
  ['dir', ['', 'a\0b', '~/data', '~']],
  ['backup.dir', ['a\0b', '~root/x']],
  ['bind', ['1.2.3.4.5 /', '127.0.0.1 127.0.0.1', '*', '-::1', 'a b c!']],
  ['cache_size', ['0', '1k', '512kb']],
  ['log.level', ['verbose', '']],
];

for (const [name, texts] of invalid) {
  t.test(`${name} refuses what it does not allow and says what is allowed`, async (t) => {
    for (const text of texts) {
      const verdict = validate(name, text);
      t.notOk(verdict.ok, JSON.stringify(text));
      if (!verdict.ok) t.match(verdict.reason, /^argument (must|couldn't be parsed)/, text);
    }
  });
}

t.test('the interval of archiving has bounds: 0 is no way to say "never"', async (t) => {
  t.match(validate('backup.wal.interval', '100ms'), { ok: true, value: 100 });
  for (const text of ['0', '99ms', '61m']) {
    t.match(validate('backup.wal.interval', text), { ok: false, reason: /must be between 100ms and 1h inclusive/ });
  }
  t.match(validate('wal.spool_max', '0'), { ok: true, value: 0 });
});

t.test('an unknown name is answered with the setting that was probably meant', async (t) => {
  const cases: [string, RegExp][] = [
    ['backup.retention.maxcount', /Did you mean backup.retention.max_count\?/],
    ['proto-max-bulk-len', /Did you mean proto_max_bulk_len\?/],
    ['CAIRN_PROT', /Did you mean port\?/],
    ['backup', /group of settings: backup.dir, backup.restore_dir/],
    ['nothing.like.it', /docs\/configuration.md lists them/],
    ['__proto__', /no such setting/],
    ['constructor', /no such setting/],
    ['toString', /no such setting/],
    ['', /no such setting/],
  ];
  for (const [name, reason] of cases) t.match(validate(name, 'x'), { ok: false, reason }, name);
});

t.test('addresses and words are read with blanks around and in either case', async (t) => {
  t.match(validate('bind', ' 127.0.0.1   ::1 '), { ok: true, value: ['127.0.0.1', '::1'] });
  t.match(validate('bind', 'localhost'), { ok: true, value: ['localhost'] });
  t.match(validate('bind', ''), { ok: true, value: [] });
  t.match(validate('protected_mode', 'YES'), { ok: true, value: true });
  t.match(validate('durability', 'Always'), { ok: true, value: 'always' });
  t.match(validate('unixsocket', ''), { ok: true, value: null });
});

t.test('whatever the text, a setting takes it or refuses it, and prints back what it took', async () => {
  const text = fc.oneof(fc.string(), fc.stringMatching(/^-?\d{0,12}[a-z]{0,3}$/), fc.constantFrom('yes', 'no', '1mb'));
  fc.assert(
    fc.property(fc.constantFrom(...settingNames), text, (name, given) => {
      const verdict = validate(name, given);
      if (!verdict.ok) return verdict.reason.length > 0;
      const again = validate(name, settingOf(name).value.print(verdict.value));
      return again.ok && JSON.stringify(again.value) === JSON.stringify(verdict.value);
    }),
    { numRuns: 2000 },
  );
});

t.test(
  'client-output-buffer-limit is read and shown as Redis does, and classes that there are not mean nothing',
  async (t) => {
    const { config } = loadConfig({ args: ['--set', 'client_output_buffer_limit=normal 8mb 4mb 60'], environment: {} });
    const name = 'client_output_buffer_limit';
    t.same(config.values[name], { hardBytes: 8 << 20, softBytes: 4 << 20, softSeconds: 60 });
    t.same(config.configGet(['client-output-buffer-limit']), [
      ['client-output-buffer-limit', 'normal 8388608 4194304 60'],
    ]);
    config.configSet([['client-output-buffer-limit', 'slave 268435456 67108864 60 normal 1mb 0 0 pubsub 1 2 3']]);
    t.same(config.values[name], { hardBytes: 1 << 20, softBytes: 0, softSeconds: 0 });
    for (const wrong of [
      '',
      'normal',
      'normal 1 2',
      'normal 1 2 x',
      'normal -1 0 0',
      'other 1 2 3',
      'normal 1 2 3 slave',
    ]) {
      t.throws(() => config.configSet([[name, wrong]]), /CONFIG SET failed/, wrong);
    }
    t.same(config.configGet([name]), [[name, 'normal 1mb 0 0']]);
  },
);
