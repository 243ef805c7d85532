/** File lists, states, headers, timelines, tags, numbers and keys. */
import fc from 'fast-check';
import t from 'tap';
import { AssertionFailed } from '../../src/base/assert.js';
import { sha256 } from '../../src/base/hash.js';
import {
  decodeFileList,
  decodeRepositoryHeader,
  decodeState,
  decodeTags,
  decodeTimeline,
  encodeFileList,
  encodeRepositoryHeader,
  encodeState,
  encodeTags,
  encodeTimeline,
  FormatError,
  fileKey,
  formatNumber,
  isFileName,
  listKey,
  listSize,
  manifestKey,
  newState,
  parseFileKey,
  parseListKey,
  parseManifestKey,
  parseNumber,
  parseStateKey,
  parseTimelineKey,
  type RepositoryHeader,
  stateKey,
  type TimelineRecord,
  timelineKey,
} from '../../src/format/index.js';
import { anyFiles, seal, someHash, someTime } from './samples.js';

const json = (value: unknown) => Buffer.from(JSON.stringify(value));
const file = (name: unknown, size: unknown = 1, hash: unknown = someHash) => ({ name, size, sha256: hash });

t.test('equal lists have equal bytes, in whatever order they were gathered', async (t) => {
  fc.assert(
    fc.property(anyFiles, fc.infiniteStream(fc.double()), (files, random) => {
      const shuffled = files
        .map((entry) => ({ entry, at: random.next().value as number }))
        .sort((a, b) => a.at - b.at)
        .map(({ entry }) => entry);
      const bytes = encodeFileList({ files });
      const decoded = decodeFileList(bytes, { files: files.length, size: listSize({ files }) });
      t.same(
        decoded.files,
        [...files].sort((a, b) => (a.name < b.name ? -1 : 1)),
      );
      return sha256(encodeFileList({ files: shuffled })) === sha256(bytes);
    }),
    { numRuns: 100 },
  );
});

t.test('a hostile file list is refused', async (t) => {
  const names = ['../../etc/x', '/etc/x', '..', '.', '', 'a/b', 'a\\b', 'a\0b', 'a b', 'ä', 'x'.repeat(256), 5, null];
  for (const name of names) {
    t.throws(() => decodeFileList(json({ format: 1, files: [file(name)] })), FormatError, JSON.stringify(name));
    if (typeof name === 'string') t.notOk(isFileName(name));
  }
  const entries: [string, unknown][] = [
    ['a duplicate name', [file('a'), file('a')]],
    ['names out of order', [file('b'), file('a')]],
    ['a size beyond 2^53', [file('a', 2 ** 53)]],
    ['a negative size', [file('a', -1)]],
    ['a fraction', [file('a', 0.5)]],
    ['a size that is text', [file('a', '1')]],
    ['sizes that add up beyond 2^53', [file('a', 2 ** 52), file('b', 2 ** 52)]],
    ['a hash that is a path', [file('a', 1, '../x')]],
    ['an entry that is none', [null]],
    ['a number', [5]],
    ['no list', { length: 10 ** 9 }],
    ['nothing', undefined],
  ];
  for (const [what, files] of entries) t.throws(() => decodeFileList(json({ format: 1, files })), FormatError, what);
  t.throws(() => decodeFileList(json({ format: 2, files: [] })), { name: 'FormatError', reason: 'version' });
  t.throws(() => decodeFileList(json([])), { name: 'FormatError', reason: 'damaged' });
  t.throws(() => decodeFileList(Buffer.from('{"format":1,"files":[],"files":[]}')), {
    name: 'FormatError',
    reason: 'schema',
  });
  t.throws(() => encodeFileList({ files: [file('a'), file('a')] as never }), FormatError);
});

t.test('a list that is not what its manifest says is refused', async (t) => {
  const bytes = encodeFileList({ files: [{ name: 'CURRENT', size: 16, sha256: someHash }] });
  t.ok(decodeFileList(bytes, { files: 1, size: 16 }));
  t.throws(() => decodeFileList(bytes, { files: 2, size: 16 }), { name: 'FormatError', reason: 'schema' });
  t.throws(() => decodeFileList(bytes, { files: 1, size: 17 }), { name: 'FormatError', reason: 'schema' });
});

t.test('a list of too many files is refused at the first one too many', async (t) => {
  const files = Array(1_000_001).fill(file('a'));
  t.throws(() => encodeFileList({ files: files as never }), { message: /1000001 files/ });
});

t.test('a state keeps the newest verifications, the first verdicts and the start of long texts', async (t) => {
  const verification = (n: number) => ({
    at: someTime,
    mode: 'FULL' as const,
    status: 'invalid' as const,
    files_total: n,
    files_verified: 0,
    files_failed: 1,
    bytes: 0,
    duration_ms: 0,
    error: 'x'.repeat(5000),
  });
  const fresh = newState(5, someHash, { pinned: false, list_sha256: null });
  t.same(decodeState(encodeState(fresh), 5), fresh);
  const bytes = encodeState({
    ...fresh,
    reason: 'y'.repeat(5000),
    verifications: Array.from({ length: 30 }, (_, n) => verification(n)),
    verdicts: Array.from({ length: 3000 }, () => ({
      name: 'x'.repeat(255),
      size: 1,
      sha256: someHash,
      verdict: 'corrupt',
    })),
  });
  t.ok(bytes.length < 1024 * 1024);
  const state = decodeState(bytes, 5);
  t.equal(state.reason?.length, 2000);
  t.equal(state.verdicts.length, 1000);
  t.same(
    state.verifications.map((entry) => entry.files_total),
    Array.from({ length: 20 }, (_, n) => n + 10),
  );
  t.equal(state.verifications[0]?.error?.length, 2000);
  t.throws(() => decodeState(bytes, 6), { name: 'FormatError', reason: 'schema' });
  t.throws(() => decodeState(seal({ format: 1, ...fresh, pinned: 'no' }), 5), {
    reason: 'schema',
    message: / in pinned/,
  });
});

t.test('a header with encryption is of a newer Cairn, not damaged', async (t) => {
  const header: RepositoryHeader = {
    repository_id: 'r-1',
    database_id: 'd-1',
    created_at: someTime,
    adopted: [{ database_id: 'd-0', at: someTime }],
    encryption: null,
  };
  t.same(decodeRepositoryHeader(encodeRepositoryHeader(header)), header);
  const { encryption: _, ...without } = header;
  t.throws(() => decodeRepositoryHeader(seal({ format: 1, ...header, encryption: { kdf: 'x' } })), {
    name: 'FormatError',
    reason: 'version',
  });
  t.throws(() => decodeRepositoryHeader(seal({ format: 1, ...without })), { name: 'FormatError', reason: 'schema' });
  t.throws(() => decodeRepositoryHeader(seal({ format: 1, ...header, database_id: '../x' })), {
    name: 'FormatError',
    reason: 'schema',
  });
  t.throws(() => decodeRepositoryHeader(seal({ ...header, format: 7 })), { name: 'FormatError', reason: 'version' });
});

t.test('an ancestry of timelines cannot loop', async (t) => {
  const record: TimelineRecord = {
    timeline: 2,
    parent: 1,
    fork_sequence: 10,
    fork_at: someTime,
    fork_commit_count: 3,
    created_at: someTime,
    reason: 'restore',
    backup: 5,
  };
  t.same(decodeTimeline(encodeTimeline(record), 2), record);
  t.throws(() => encodeTimeline({ ...record, parent: 2 }), FormatError);
  t.throws(() => decodeTimeline(seal({ format: 1, ...record, parent: 3 }), 2), {
    name: 'FormatError',
    reason: 'schema',
  });
  t.throws(() => decodeTimeline(encodeTimeline(record), 3), { name: 'FormatError', reason: 'schema' });
});

t.test('tags have unique names', async (t) => {
  const tag = { name: 'release-1.4', timestamp: someTime, sequence: 7, timeline: 1 };
  t.same(decodeTags(encodeTags([tag])), [tag]);
  t.same(decodeTags(encodeTags([])), []);
  t.throws(() => encodeTags([tag, tag]), FormatError);
  t.throws(() => decodeTags(seal({ format: 1, tags: [tag, tag] })), { name: 'FormatError', reason: 'schema' });
  for (const name of ['', 'a\nb', 'x'.repeat(257)]) t.throws(() => encodeTags([{ ...tag, name }]), FormatError);
});

t.test('a number file is exactly a number, or nothing', async (t) => {
  fc.assert(
    fc.property(fc.nat({ max: Number.MAX_SAFE_INTEGER }), (value) => parseNumber(formatNumber(value)) === value),
  );
  t.equal(parseNumber(Buffer.from('7')), 7);
  for (const text of [
    '',
    '\n',
    '-1',
    '01',
    '1.5',
    '1e3',
    ' 1',
    '1 ',
    '1\n\n',
    '9007199254740992',
    '9'.repeat(100),
    'x',
    '1\0',
  ]) {
    t.equal(parseNumber(Buffer.from(text)), null, JSON.stringify(text));
  }
  t.throws(() => formatNumber(-1), AssertionFailed);
});

t.test('keys are built and read by one rule', async (t) => {
  t.equal(manifestKey(5), 'backups/00000005.json');
  t.equal(stateKey(99_999_999), 'states/99999999.json');
  t.equal(listKey(someHash), `lists/${someHash}`);
  t.equal(fileKey(someHash), `files/${someHash.slice(0, 2)}/${someHash}`);
  t.equal(timelineKey(12), 'timelines/12.json');
  t.equal(parseManifestKey(manifestKey(5)), 5);
  t.equal(parseStateKey(stateKey(5)), 5);
  t.equal(parseListKey(listKey(someHash)), someHash);
  t.equal(parseFileKey(fileKey(someHash)), someHash);
  t.equal(parseTimelineKey(timelineKey(12)), 12);

  const parsers = [parseManifestKey, parseStateKey, parseListKey, parseFileKey, parseTimelineKey];
  const foreign = [
    ...['', 'backups/', 'backups/5.json', 'backups/00000000.json', 'backups/00000005.json~', 'backups/x/00000005.json'],
    ...['states/0000005.json', 'lists/x', `lists/${someHash}.gz`, `files/zz/${someHash}`, `files/${someHash}`],
    ...['timelines/0.json', 'timelines/01.json', 'timelines/99999999999999999.json', 'xbackups/00000005.json'],
  ];
  for (const key of foreign) for (const parse of parsers) t.equal(parse(key), null, key);
  for (const id of [0, -1, 1.5, 100_000_000, Number.NaN]) t.throws(() => manifestKey(id), AssertionFailed);
  t.throws(() => fileKey('../../etc/passwd'), AssertionFailed);
  t.throws(() => listKey(someHash.toUpperCase()), AssertionFailed);
});
