import t from 'tap';
import { splitInline } from '../../src/resp/inline.js';

const words = (line: string) =>
  splitInline(Buffer.from(line, 'latin1'))?.map((word) => word.toString('latin1')) ?? null;

t.test('words are separated by any run of blanks', async (t) => {
  t.same(words('SET  a\tb'), ['SET', 'a', 'b']);
  t.same(words('  PING  '), ['PING']);
  t.same(words(' \t \v'), []);
  t.same(words(''), []);
});

t.test('double quotes take escapes, single quotes take theirs alone', async (t) => {
  t.same(words('a "b c" d'), ['a', 'b c', 'd']);
  t.same(words('"\\n\\r\\t\\b\\a\\\\\\"\\q"'), ['\n\r\t\b\x07\\"q']);
  t.same(words('"\\x41\\xff\\xg1"'), ['A\xffxg1']);
  t.same(words("'it\\'s \\n'"), ["it's \\n"]);
  t.same(words('""'), ['']);
});

t.test('a quote may begin inside a word but must end it', async (t) => {
  t.same(words('foo"bar"'), ['foobar']);
  t.equal(words('"foo"bar'), null);
  t.equal(words("'foo'bar"), null);
});

t.test('a quote that is not closed is refused', async (t) => {
  for (const line of ['"foo', "'foo", 'a "b\\', '"\\"']) t.equal(words(line), null, line);
});

t.test('a NUL ends the line', async (t) => {
  t.same(words('PING\0rest'), ['PING']);
});
