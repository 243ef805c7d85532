import fc from 'fast-check';
import t from 'tap';
import { CairnError } from '../../src/base/errors.js';
import { jsonReply, toJson } from '../../src/commands/json-reply.js';
import {
  Double,
  Encoded,
  MapReply,
  nullArray,
  OK,
  type Reply,
  record,
  SetReply,
  Simple,
  Verbatim,
} from '../../src/resp/reply.js';

t.test('a structure becomes an object that keeps the order of its fields', async (t) => {
  const reply = record({ id: 5, type: 'full', label: undefined, pinned: true, list: [record({ b: 1, a: null })] });
  t.equal(toJson(reply), '{"id":5,"type":"full","label":null,"pinned":1,"list":[{"b":1,"a":null}]}');
});

t.test('field names that look like numbers keep their place', async (t) => {
  t.equal(toJson(record({})), '{}');
  t.equal(
    toJson(
      new MapReply([
        ['b', 1],
        ['2', 2],
        [Buffer.from('1'), 3],
      ]),
    ),
    '{"b":1,"2":2,"1":3}',
  );
});

t.test('every kind of reply has a JSON form', async (t) => {
  const forms: [Reply, string][] = [
    [null, 'null'],
    [nullArray, 'null'],
    [false, '0'],
    [2 ** 53 - 1, '9007199254740991'],
    [2n ** 63n, '9223372036854775808'],
    [new Double(1.5), '1.5'],
    [new Double(Number.POSITIVE_INFINITY), '"Infinity"'],
    [Number.NaN, '"NaN"'],
    ['a"\n\u{1F44B}', JSON.stringify('a"\n\u{1F44B}')],
    [Buffer.from('ключ'), '"ключ"'],
    [new Simple('x'), '"x"'],
    [new Verbatim('txt', 'x'), '"x"'],
    [new SetReply(['a', 1]), '["a",1]'],
    [OK, '"OK"'],
    [new Encoded(Buffer.from(':7\r\n')), '7'],
    [[], '[]'],
    [new CairnError('BACKUPNOTFOUND', 'no backup 5', { hint: '' }), '"BACKUPNOTFOUND no backup 5"'],
  ];
  for (const [reply, text] of forms) t.equal(toJson(reply), text);
});

t.test('whatever JSON can say comes back the same', async (t) => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const back = JSON.parse(toJson(asReply(value)));
      return JSON.stringify(back) === JSON.stringify(JSON.parse(JSON.stringify(value, noBooleans)));
    }),
  );
  t.pass('round trip');
});

t.test('an error stays an error, anything else becomes one text', async (t) => {
  const error = new CairnError('ERR', 'x');
  t.equal(jsonReply(error), error);
  t.same(jsonReply(record({ a: 1 })), new Verbatim('txt', '{"a":1}'));
});

function asReply(value: unknown): Reply {
  if (Array.isArray(value)) return value.map(asReply);
  if (value !== null && typeof value === 'object') {
    return new MapReply(Object.entries(value).map(([name, field]) => [name, asReply(field)]));
  }
  return value as Reply;
}

function noBooleans(_name: string, value: unknown): unknown {
  return typeof value === 'boolean' ? Number(value) : value;
}
