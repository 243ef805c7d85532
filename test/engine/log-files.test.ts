import { readdirSync, statSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { archivedLogs, logBytes, readCommit, unlinkArchivedLog } from '../../src/engine/index.js';
import type { Database } from '../../src/engine/types.js';
import { EVERYTHING, frameAll, MARK, parseRecords, readerFrom, writeCommits } from './support/commits.js';
import { database, failure, reopen } from './support/databases.js';

const FOREVER = { walTtlSeconds: 'forever' } as const;

/** `logs` archived logs of ten commits each, and ten commits in the live one. */
async function spooled(db: Database, logs: number, valueBytes = 20): Promise<void> {
  for (let i = 0; i <= logs; i++) {
    await writeCommits(db, i * 10, 10, 5, valueBytes);
    if (i < logs) await db.flush();
  }
}

async function unlinkAll(db: Database): Promise<void> {
  for (const log of await archivedLogs(db)) await unlinkArchivedLog(db, log.name);
}

t.test('archived logs are listed oldest first, with what they begin with', async (t) => {
  const db = await database(t, FOREVER);
  t.same(await archivedLogs(db), []);
  await spooled(db, 3);
  const logs = await archivedLogs(db);
  t.same(
    logs.map((log) => log.firstSequence),
    [1, 11, 21],
  );
  for (const log of logs) {
    const { size, mtimeMs } = statSync(log.path);
    t.match(log, { path: join(db.path, 'archive', log.name), sizeBytes: size, modifiedMs: mtimeMs });
  }
  t.ok(logs.every((log, i) => i === 0 || log.number > (logs[i - 1]?.number ?? 0)));
  await unlinkArchivedLog(db, logs[0]?.name ?? '');
  t.same(await archivedLogs(db), logs.slice(1));
});

t.test('a log without a batch is listed too, and can be removed', async (t) => {
  const db = await database(t, FOREVER);
  await spooled(db, 1);
  await db.close();
  const again = await reopen(t, db.path, FOREVER);
  await writeCommits(again, 20, 1);
  await again.flush();
  await unlinkAll(again);
  t.same(readdirSync(join(again.path, 'archive')), []);
});

t.test('logBytes is what the files take', async (t) => {
  const db = await database(t, FOREVER);
  await spooled(db, 3, 1000);
  const sizes = (directory: string) =>
    readdirSync(directory)
      .filter((name) => name.endsWith('.log'))
      .reduce((total, name) => total + statSync(join(directory, name)).size, 0);
  t.same(await logBytes(db), { live: sizes(db.path), archived: sizes(join(db.path, 'archive')) });
  t.ok((await logBytes(db)).archived > 30_000);
});

t.test('only the oldest log may go, by its plain name, and only from the archive', async (t) => {
  const db = await database(t, FOREVER);
  await spooled(db, 2);
  const [first, second] = (await archivedLogs(db)).map((log) => log.name) as [string, string];
  const live = readdirSync(db.path).find((name) => name.endsWith('.log')) as string;
  for (const name of [second, '', 'CURRENT', `../${live}`, `${first}/..`, `x${first}`, '.log']) {
    t.match(await failure(() => unlinkArchivedLog(db, name)), { code: 'MISCONF', kind: 'invalid' }, name);
  }
  await unlinkArchivedLog(db, first);
  t.match(await failure(() => unlinkArchivedLog(db, first)), { code: 'MISCONF', message: /archived log/ });
  await unlinkArchivedLog(db, second);
  t.match(await failure(() => unlinkArchivedLog(db, live)), { code: 'MISCONF' });
  t.ok(readdirSync(db.path).includes(live));
});

t.test('a reader in the middle of a log that is removed reads it to its end', async (t) => {
  const db = await database(t, FOREVER);
  await spooled(db, 2, 1000);
  const reader = readerFrom(db, 0);
  t.equal((await reader.next(3000, EVERYTHING)).count, 2);
  const [first] = await archivedLogs(db);
  await unlinkArchivedLog(db, first?.name ?? '');
  const rest = await frameAll(reader);
  t.match(rest, { sequenceFrom: 2, sequenceTo: 30, count: 28 });
  await reader.close();
});

t.test('a reader that comes to a removed log meets WALGAP, with what is left after it', async (t) => {
  const db = await database(t, FOREVER);
  await spooled(db, 3, 1000);
  const commits = readerFrom(db, 0);
  const batches = db.updatesSince(1);
  await commits.next(3000, EVERYTHING);
  await batches.next(1);
  const [first, second] = await archivedLogs(db);
  await unlinkArchivedLog(db, first?.name ?? '');
  await unlinkArchivedLog(db, second?.name ?? '');
  t.equal((await commits.next(1 << 20, EVERYTHING)).sequenceTo, 10);
  await batches.next(1 << 20);
  for (const read of [() => commits.next(1 << 20, EVERYTHING), () => batches.next(1 << 20)]) {
    t.match(await failure(read), { code: 'WALGAP', kind: 'gap', message: /from sequence 11 up to 20 .* at 21$/ });
  }
  await commits.close();
  await batches.close();
  t.equal(await readCommit(db, 15, MARK), null);
  t.not(await readCommit(db, 25, MARK), null);
});

t.test('reading and listing what is left goes on undisturbed while logs are removed', async (t) => {
  const db = await database(t, FOREVER);
  await spooled(db, 60);
  const latest = db.latestSequence();
  let removing = true;
  const remover = unlinkAll(db).then(() => {
    removing = false;
  });
  let rounds = 0;
  for (; removing; rounds++) {
    const reader = readerFrom(db, latest - 5);
    const [framed] = await Promise.all([reader.next(1 << 20, EVERYTHING), db.liveFiles(), logBytes(db)]);
    t.equal(framed.count, 5);
    await reader.close();
    t.not(await readCommit(db, latest, MARK), null);
  }
  await remover;
  t.ok(rounds > 2, `${rounds} rounds`);
  t.same(await archivedLogs(db), []);
});

t.test('the clock that dates a log decides nothing: order is by number', async (t) => {
  const db = await database(t, FOREVER);
  await spooled(db, 2);
  const before = await archivedLogs(db);
  utimesSync(before[0]?.path ?? '', 4e9, 4e9);
  t.same(
    (await archivedLogs(db)).map((log) => log.name),
    before.map((log) => log.name),
  );
  const reader = readerFrom(db, 0);
  const framed = await frameAll(reader);
  t.equal(parseRecords(framed.records, framed.digestFrom).length, 30);
  await reader.close();
});
