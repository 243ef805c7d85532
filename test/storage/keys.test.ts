/** What may be the key of an object: held to the rule as a regular expression says it. */
import fc from 'fast-check';
import t from 'tap';
import { isKey, requireKey, requirePrefix } from '../../src/storage/store.js';

const rule = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,254}(?:\/[A-Za-z0-9_-][A-Za-z0-9._-]{0,254})*$/;

t.test('a key is what the rule says, whatever characters it is made of', (t) => {
  const letters = fc.constantFrom(
    'a',
    'Z',
    '9',
    '_',
    '-',
    '.',
    '/',
    '..',
    '\0',
    '\n',
    ' ',
    '\\',
    '~',
    'é',
    '\u0100a',
    '𝒳',
  );
  fc.assert(
    fc.property(
      fc.array(letters, { maxLength: 12 }).map((parts) => parts.join('')),
      (text) => {
        if (isKey(text) !== rule.test(text)) throw new Error(JSON.stringify(text));
      },
    ),
    { numRuns: 5_000 },
  );
  t.end();
});

t.test('parts have at most 255 characters, keys 1,024', (t) => {
  const part = 'x'.repeat(255);
  t.ok(isKey(part));
  t.notOk(isKey(`${part}x`));
  t.ok(isKey(`a/${part}/b`));
  t.notOk(isKey(`a/${part}x/b`));
  const longest = `${'abc/'.repeat(255)}abcd`;
  t.equal(longest.length, 1024);
  t.ok(isKey(longest));
  t.notOk(isKey(`${longest}e`));
  t.end();
});

t.test('what is no key is refused by name, and a prefix is the start of one', (t) => {
  for (const bad of ['', '/', 'a/', '/a', 'a//b', '.a', 'a/.b', '..', 'a/..', 'a b']) {
    t.throws(() => requireKey(bad), { code: 'BACKUPFAILED' }, JSON.stringify(bad));
  }
  for (const good of ['', 'a', 'a/', 'a/b', 'a/b/']) t.doesNotThrow(() => requirePrefix(good));
  for (const bad of ['/', 'a//', '.a/', '../']) t.throws(() => requirePrefix(bad), { code: 'BACKUPFAILED' });
  t.end();
});
