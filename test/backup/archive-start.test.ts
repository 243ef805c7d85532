/** Comparing the live database with its archive while that is tidied. */
import t from 'tap';
import { whereTheyPart } from '../../src/backup/archive-start.js';
import { Repository } from '../../src/backup/repository.js';
import { tidySegments } from '../../src/backup/segment-upkeep.js';
import { systemClock } from '../../src/base/clock.js';
import { nativeFiles } from '../../src/engine/index.js';
import type { Database } from '../../src/engine/types.js';
import { openLocalStore } from '../../src/storage/index.js';
import { openFixture } from '../support/backup-fixture.js';
import { silentLog } from '../support/log.js';
import { objectKeys } from '../support/repository-files.js';
import { scratch } from '../support/scratch.js';

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
  const repository = new Repository({
    store,
    databaseId: () => 'a',
    timeline: () => 1,
    acquireLock: async () => ({ release() {} }),
    readOnlyReason: null,
    clock: systemClock(),
    log: silentLog(),
  });
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
