/** How a database is opened that commits are replayed into: few tables come of it, in little memory. */
import t from 'tap';
import { loadOptions } from '../../src/backup/materialise.js';
import type { SegmentEntry } from '../../src/backup/segments.js';
import type { ReplayStep } from '../../src/backup/source.js';
import type { FileList } from '../../src/format/index.js';

const MB = 1 << 20;

function source(bytes: number, records: number, files: { name: string; size: number }[] = []) {
  const half = Math.floor(records / 2);
  const step = (from: number, to: number): ReplayStep => ({
    timeline: 1,
    from,
    to,
    segments: [{ sizeBytes: bytes / 2 } as SegmentEntry],
    digestFrom: null,
    digestTo: null,
  });
  const list = { files: files.map((file) => ({ ...file, sha256: '0'.repeat(64) })) } as FileList;
  return { steps: [step(100, 100 + half), step(100 + half, 100 + records)], list };
}

/** About what RocksDB takes for it: each record has a node and an entry beside its bytes. */
const tablesOf = (bytes: number, records: number, buffer: number) => Math.ceil((bytes + 64 * records) / buffer);

t.test('as many tables as a database takes that is opened with them, whatever the records are like', async (t) => {
  for (const bytes of [1, 100, 128 * MB, 220 * MB, 400 * MB]) {
    for (const recordBytes of [20, 40, 220, 4096, 64 * MB]) {
      const records = Math.ceil(bytes / recordBytes);
      const { writeBufferBytes = 0, deferCompaction } = loadOptions(source(bytes, records), false);
      t.ok(writeBufferBytes >= 8 * MB && writeBufferBytes <= 64 * MB, `${writeBufferBytes}`);
      if (deferCompaction === true) t.ok(tablesOf(bytes, records, writeBufferBytes) <= 16, `${bytes} ${recordBytes}`);
      else t.equal(writeBufferBytes, 64 * MB, 'more than that is rearranged meanwhile');
    }
  }
});

t.test('little is replayed in little memory, and much does not take more and more', async (t) => {
  t.match(loadOptions(source(10 * MB, 2500), false), { writeBufferBytes: 8 * MB, deferCompaction: true });
  t.match(loadOptions(source(4096 * MB, 1_000_000), false), { writeBufferBytes: 64 * MB, deferCompaction: false });
});

t.test('the log of the base becomes tables too', async (t) => {
  const log = { name: '000123.log', size: 320 * MB };
  const table = { name: '000124.sst', size: 4096 * MB };
  t.match(loadOptions(source(0, 0, [log, table]), false), { writeBufferBytes: 20 * MB });
});

t.test('a verification takes one thread less', async (t) => {
  t.equal(loadOptions(source(1, 1), true).flushThreads, 1);
  t.equal(loadOptions(source(1, 1), false).flushThreads, 2);
});
