import fc from 'fast-check';
import t from 'tap';
import { globMatch, literalPrefix, matchesEverything } from '../../src/base/glob.js';

const b = (text: string) => Buffer.from(text, 'latin1');
const match = (pattern: string, subject: string, ignoreCase = false) =>
  globMatch(b(pattern), b(subject), { ignoreCase });

t.test('stars, question marks, sets and escapes', async (t) => {
  const cases: [pattern: string, subject: string, matches: boolean][] = [
    ['', '', true],
    ['', 'a', false],
    ['*', '', true],
    ['**', '', true],
    ['*', 'anything\0\xff', true],
    ['?', '', false],
    ['?', '\xff', true],
    ['a*c', 'abbbc', true],
    ['a*c', 'abbbcd', false],
    ['a*b*c', 'axbxbc', true],
    ['*a*a*', 'bab', false],
    ['[abc]', 'b', true],
    ['[^abc]', 'b', false],
    ['[^abc]', 'd', true],
    ['[a-c]', 'b', true],
    ['[c-a]', 'b', true],
    ['[a-', '-', true],
    ['[a', 'a', true],
    ['[]', 'a', false],
    ['[^]', 'a', true],
    ['[\\]]', ']', true],
    ['[\\^a]', '^', true],
    ['\\*', '*', true],
    ['\\*', 'a', false],
    ['a\\', 'a\\', true],
    ['\\', '\\', true],
    ['[\x80-\xff]', '\xa0', true],
    ['[\x00-\x7f]', '\xa0', false],
  ];
  for (const [pattern, subject, matches] of cases)
    t.equal(match(pattern, subject), matches, `${pattern} on ${subject}`);
});

t.test('case is ignored where asked, in ranges too', async (t) => {
  t.ok(match('BACKUP.*', 'backup.dir', true));
  t.ok(match('[A-C]x', 'bX', true));
  t.notOk(match('BACKUP.*', 'backup.dir'));
});

t.test('no pattern is exponential', async (t) => {
  const startedAt = performance.now();
  t.notOk(match('*a'.repeat(1000), 'a'.repeat(999)));
  t.notOk(match(`${'a*'.repeat(500)}b`, 'a'.repeat(5000)));
  t.notOk(match(`${'[a-z]*'.repeat(200)}0`, 'q'.repeat(5000)));
  t.ok(performance.now() - startedAt < 5000);
});

/** As Redis writes it, recursively: slow, and plainly right. */
function reference(pattern: string, subject: string): boolean {
  if (pattern === '') return subject === '';
  if (pattern[0] === '*') {
    return reference(pattern.slice(1), subject) || (subject !== '' && reference(pattern, subject.slice(1)));
  }
  if (subject === '') return false;
  if (pattern[0] === '?') return reference(pattern.slice(1), subject.slice(1));
  const literal = pattern[0] === '\\' && pattern.length > 1 ? 1 : 0;
  return pattern[literal] === subject[0] && reference(pattern.slice(literal + 1), subject.slice(1));
}

t.test('agrees with the recursive definition', async (t) => {
  const pattern = fc
    .array(fc.constantFrom('a', 'b', '*', '?', '\\', '\\*'), { maxLength: 8 })
    .map((parts) => parts.join(''));
  const subject = fc.array(fc.constantFrom('a', 'b', '*', '\\'), { maxLength: 10 }).map((parts) => parts.join(''));
  fc.assert(
    fc.property(pattern, subject, (p, s) => match(p, s) === reference(p, s)),
    { numRuns: 3000 },
  );
  t.pass();
});

t.test('the literal beginning of a pattern bounds an iteration', async (t) => {
  for (const [pattern, prefix] of [
    ['user:*', 'user:'],
    ['plain', 'plain'],
    ['*', ''],
    ['a\\*', 'a'],
    ['a[b]', 'a'],
    ['?', ''],
  ] as const) {
    t.equal(literalPrefix(b(pattern)).toString('latin1'), prefix, pattern);
  }
  t.ok(matchesEverything(b('*')));
  t.notOk(matchesEverything(b('**')));
});
