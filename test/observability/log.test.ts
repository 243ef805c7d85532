import { execFileSync, spawnSync } from 'node:child_process';
import t from 'tap';
import { CairnError } from '../../src/base/errors.js';
import { createLog, type LogLevel } from '../../src/observability/log.js';
import { capturingLog } from '../support/log.js';

t.test('a line is one JSON object with level, time, event and the fields', async (t) => {
  const lines: string[] = [];
  const log = createLog({ format: 'json', sink: { write: (line) => void lines.push(line) } });
  log.info('backup created', { id: 5, label: 'a\r\nb', absent: undefined, nothing: null });
  t.equal(lines.length, 1);
  t.match(lines[0], /^[^\n]*\n$/);
  const record = JSON.parse(lines[0] ?? '');
  t.match(record, { level: 'info', event: 'backup created', id: 5, label: 'a\r\nb', nothing: null });
  t.match(record.time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  t.notOk('absent' in record || 'pid' in record || 'hostname' in record);
});

t.test('text format is one line for people, whatever the values hold', async (t) => {
  const lines: string[] = [];
  const log = createLog({ format: 'text', sink: { write: (line) => void lines.push(line) } });
  log.warn('disk\nfull', { free: 12, label: 'two words', quoted: 'a"b', crlf: 'x\r\ny', empty: '', list: [1, 'a'] });
  t.match(
    lines.join(''),
    /^\S+Z warn {2}disk full free=12 label="two words" quoted="a\\"b" crlf="x\\r\\ny" empty="" list=\[1,"a"\]\n$/,
  );
});

t.test('text format puts the stack of an unexpected error below the line', async (t) => {
  const lines: string[] = [];
  const log = createLog({ format: 'text', sink: { write: (line) => void lines.push(line) } });
  log.error('failed', { error: new TypeError('broken') });
  const [first, ...stack] = lines.join('').trimEnd().split('\n');
  t.match(first, / error failed error={"name":"TypeError","message":"broken"}$/);
  t.ok(stack.length > 0);
  for (const line of stack) t.match(line, /^ +at /);
});

t.test('levels below the chosen one are silent, and a change reaches children', async (t) => {
  for (const [level, expected] of [
    ['debug', 4],
    ['info', 3],
    ['warn', 2],
    ['error', 1],
  ] as [LogLevel, number][]) {
    const { log, records } = capturingLog();
    const child = log.child({ part: 'x' });
    log.setLevel(level);
    for (const each of ['debug', 'info', 'warn', 'error'] as const) child[each]('event');
    t.equal(records.length, expected, level);
    t.equal(records[0]?.level, level);
  }
});

t.test('children carry their fields, and the call may override them', async (t) => {
  const { log, records } = capturingLog();
  log.child({ operation: 7, id: 1 }).child({ phase: 'copy' }).info('step', { id: 2 });
  t.match(records[0], { operation: 7, phase: 'copy', id: 2 });
});

t.test('fields cannot replace level, time or event', async (t) => {
  const { log, records } = capturingLog();
  log.info('real', { level: 'fake', time: 'fake', event: 'fake' });
  t.match(records[0], { level: 'info', event: 'real', level_: 'fake', time_: 'fake', event_: 'fake' });
});

t.test('errors are written with code, message, hint, details and the whole chain of causes', async (t) => {
  const { log, records } = capturingLog();
  const root = Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
  const error = new CairnError('NOSPACE', 'needs 10 bytes', {
    hint: 'Free some.',
    details: { needed: 10 },
    cause: new Error('write failed', { cause: root }),
  });
  log.error('create failed', { error });
  t.match(records[0]?.error, {
    code: 'NOSPACE',
    message: 'needs 10 bytes',
    hint: 'Free some.',
    details: { needed: 10 },
    cause: { name: 'Error', message: 'write failed', stack: /Error: write failed/, cause: { code: 'ENOSPC' } },
  });
  t.notOk('stack' in Object(records[0]?.error), 'a CairnError explains itself without a stack');
});

t.test('secrets never reach the log, at any depth', async (t) => {
  const { log, records } = capturingLog();
  log.info('x', {
    requirepass: 'hunter2',
    settings: { 'storage.secret_key': 'hunter2', user: { password: 'hunter2' } },
    token: Buffer.from('hunter2'),
    error: new CairnError('ERR', 'no', { details: { passphrase: 'hunter2' } }),
    password: null,
  });
  t.notMatch(JSON.stringify(records), /hunter2/);
  t.equal(records[0]?.password, null, 'absent stays absent');
});

t.test('values that JSON lacks, loops and very long texts do not break a line', async (t) => {
  const { log, records } = capturingLog();
  const loop: Record<string, unknown> = {};
  loop.self = loop;
  log.info('x', {
    loop,
    bytes: Buffer.from('abc'),
    big: 2n ** 64n,
    nan: Number.NaN,
    date: new Date(0),
    bad: new Date(Number.NaN),
    call: () => 1,
    long: 'y'.repeat(100_000),
  });
  t.match(records[0], { bytes: 'abc', big: '18446744073709551616', nan: 'NaN', date: '1970-01-01T00:00:00.000Z' });
  t.ok(String(records[0]?.long).length < 5000);
});

const logModule = new URL('../../src/observability/log.js', import.meta.url).href;

t.test('lines go to stderr at once, also when the process dies on the next line', async (t) => {
  const program = `import { createLog } from ${JSON.stringify(logModule)};
    createLog({ format: 'json' }).error('last words'); process.kill(process.pid, 'SIGKILL');`;
  const run = spawnSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' });
  t.equal(run.signal, 'SIGKILL');
  t.equal(run.stdout, '');
  t.match(run.stderr, /"event":"last words"/);
});

t.test('a closed stderr does not end the process', async (t) => {
  const program = `import { createLog } from ${JSON.stringify(logModule)};
    const log = createLog(); for (let i = 0; i < 100; i++) log.info('line'); setImmediate(() => console.log('alive'));`;
  const shell = '"$0" --input-type=module -e "$1" 2>&-';
  t.equal(execFileSync('sh', ['-c', shell, process.execPath, program], { encoding: 'utf8' }), 'alive\n');
  const pipe = '{ "$0" --input-type=module -e "$1" 2>&1 >&3 | true; } 3>&1';
  t.equal(execFileSync('sh', ['-c', pipe, process.execPath, program], { encoding: 'utf8' }), 'alive\n');
});
