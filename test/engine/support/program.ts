/** A process, or worker thread, that the lifetime tests start: program.js <what> <path>. */
import { randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import type { CairnError } from '../../../src/base/errors.js';
import {
  acquireFileLock,
  BatchBuilder,
  nativeFiles,
  openDatabase,
  readCommit,
  replayRecords,
  verifyRecords,
} from '../../../src/engine/index.js';
import { frameRecord } from '../../../src/format/segment.js';
import { anchor, EVERYTHING, MARK, readerFrom, TIMELINE } from './commits.js';

const [what, path] = process.argv.slice(2) as [string, string];
const OPTIONS = { createIfMissing: true, walTtlSeconds: 'forever', writeBufferBytes: 1 << 20 } as const;

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Leaves a replay into a database of its own and a verification of records in flight. */
async function replaying(): Promise<void> {
  const target = await openDatabase(`${path}-target-${process.pid}`, { createIfMissing: true, load: true });
  const value = randomBytes(100_000);
  const body = Buffer.concat([Buffer.from([1, 1, 0x61, 0xa0, 0x8d, 6]), value]);
  const records = Array.from({ length: 500 }, (_, i) => frameRecord({ sequence: i + 1, timeUs: i, count: 1, body }));
  const area = Buffer.concat(records);
  const range = { timeline: TIMELINE, digest: anchor(), expectedSequence: 0 };
  replayRecords(target, area, range).catch(() => undefined);
  verifyRecords(area, range).catch(() => undefined);
}

/** Leaves reads, writes, a flush, a compaction, a verification and a scan in flight. */
async function busy() {
  const db = await openDatabase(path, OPTIONS);
  const batch = new BatchBuilder();
  const fill = (): Buffer => {
    for (let i = 0; i < 1000; i++) batch.put(Buffer.from(`key-${i % 7}-${i}`), randomBytes(200));
    return batch.finish();
  };
  for (let i = 0; i < 10; i++) await db.write(fill());
  const ignore = () => undefined;
  db.iterate().next().catch(ignore);
  db.updatesSince(db.latestSequence())
    .next(1 << 20)
    .catch(ignore);
  readerFrom(db, 0)
    .next(1 << 30, EVERYTHING)
    .catch(ignore);
  readCommit(db, db.latestSequence(), MARK).catch(ignore);
  await replaying();
  db.snapshot();
  for (let i = 0; i < 20; i++) db.write(fill(), { sync: i % 5 === 0 }).catch(ignore);
  db.get(Buffer.from('key-1-1')).catch(ignore);
  db.flush().catch(ignore);
  db.compactRange().catch(ignore);
  db.verifyChecksums().catch(ignore);
  return db;
}

async function repeat(call: () => Promise<unknown>): Promise<never> {
  for (;;) await call();
}

const programs: Record<string, () => Promise<void>> = {
  async open() {
    await openDatabase(path).then(
      () => say('opened'),
      (error: CairnError) => say(error.line),
    );
  },
  async hold() {
    const db = await openDatabase(path, OPTIONS);
    const batch = new BatchBuilder();
    batch.put(Buffer.from('key'), Buffer.from('value'));
    await db.write(batch.finish());
    say('holding');
    process.stdin.resume();
  },
  async lock() {
    try {
      acquireFileLock(path);
      say('locked');
      process.stdin.resume();
    } catch (thrown) {
      say((thrown as CairnError).line);
    }
  },
  async busy() {
    await busy();
    parentPort?.postMessage('busy');
    if (!isMainThread) parentPort?.on('message', () => undefined);
  },
  async files() {
    const root = { path, identity: null };
    const { reads, sizes, list } = nativeFiles;
    for (const call of [() => reads(root, ['file'], 4 << 20, 1), () => sizes(root, ['file']), () => list(root, '')])
      for (let beside = 0; beside < 3; beside++) repeat(call).catch(() => undefined);
    parentPort?.postMessage('busy');
  },
  async exit() {
    await busy();
    process.exit(7);
  },
  async throw() {
    await busy();
    setImmediate(() => {
      throw new Error('thrown on purpose');
    });
  },
  async end() {
    await busy();
  },
  async 'close-and-exit'() {
    void (await busy()).close();
    process.exit(7);
  },
  async 'open-and-exit'() {
    void openDatabase(path, OPTIONS);
    setImmediate(() => process.exit(7));
  },
  async 'worker-and-exit'() {
    const worker = new Worker(fileURLToPath(import.meta.url), { argv: ['busy', path] });
    worker.on('message', () => process.exit(7));
  },
};

await programs[what]?.();
