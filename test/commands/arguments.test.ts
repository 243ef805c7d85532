import fc from 'fast-check';
import t from 'tap';
import { CairnError } from '../../src/base/errors.js';
import { parseArguments } from '../../src/commands/arguments.js';
import { type ArgumentSpec, allSpecs, type CommandSpec, lookup } from '../../src/commands/spec.js';

const spec = (name: string) => lookup(name) as CommandSpec;
const parse = (name: string, ...words: (string | Buffer)[]) =>
  parseArguments(
    spec(name),
    words.map((word) => Buffer.from(word as string)),
  );
const refused = (name: string, ...words: (string | Buffer)[]): string => {
  try {
    return JSON.stringify(parse(name, ...words).values);
  } catch (error) {
    if (error instanceof CairnError) return error.line;
    throw error;
  }
};

t.test('what is not given is false for an option word and undefined for a value', async (t) => {
  t.same(parse('admin.backup|create'), {
    values: { verify: false, pin: false, strict: false, async: false },
    format: 'resp',
  });
});

t.test('positional arguments, option words and their values', async (t) => {
  const { values } = parse('admin.backup|restore', '5', 'to', 'drill', 'DryRun', 'IFTIMELINE', '3');
  t.same(values, { id: 5, to: 'drill', iftimeline: 3, dryrun: true, async: false });
  t.equal(parse('admin.backup|restore', 'latest').values.id, 'LATEST');
  t.equal(parse('admin.backup|restore', 'Previous').values.id, 'PREVIOUS');
  t.equal(parse('admin.backup|verify', 'all', 'deep').values.mode, 'DEEP');
  t.equal(parse('admin.backup|create', 'auto').values.type, 'AUTO');
  t.equal(parse('admin.backup|list', 'type', 'full').values.type, 'FULL');
  t.equal(parse('admin.backup|list', 'STATUS', 'all').values.status, 'ALL');
  t.equal(parse('admin.readonly', 'on').values.action, 'ON');
});

t.test('times and durations stay text', async (t) => {
  t.equal(parse('admin.backup|list', 'SINCE', '2026-01-28T10:30:04Z').values.since, '2026-01-28T10:30:04Z');
  t.equal(parse('admin.backup|prune', 'MAXAGE', '30d').values.maxage, '30d');
  t.equal(parse('admin.backup|wait', '6', '30s').values.timeout, '30s');
});

t.test('FORMAT JSON is taken by every ADMIN command, anywhere among its options', async (t) => {
  for (const command of allSpecs().filter(({ group, subcommands }) => group === 'admin' && subcommands === undefined)) {
    const needed = command.arguments.filter(({ optional }) => !optional).map(sample);
    t.equal(parse(command.name, ...needed, 'format', 'json').format, 'json', command.name);
    t.equal(parse(command.name, ...needed).format, 'resp', command.name);
  }
  t.equal(parse('admin.backup|create', 'FORMAT', 'JSON', 'LABEL', 'x').format, 'json');
  t.match(refused('admin.backup|list', 'FORMAT', 'XML'), /^ERR syntax error/);
  t.match(refused('admin.backup|list', 'FORMAT'), /^ERR syntax error/);
  t.match(refused('admin.backup|list', 'FORMAT', 'JSON', 'FORMAT', 'JSON'), /^ERR syntax error/);
});

t.test('the value of an option may be a word that is an option elsewhere', async (t) => {
  const { values, format } = parse('admin.backup|create', 'LABEL', 'ASYNC', 'PIN');
  t.match(values, { label: 'ASYNC', async: false, pin: true });
  t.equal(format, 'resp');
  t.equal(parse('admin.backup|create', 'LABEL', '').values.label, '');
});

t.test('an optional position may stay empty before an option', async (t) => {
  t.same(parse('admin.backup|status', 'FORMAT', 'JSON'), { values: {}, format: 'json' });
  t.same(parse('admin.backup|status', '7', 'FORMAT', 'JSON'), { values: { id: 7 }, format: 'json' });
});

t.test('a required position must not stay empty', async (t) => {
  const text = "ERR wrong number of arguments for 'admin.backup|info' command";
  t.equal(refused('admin.backup|info', 'FORMAT', 'JSON'), text);
});

t.test('numbers that are none are refused in the words of Redis', async (t) => {
  const text = /^ERR value is not an integer or out of range/;
  for (const id of ['abc', '', '0', '-1', '+1', '1.5', '01', '1e3', ' 1', '9007199254740992', '99999999999999999999']) {
    t.match(refused('admin.backup|info', id), text, JSON.stringify(id));
  }
  t.match(refused('admin.backup|list', 'LIMIT', '-1'), text);
  t.equal(parse('admin.backup|list', 'LIMIT', '0').values.limit, 0);
  t.match(refused('admin.backup|delete', 'LATEST'), text, 'DELETE takes ids alone');
  t.match(refused('admin.backup|info', 'ALL'), text, 'INFO takes one');
});

t.test('duplicates, contradictions and words that mean nothing are syntax errors', async (t) => {
  for (const words of [
    ['create', 'LABEL', 'a', 'label', 'b'],
    ['create', 'PIN', 'pin'],
    ['create', 'FULL', 'AUTO'],
    ['create', 'FULL', 'NOPE'],
    ['create', 'LABEL'],
    ['list', 'NOPE'],
    ['list', 'STATUS', 'nope'],
    ['list', 'SINCE'],
    ['verify', 'LATEST', 'FULL', 'DEEP'],
    ['restore', '5', 'AT', '2026-01-28T10:30:04Z', 'SEQ', '7'],
    ['restore', 'PREVIOUS', 'TO', 'drill'],
    ['restore', 'PREVIOUS', 'SEQ', '7'],
    ['restore', '5', '6'],
    ['pin', '5', '6'],
    ['pin', '5', 'ASYNC'],
  ]) {
    t.match(refused(`admin.backup|${words[0]}`, ...words.slice(1)), /^ERR syntax error\. .+\.$/, words.join(' '));
  }
  t.match(refused('admin.readonly', 'perhaps'), /^ERR syntax error/);
});

t.test('an unknown backup type has a code of its own', async (t) => {
  t.match(
    refused('admin.backup|create', 'BOGUS'),
    /^BACKUPTYPE .*'BOGUS'.* Use FULL, INCREMENTAL, DIFFERENTIAL or AUTO\./,
  );
  t.match(refused('admin.backup|create', 'ASYNC', 'BOGUS'), /^BACKUPTYPE /);
  t.match(refused('admin.backup|list', 'TYPE', 'BOGUS'), /^BACKUPTYPE /);
});

t.test('a target is one of AT, SEQ and TAG, with the line that it is on', async (t) => {
  const target = (...words: string[]) => parse('admin.backup|restore', 'LATEST', ...words).values;
  t.match(target('AT', '2026-01-28T10:30:04Z', 'TIMELINE', '2'), { at: '2026-01-28T10:30:04Z', timeline: 2 });
  t.match(target('SEQ', '7'), { seq: 7 });
  t.match(target('TAG', 'at'), { tag: 'at' });
  for (const words of [
    ['AT', 'x', 'AT', 'y'],
    ['AT', 'x', 'SEQ', '7'],
    ['TAG', 'x', 'SEQ', '7'],
  ]) {
    t.match(refused('admin.backup|restore', 'LATEST', ...words), /^ERR syntax error/, words.join(' '));
  }
  for (const text of ['-1', '1.5', '9223372036854775808', '0x10']) {
    t.match(refused('admin.backup|restore', 'LATEST', 'SEQ', text), /^ERR value is not an integer or out of range/);
  }
  t.match(refused('admin.backup|create', 'FULL', 'PARENT', '1'), /^ERR syntax error.*FULL and PARENT exclude/);
});

t.test('text is UTF-8, and what an error repeats stays one line', async (t) => {
  t.equal(parse('admin.backup|create', 'LABEL', '\u{1F44B} ключ').values.label, '\u{1F44B} ключ');
  t.match(refused('admin.backup|create', 'LABEL', Buffer.from([0xff, 0xfe])), /^ERR LABEL is not valid UTF-8/);
  t.notMatch(refused('admin.backup|list', 'x\r\n-ERR y'), /[\r\n]/);
  t.ok(refused('admin.backup|list', 'x'.repeat(100_000)).length < 400);
});

t.test('options in any order and any case parse to the same, and none may come twice', async (t) => {
  for (const command of allSpecs().filter(({ group, arguments: list }) => group === 'admin' && list.length > 0)) {
    const positional = command.arguments.filter(({ optional }) => !optional).map(sample);
    const options = command.arguments.filter(isOption).map(wordsFor);
    options.push(['FORMAT', 'JSON']);
    const parsed = (groups: string[][]) => parse(command.name, ...positional, ...groups.flat());
    // A full rests on nothing: its PARENT is a contradiction.
    const fits = (chosen: string[][]) => !['FULL', 'PARENT'].every((word) => chosen.some(([first]) => first === word));
    fc.assert(
      fc.property(fc.shuffledSubarray(options).filter(fits), fc.infiniteStream(fc.boolean()), (chosen, upper) => {
        const cased = chosen.map(([word = '', ...rest]) => [upper.next().value ? word : word.toLowerCase(), ...rest]);
        const inOrder = options.filter((option) => chosen.includes(option));
        if (JSON.stringify(sorted(parsed(cased))) !== JSON.stringify(sorted(parsed(inOrder)))) return false;
        return chosen.every((option) => {
          const text = refused(command.name, ...positional, ...chosen.flat(), ...option);
          return text.startsWith('ERR syntax error');
        });
      }),
      { numRuns: 50 },
    );
    t.pass(command.name);
  }
});

function isOption(argument: ArgumentSpec): boolean {
  if (!argument.optional) return false;
  return argument.token !== undefined || (argument.arguments ?? [{}]).every((choice) => 'token' in choice);
}

/** The argument as a client would write it. */
function wordsFor(argument: ArgumentSpec): string[] {
  if (argument.type === 'pure-token') return [argument.token as string];
  const [alternative] = argument.arguments ?? [];
  if (argument.type === 'oneof' && alternative?.token !== undefined && argument.token === undefined) {
    return wordsFor(alternative);
  }
  const value = sample(argument);
  return argument.token === undefined ? [value] : [argument.token, value];
}

function sample(argument: ArgumentSpec): string {
  if (argument.type === 'oneof') return (argument.arguments ?? []).map(({ token }) => token).find(Boolean) ?? '';
  if (argument.type === 'integer') return '7';
  return 'x';
}

function sorted({ values, format }: ReturnType<typeof parse>): unknown {
  return [format, Object.entries(values).sort(([a], [b]) => (a < b ? -1 : 1))];
}
