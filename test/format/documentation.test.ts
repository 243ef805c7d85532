/** docs/backup-format.md and the code describe the same bytes: its examples are real and its tables name every field. */
import { readFileSync } from 'node:fs';
import t from 'tap';
import {
  decodeFileList,
  decodeManifest,
  decodeRepositoryHeader,
  decodeState,
  decodeTimeline,
  encodeManifest,
  encodeRepositoryHeader,
  encodeState,
  encodeTimeline,
  newState,
  RECORD_HEAD_BYTES,
  SEGMENT_FOOTER_BYTES,
  SEGMENT_HEADER_BYTES,
  SEGMENT_INDEX_ENTRY_BYTES,
} from '../../src/format/index.js';
import { sampleManifest, someHash, someTime } from './samples.js';

const page = readFileSync('docs/backup-format.md', 'utf8');

/** The part of the page below a heading that starts so. */
function section(heading: string): string {
  const part = page.split('\n## ').find((text) => text.startsWith(heading));
  if (part === undefined) throw new Error(`no section ${heading}`);
  return part;
}

function example(heading: string): Buffer {
  return Buffer.from(/```json\n([\s\S]*?\n)```/.exec(section(heading))?.[1] ?? '');
}

/** The fields that a section's table names, in order. */
function fields(heading: string): string[] {
  const rows = section(heading).matchAll(/^\| ((?:`[a-z_0-9]+` ?)+)\|/gm);
  return [...rows].flatMap((row) => (row[1] ?? '').trim().split(' ')).map((name) => name.replaceAll('`', ''));
}

/** The rows of a byte table below a subheading: offset and size, `n` being 0 bytes. */
function byteTable(subheading: string): [number, number][] {
  const part = page.split(/\n##+ /).find((text) => text.startsWith(subheading)) ?? '';
  return [...part.matchAll(/^\| (\d+) \| (\d+|n) \|/gm)].map((row) => [
    Number(row[1]),
    Number(row[2]?.replace('n', '0')),
  ]);
}

const membersOf = (bytes: Buffer): string[] => Object.keys(JSON.parse(bytes.toString()) as object);

t.test('every example on the page is whole and decodes', async (t) => {
  t.equal(decodeManifest(example('`backups/'), 1).label, 'before the upgrade ⛰');
  t.equal(decodeFileList(example('`lists/')).files.length, 2);
  t.equal(decodeTimeline(example('`timelines/'), 2).parent, 1);
  t.equal(decodeState(example('`states/'), 4).status, 'corrupt');
  t.equal(decodeRepositoryHeader(example('`REPOSITORY.json`')).encryption, null);
});

t.test('every field is in its table, in the order of the file', async (t) => {
  const manifest = encodeManifest({ ...sampleManifest(), engine_options: {} });
  const state = encodeState({ ...newState(1, someHash, { pinned: false, list_sha256: null }), transient: true });
  const header = { repository_id: 'r', database_id: 'd', created_at: someTime, adopted: [], encryption: null };
  const timeline = {
    timeline: 1,
    parent: null,
    fork_sequence: 0,
    fork_at: null,
    fork_commit_count: 0,
    created_at: someTime,
    reason: 'created',
    backup: null,
    left: { timeline: 2, sequence: 9, commit_count: 4, at: '2026-01-28T12:00:00.000000Z' },
  };
  t.same(fields('`backups/'), membersOf(manifest));
  t.same(fields('`states/'), membersOf(state));
  t.same(fields('`REPOSITORY.json`'), membersOf(encodeRepositoryHeader(header)));
  t.same(fields('`timelines/'), membersOf(encodeTimeline(timeline)));
});

t.test('the byte tables of segments have no hole, and the sizes that the code has', async (t) => {
  const sizes: [string, number][] = [
    ['Segment header', SEGMENT_HEADER_BYTES],
    ['Segment record', RECORD_HEAD_BYTES],
    ['Segment index', SEGMENT_INDEX_ENTRY_BYTES],
    ['Segment footer', SEGMENT_FOOTER_BYTES],
  ];
  for (const [subheading, size] of sizes) {
    let end = 0;
    for (const [offset, length] of byteTable(subheading)) {
      t.equal(offset, end, `${subheading}, offset ${offset}`);
      end += length;
    }
    t.equal(end, size, subheading);
  }
});
