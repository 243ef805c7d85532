/** What several operations write about one backup at once: none of it is lost. */
import { readFileSync } from 'node:fs';
import t from 'tap';
import { Catalog } from '../../src/backup/catalog.js';
import { nativeFiles } from '../../src/engine/index.js';
import { openLocalStore } from '../../src/storage/index.js';
import { openFixture } from '../support/backup-fixture.js';
import { silentLog } from '../support/log.js';
import { statePath } from '../support/repository-files.js';
import { scratch } from '../support/scratch.js';

t.test('changes of one state at the same time are all kept: a PIN beside a verdict stays a PIN', async (t) => {
  const f = await openFixture(scratch(t));
  await f.set('a', '0');
  const id = await f.create();
  await f.close();
  const store = await openLocalStore(f.repository, { files: nativeFiles, create: false });
  const catalog = new Catalog(store, silentLog());
  await catalog.refresh();
  const restored = { at: '2026-01-28T10:30:04.123456Z', target: 'in-place', duration_ms: 1 };
  await Promise.all([
    catalog.updateState(id, true, (state) => ({ ...state, pinned: true })),
    catalog.updateState(id, true, (state) => ({ ...state, last_restored: restored })),
    catalog.updateState(id, true, (state) => ({ ...state, reason: 'none' })),
  ]);
  const written = JSON.parse(readFileSync(statePath(f.repository, id), 'utf8'));
  t.match(written, { pinned: true, last_restored: restored, reason: 'none' });
  t.match(catalog.get(id)?.state, { pinned: true, last_restored: restored });
  await store.close();
});

t.test('D9: a backup that is pinned while it is verified stays pinned, over a restart too', async (t) => {
  const dir = scratch(t);
  const f = await openFixture(dir);
  await f.set('a', '0');
  const ids: number[] = [];
  for (let i = 0; i < 6; i += 1) ids.push(await f.create());
  for (const id of ids) {
    const verified = f.backup.verify(id, 'QUICK').then(({ done }) => done);
    const pinned = f.backup.setPinned(id, true);
    await Promise.all([verified, pinned]);
  }
  await f.close();
  const again = await openFixture(dir);
  const { backups } = await again.backup.list({});
  t.same(
    backups.map(({ pinned }) => pinned),
    ids.map(() => 1),
  );
  await again.close();
});
