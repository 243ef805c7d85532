/** Comparing the live database with its archive: while that is tidied, and where some of it is lost. */
import { unlinkSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { type LiveState, whereTheyPart } from '../../src/backup/archive-start.js';
import { tidySegments } from '../../src/backup/segment-upkeep.js';
import { nativeFiles, openDatabase } from '../../src/engine/index.js';
import type { Database } from '../../src/engine/types.js';
import { openLocalStore } from '../../src/storage/index.js';
import { openFixture } from '../support/backup-fixture.js';
import { silentLog } from '../support/log.js';
import { objectKeys } from '../support/repository-files.js';
import { scratch } from '../support/scratch.js';
import { repositoryOn } from './support/repository-on.js';

t.test('segments that are merged while they are compared are there until they were', async (t) => {
  const f = await openFixture(scratch(t), { archive: () => true });
  t.teardown(() => f.close());
  for (let i = 0; i < 20; i += 1) {
    await f.set('n', String(i));
    await f.backup.window();
  }
  const parts = objectKeys(f.repository, 'wal/').length;
  const store = await openLocalStore(f.repository, { files: nativeFiles, create: false });
  t.teardown(() => store.close());
  const repository = repositoryOn(store);
  await repository.segments.refresh();
  const get = store.get.bind(store);
  let merged = 0;
  store.get = async (...asked) => {
    store.get = get;
    const round = await tidySegments(repository, async () => [], new AbortController().signal, silentLog());
    merged = round.merged;
    return get(...asked);
  };
  const { keyspace } = f;
  const live = { database: keyspace.database as Database, mark: keyspace.commitMark, position: keyspace.position };
  t.equal(await whereTheyPart(live, repository, 1), null, 'they go on together');
  t.ok(merged > 1, `${merged} of ${parts} were merged meanwhile`);
});

t.test('an older copy that stands in or at the end of a hole of the archive goes on where it stands', async (t) => {
  const root = scratch(t);
  const f = await openFixture(root, { archive: () => true });
  t.teardown(() => f.close());
  const copies: LiveState[] = [];
  for (let i = 1; i <= 12; i += 1) {
    await f.set('n', String(i));
    await f.backup.window();
    if (![4, 6, 8].includes(i)) continue;
    const { database, position, commitMark: mark } = f.keyspace;
    const path = join(root, `copy-${i}`);
    await (database as Database).checkpoint(path);
    const copy = await openDatabase(path);
    t.teardown(() => copy.close());
    copies.push({ database: copy, mark, position });
  }
  const store = await openLocalStore(f.repository, { files: nativeFiles, create: false });
  t.teardown(() => store.close());
  const repository = repositoryOn(store);
  await repository.segments.refresh();
  const standing = copies.map(({ position: { sequence, commitCount, lastCommitUs } }) => ({
    sequence,
    commitCount,
    timeUs: lastCommitUs,
  }));
  const found = async () => Promise.all(copies.map((copy) => whereTheyPart(copy, repository, 1)));
  t.same(await found(), standing, 'nothing is lost: its last commit is the last that both have');
  // Of the commits 5 to 8 nothing is left: the second copy stands among them, the third behind them.
  const lines = repository.segments.usable(1);
  const [from, to] = [copies[0]?.position.sequence ?? 0, copies[2]?.position.sequence ?? 0];
  const lost = lines.filter((segment) => segment.from >= from && segment.to <= to);
  t.equal(lost.length, 4);
  for (const { key } of lost) unlinkSync(join(f.repository, key));
  await repository.segments.refresh();
  t.same(await found(), standing);
});
