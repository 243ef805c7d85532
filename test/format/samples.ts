/** Valid documents to start from, arbitrary ones for properties, and the seal that a hostile writer would put on others. */
import fc from 'fast-check';
import { sha256 } from '../../src/base/hash.js';
import { formatTime } from '../../src/base/time.js';
import type { FileEntry, Manifest } from '../../src/format/index.js';

export const someHash = sha256(Buffer.from('some'));
export const someTime = '2026-01-28T10:30:04.123456Z';

export function sampleManifest(changes: Partial<Manifest> = {}): Manifest {
  return {
    id: 5,
    type: 'full',
    label: 'nightly',
    parent: null,
    base: null,
    timeline: 1,
    sequence_from: 0,
    sequence_to: 4107,
    timestamp: someTime,
    started_at: someTime,
    finished_at: someTime,
    duration_ms: 791,
    files: 3,
    size: 68_157_440,
    stored_size: 1_048_576,
    list: { sha256: someHash, files: 3, size: 68_157_440 },
    cut: { last_commit_at: null, commit_count: 0, key_counts: Array(16).fill(0), keyspace: 'native' },
    span: null,
    database_id: '5b0c7f3e-2f43-4a6e-9c53-0d5f0c1c8a11',
    repository_id: 'c3f7a1de-8f0b-4b7e-9a55-7f4f3d2e1b00',
    host: 'db1.example',
    trigger: { command: 'ADMIN.BACKUP CREATE', user: 'default', address: '127.0.0.1:50112' },
    versions: { cairn: '0.1.0', rocksdb: '7.8.3', node: '20.20.2' },
    ...changes,
  };
}

/** Any text as a document: closes it with its own hash, as somebody who knows the format could. */
export function seal(value: unknown): Buffer {
  const body = JSON.stringify(value, null, 2).replace(/\n?}$/, '');
  return sealText(`${body}${body.endsWith('{') ? '' : ','}`);
}

/** The same for text that is a document up to the comma before its hash. */
export function sealText(opening: string): Buffer {
  const zeros = '0'.repeat(64);
  const text = `${opening}\n  "self_sha256": "${zeros}"\n}\n`;
  const hash = sha256(Buffer.from(text));
  return Buffer.from(`${opening}\n  "self_sha256": "${hash}"\n}\n`);
}

const count = fc.nat({ max: Number.MAX_SAFE_INTEGER });
const smallCount = fc.nat({ max: 2 ** 40 });
const hash = fc.uint8Array({ minLength: 1, maxLength: 4 }).map((bytes) => sha256(bytes));
const moment = fc.maxSafeInteger().map(formatTime);
const words = fc.string({ unit: 'grapheme', maxLength: 40 });
// biome-ignore lint/suspicious/noControlCharactersInRegex: labels have none
const label = words.map((text) => text.replace(/[\u0000-\u001f\u007f-\u009f]/g, ''));

export const anyManifest: fc.Arbitrary<Manifest> = fc
  .record({
    id: fc.integer({ min: 1, max: 99_999_999 }),
    label: fc.option(label),
    timeline: fc.integer({ min: 1, max: 2 ** 31 }),
    sequence_to: count,
    timestamp: moment,
    started_at: moment,
    finished_at: moment,
    duration_ms: count,
    files: count,
    size: count,
    stored_size: count,
    list: hash,
    commits: count,
    last: fc.option(moment),
    keys: fc.array(count, { minLength: 1, maxLength: 16 }),
    host: words,
    command: words,
    user: fc.option(words),
    engine_options: fc.option(fc.dictionary(fc.stringMatching(/^[a-z][a-z_]{0,19}$/), words), { nil: undefined }),
  })
  .map(({ list, commits, last, keys, command, user, engine_options, ...rest }) =>
    sampleManifest({
      ...rest,
      list: { sha256: list, files: rest.files, size: rest.size },
      cut: { last_commit_at: last, commit_count: commits, key_counts: keys, keyspace: 'native' },
      trigger: { command, user, address: null },
      ...(engine_options === undefined ? {} : { engine_options }),
    }),
  );

export const anyFiles: fc.Arbitrary<FileEntry[]> = fc.uniqueArray(
  fc.record({ name: fc.stringMatching(/^[A-Za-z0-9_-][A-Za-z0-9._-]{0,30}$/), size: smallCount, sha256: hash }),
  { selector: (file) => file.name, maxLength: 50 },
);
