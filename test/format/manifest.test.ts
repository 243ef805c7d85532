/** Manifests: a round trip for every valid one, and no way in for one that contradicts itself or its name. */
import fc from 'fast-check';
import t from 'tap';
import { decodeManifest, encodeManifest, FormatError, type Manifest } from '../../src/format/index.js';
import { anyManifest, sampleManifest, seal, someHash, someTime } from './samples.js';

const plain = (manifest: unknown) => JSON.parse(JSON.stringify(manifest)) as Record<string, unknown>;

t.test('every valid manifest comes back as it was, in the documented order', async (t) => {
  fc.assert(
    fc.property(anyManifest, (manifest) => {
      const bytes = encodeManifest(manifest);
      t.same(decodeManifest(bytes, manifest.id), plain(manifest));
      const shuffled = Object.fromEntries(Object.entries(manifest).reverse()) as unknown as Manifest;
      return encodeManifest(shuffled).equals(bytes);
    }),
    { numRuns: 100 },
  );
  const members = Object.keys(JSON.parse(encodeManifest(sampleManifest()).toString()) as object);
  t.equal(
    members.join(' '),
    'format id type label parent base timeline sequence_from sequence_to timestamp started_at finished_at duration_ms ' +
      'files size stored_size list cut span database_id repository_id host trigger versions self_sha256',
  );
});

t.test('a manifest under another name is refused', async (t) => {
  const bytes = encodeManifest(sampleManifest({ id: 5 }));
  t.throws(() => decodeManifest(bytes, 6), { name: 'FormatError', reason: 'schema', message: /backup 5.* 6/ });
});

t.test('contradictions are refused when they are read and when they are written', async (t) => {
  const span = {
    timeline: 1,
    sequence_from: 10,
    sequence_to: 20,
    first_at: someTime,
    last_at: someTime,
    commit_count: 3,
    digest_from: someHash,
    digest_to: someHash,
  };
  const increment = sampleManifest({
    type: 'incremental',
    parent: 4,
    base: 1,
    sequence_from: 10,
    sequence_to: 20,
    span,
  });
  t.same(decodeManifest(encodeManifest(increment), 5), plain(increment));

  const full = sampleManifest();
  const refused: [string, Manifest][] = [
    ['sequences backwards', { ...increment, sequence_from: 21 }],
    ['a full from a sequence', { ...full, sequence_from: 1 }],
    ['a full with a parent', { ...full, parent: 4 }],
    ['a full with a span', { ...full, span }],
    ['an increment without a span', { ...increment, span: null }],
    ['an increment without a parent', { ...increment, parent: null }],
    ['an increment without a base', { ...increment, base: null }],
    ['an increment whose span ends elsewhere', { ...increment, span: { ...span, sequence_to: 19 } }],
    ['a span backwards', { ...increment, span: { ...span, sequence_from: 21 } }],
    ['its own parent', { ...increment, parent: 5 }],
    ['a base of the future', { ...increment, base: 6 }],
    ['another number of files', { ...full, files: 4 }],
    ['another size', { ...full, size: 1 }],
    ['raw with 16 databases', { ...full, cut: { ...full.cut, keyspace: 'raw' } }],
    ['a number that JSON cannot hold', { ...full, sequence_to: 2 ** 53 }],
    ['a fraction', { ...full, duration_ms: 0.5 }],
    ['a negative size', { ...full, stored_size: -1 }],
    ['a day that does not exist', { ...full, timestamp: '2026-02-30T00:00:00.000000Z' }],
    ['a time in another form', { ...full, timestamp: '2026-01-28T10:30:04Z' }],
    ['a label that ends a line', { ...full, label: 'a\r\nb' }],
    ['a label of 257 bytes', { ...full, label: 'x'.repeat(257) }],
    ['a list that is a path', { ...full, list: { ...full.list, sha256: '../../etc/passwd' } }],
    ['a hash in capitals', { ...full, list: { ...full.list, sha256: someHash.toUpperCase() } }],
    ['an id of nine digits', { ...full, id: 100_000_000 }],
    ['an unknown type', { ...full, type: 'partial' as 'full' }],
    ['no database', { ...full, cut: { ...full.cut, key_counts: [] } }],
    ['too many databases', { ...full, cut: { ...full.cut, key_counts: Array(1025).fill(0) } }],
    ['an endless host', { ...full, host: 'x'.repeat(300) }],
  ];
  for (const [what, manifest] of refused) {
    t.throws(() => encodeManifest(manifest), FormatError, `written: ${what}`);
    const read = () => decodeManifest(seal({ format: 1, ...manifest }), manifest.id);
    t.throws(read, { name: 'FormatError', reason: 'schema' }, `read: ${what}`);
  }
});

t.test('a missing field is named', async (t) => {
  for (const field of Object.keys(sampleManifest())) {
    const { [field]: _, ...rest } = sampleManifest() as unknown as Record<string, unknown>;
    t.throws(() => decodeManifest(seal({ format: 1, ...rest }), 5), { message: new RegExp(` in ${field}`) }, field);
  }
});

t.test(
  'whatever a hostile writer puts into a sealed manifest, it decodes soundly or fails as FormatError',
  async () => {
    const paths = leaves(plain(sampleManifest()));
    const change = fc.record({
      path: fc.constantFrom(...paths),
      value: fc.oneof(fc.jsonValue(), fc.double(), fc.string()),
    });
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 3 }), (changes) => {
        const manifest: Record<string, unknown> = { format: 1, ...plain(sampleManifest()) };
        for (const { path, value } of changes) put(manifest, path, value);
        try {
          const decoded = decodeManifest(seal(manifest), 5);
          return encodeManifest(decoded).length > 0;
        } catch (error) {
          if (!(error instanceof FormatError)) throw error;
          return true;
        }
      }),
      { numRuns: 1000 },
    );
  },
);

t.test('mutated bytes never throw anything but FormatError', async () => {
  const good = encodeManifest(sampleManifest());
  const edit = fc.tuple(fc.nat(good.length - 1), fc.nat(4), fc.uint8Array({ maxLength: 4 }));
  fc.assert(
    fc.property(fc.array(edit, { minLength: 1, maxLength: 4 }), (edits) => {
      let bytes = good;
      for (const [at, remove, insert] of edits) {
        bytes = Buffer.concat([bytes.subarray(0, at), insert, bytes.subarray(at + remove)]);
      }
      try {
        decodeManifest(bytes, 5);
        return bytes.equals(good);
      } catch (error) {
        if (!(error instanceof FormatError)) throw error;
        return error.reason === 'damaged';
      }
    }),
    { numRuns: 1000 },
  );
});

function leaves(value: unknown, path: string[] = []): string[][] {
  if (typeof value !== 'object' || value === null) return [path];
  const below = Object.entries(value).flatMap(([name, member]) => leaves(member, [...path, name]));
  return path.length === 0 ? below : [path, ...below];
}

function put(target: unknown, path: string[], value: unknown): void {
  const [name = '', ...rest] = path;
  if (typeof target !== 'object' || target === null) return;
  const record = target as Record<string, unknown>;
  if (rest.length === 0) record[name] = value;
  else put(record[name], rest, value);
}
