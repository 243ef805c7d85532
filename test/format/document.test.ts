/** The frame: what was written is what is read, and whatever else arrives fails as FormatError, for the right reason. */
import fc from 'fast-check';
import t from 'tap';
import { z } from 'zod';
import { AssertionFailed } from '../../src/base/assert.js';
import { decodeDocument, encodeDocument, FormatError, type FormatErrorReason } from '../../src/format/document.js';
import { seal, sealText } from './samples.js';

const kind = { kind: 'sample', schema: z.looseObject({ format: z.literal(1) }), maxBytes: 4096 };
const decode = (bytes: Uint8Array) => decodeDocument(bytes, kind);

function reasonOf(bytes: Uint8Array): FormatErrorReason | 'accepted' {
  try {
    decode(bytes);
    return 'accepted';
  } catch (error) {
    if (error instanceof FormatError) return error.reason;
    throw error;
  }
}

t.test('a document has one layout, to the byte', async (t) => {
  const bytes = encodeDocument({
    format: 1,
    name: 'é "x"',
    absent: undefined,
    counts: [1, 2, 3],
    empty: [],
    nested: { none: {}, deep: { yes: true } },
    entries: [{ a: 1, b: null }, { c: [1] }],
  });
  const opening = `{
  "format": 1,
  "name": "é \\"x\\"",
  "counts": [1, 2, 3],
  "empty": [],
  "nested": {
    "none": {},
    "deep": {
      "yes": true
    }
  },
  "entries": [
    { "a": 1, "b": null },
    {
      "c": [1]
    }
  ],`;
  t.equal(bytes.toString(), sealText(opening).toString());
  t.throws(() => encodeDocument({ name: 'x', format: 1 }), AssertionFailed);
  t.throws(() => encodeDocument({ format: 1, self_sha256: 'x' }), AssertionFailed);
});

t.test('any JSON value survives the round trip', async (t) => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 5 }), (value) => {
      const json = JSON.parse(JSON.stringify(value)) as unknown;
      if (JSON.stringify(json).includes('__proto__')) return;
      const decoded = decodeDocument(encodeDocument({ format: 1, json }), { ...kind, maxBytes: 1 << 20 });
      t.same(decoded, { format: 1, json });
    }),
  );
});

t.test('one changed, lost or added byte anywhere is damage', async (t) => {
  const good = encodeDocument({ format: 1, id: 5, label: 'nightly' });
  t.equal(reasonOf(good), 'accepted');
  for (let at = 0; at < good.length; at++) {
    for (const bit of [0, 3, 7]) {
      const flipped = Buffer.from(good);
      flipped[at] = (flipped[at] ?? 0) ^ (1 << bit);
      t.equal(reasonOf(flipped), 'damaged', `bit ${bit} of byte ${at}`);
    }
    t.equal(reasonOf(good.subarray(0, at)), 'damaged', `truncated to ${at}`);
    t.equal(reasonOf(Buffer.concat([good.subarray(0, at), good.subarray(at + 1)])), 'damaged', `without byte ${at}`);
    t.equal(reasonOf(Buffer.concat([good.subarray(0, at), Buffer.from(' '), good.subarray(at)])), 'damaged');
  }
  t.equal(reasonOf(Buffer.concat([good, Buffer.from('\n')])), 'damaged');
});

t.test('a newer format is told from damage', async (t) => {
  t.equal(reasonOf(seal({ format: 2, unheard: 'of' })), 'version');
  t.throws(() => decode(seal({ format: 2 })), /it has format 2, this version of Cairn reads format 1/);
  for (const format of ['1', 0, -1, 1.5, null, [1], {}]) t.equal(reasonOf(seal({ format })), 'schema');
  t.equal(reasonOf(seal({})), 'schema');
});

t.test('hostile JSON with a right hash is refused', async (t) => {
  const cases: [string, string, FormatErrorReason][] = [
    ['a duplicate member', '{"format": 1, "a": 1, "a": 2,', 'schema'],
    ['a duplicate that is spelled differently', '{"format": 1, "a": 1, "\\u0061": 2,', 'schema'],
    ['a duplicate further down', '{"format": 1, "a": [{"b": {"c": 1, "c": 1}}],', 'schema'],
    ['a second hash', '{"format": 1, "self_sha256": "x",', 'schema'],
    ['a second format', '{"format": 1, "format": 1,', 'schema'],
    ['a prototype', '{"format": 1, "__proto__": {"x": 1},', 'schema'],
    ['deep nesting', `{"format": 1, "a": ${'['.repeat(1000)}${']'.repeat(1000)},`, 'damaged'],
    ['a comment', '{"format": 1, /* x */', 'damaged'],
    ['a trailing comma', '{"format": 1, "a": [1,],', 'damaged'],
    ['two values', '{"format": 1} {', 'damaged'],
    ['a byte order mark', '\ufeff{"format": 1,', 'damaged'],
    ['a list', '[{"format": 1,', 'damaged'],
    ['nothing', '', 'damaged'],
  ];
  for (const [what, opening, reason] of cases) t.equal(reasonOf(sealText(opening)), reason, what);
  t.equal(
    reasonOf(sealText('{"format": 1, "colons": "a:b\\":{[",')),
    'accepted',
    'braces inside a string count for nothing',
  );
  t.equal(reasonOf(sealText(`{"format": 1, "x": "${'x'.repeat(5000)}",`)), 'damaged', 'too large');
  const invalidUtf8 = sealText('{"format": 1, "x": "?",');
  invalidUtf8[invalidUtf8.indexOf('?')] = 0xff;
  t.equal(reasonOf(invalidUtf8), 'damaged');
});

t.test('nothing but FormatError is ever thrown, and its message stays short', async () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc.json().map((text) => Buffer.from(text)),
    fc.jsonValue().map(seal),
    fc.string().map((text) => sealText(`{"format": 1, "x": ${text},`)),
  );
  fc.assert(
    fc.property(bytes, (input) => {
      try {
        decode(input);
      } catch (error) {
        if (!(error instanceof FormatError)) throw error;
        return error.message.length < 500 && error.kind === 'sample';
      }
      return true;
    }),
    { numRuns: 1000 },
  );
});
