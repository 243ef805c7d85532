/**
 * What format 1 wrote, every later version reads: test/fixtures/repository-v1 is a repository whose bytes never change.
 * Each document decodes, encodes to the same bytes again, and holds by rules that this file works out on its own.
 * (A later format adds a directory; this one stays.)
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import {
  decodeFileList,
  decodeManifest,
  decodeRepositoryHeader,
  decodeState,
  decodeTags,
  decodeTimeline,
  encodeFileList,
  encodeManifest,
  encodeRepositoryHeader,
  encodeState,
  encodeTags,
  encodeTimeline,
  fileKey,
  formatNumber,
  listKey,
  manifestChecksum,
  manifestKey,
  parseFileKey,
  parseListKey,
  parseManifestKey,
  parseNumber,
  parseStateKey,
  parseTimelineKey,
  stateKey,
  timelineKey,
} from '../../src/format/index.js';

const root = join(process.cwd(), 'test/fixtures/repository-v1');
const read = (key: string): Buffer => readFileSync(join(root, key));
const keys = readdirSync(root, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
  .sort();
const hashOf = (bytes: Buffer | string): string => createHash('sha256').update(bytes).digest('hex');

t.test('every document decodes, and encodes to the same bytes', async (t) => {
  const seen = { manifest: 0, state: 0, list: 0, file: 0, timeline: 0, other: 0 };
  for (const key of keys) {
    const bytes = read(key);
    const encoded = reencode(key, bytes, seen);
    t.ok(encoded.equals(bytes), key);
  }
  t.same(seen, { manifest: 5, state: 3, list: 3, file: 4, timeline: 2, other: 4 });
});

t.test('the bytes keep the promises of docs/backup-format.md', async (t) => {
  for (const key of keys.filter((key) => key.endsWith('.json'))) {
    const text = read(key).toString('utf8');
    const stated = /\n {2}"self_sha256": "([0-9a-f]{64})"\n}\n$/.exec(text)?.[1] ?? '';
    t.equal(hashOf(text.replace(stated, '0'.repeat(64))), stated, `${key} proves itself`);
    t.ok(text.startsWith('{\n  "format": 1,\n'), `${key} says its format first`);
  }
  for (const key of keys.filter((key) => /^(files|lists)\//.test(key))) {
    t.equal(hashOf(read(key)), key.slice(-64), `${key} is named by its content`);
  }
  for (const id of [1, 4, 5]) {
    const manifest = read(manifestKey(id));
    const state = decodeState(read(stateKey(id)), id);
    t.equal(state.manifest_sha256, hashOf(manifest), `state ${id} names its manifest`);
    t.equal(manifestChecksum(manifest), `sha256:${hashOf(manifest)}`);
  }
});

t.test('values come out as they were meant', async (t) => {
  const full = decodeManifest(read('backups/00000001.json'), 1);
  t.match(full, {
    id: 1,
    type: 'full',
    label: 'before the upgrade ⛰',
    sequence_to: 4107,
    timestamp: '2026-01-28T10:30:04.123456Z',
    cut: { commit_count: 2054, keyspace: 'native' },
    trigger: { user: 'default', address: '127.0.0.1:50112' },
  });
  const list = decodeFileList(read(listKey(full.list.sha256)), full.list);
  t.same(
    list.files.map((file) => file.name),
    ['000012.sst', 'CURRENT', 'OPTIONS-000007'],
  );
  for (const file of list.files) t.equal(read(fileKey(file.sha256)).length, file.size);
  t.match(decodeManifest(read('backups/00000002.json'), 2), { type: 'incremental', span: { commit_count: 12 } });
  t.match(decodeManifest(read('backups/00000003.json'), 3), { label: '', files: 0, cut: { key_counts: [0] } });
  t.match(decodeState(read('states/00000004.json'), 4), { status: 'corrupt', verdicts: [{ name: '000019.sst' }] });
  t.match(decodeTimeline(read('timelines/2.json'), 2), { parent: 1, fork_sequence: 4107, reason: 'restore' });
  t.match(decodeTags(read('tags.json')), [{ name: 'release-1.4', sequence: 4000 }]);
});

t.test('members that this version does not know are ignored, and survive a rewrite', async (t) => {
  const manifest = decodeManifest(read('backups/00000005.json'), 5) as unknown as Record<string, unknown>;
  t.match(manifest, { x_replica: { of: 'db2.example' }, list: { x_origin: 'db2.example' } });
  const state = decodeState(read('states/00000005.json'), 5);
  const rewritten = encodeState({ ...state, pinned: true });
  t.match(rewritten.toString(), '"x_future": [1, 2, 3]');
  t.equal(decodeState(rewritten, 5).pinned, true);
});

function reencode(key: string, bytes: Buffer, seen: Record<string, number>): Buffer {
  const count = (kind: string) => {
    seen[kind] = (seen[kind] ?? 0) + 1;
  };
  const manifest = parseManifestKey(key);
  const state = parseStateKey(key);
  const timeline = parseTimelineKey(key);
  if (manifest !== null) {
    count('manifest');
    t.equal(manifestKey(manifest), key);
    return encodeManifest(decodeManifest(bytes, manifest));
  }
  if (state !== null) {
    count('state');
    t.equal(stateKey(state), key);
    return encodeState(decodeState(bytes, state));
  }
  if (timeline !== null) {
    count('timeline');
    t.equal(timelineKey(timeline), key);
    return encodeTimeline(decodeTimeline(bytes, timeline));
  }
  if (parseListKey(key) !== null) {
    count('list');
    return encodeFileList(decodeFileList(bytes));
  }
  if (parseFileKey(key) !== null) {
    count('file');
    return bytes;
  }
  count('other');
  if (key === 'REPOSITORY.json') return encodeRepositoryHeader(decodeRepositoryHeader(bytes));
  if (key === 'tags.json') return encodeTags(decodeTags(bytes));
  return formatNumber(parseNumber(bytes) ?? -1);
}
