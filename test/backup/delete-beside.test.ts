/**
 * A9: DELETE beside VERIFY of the same backup, at every distance from each other: one of them is refused or comes after the other. A
 * backup that goes is never called damaged, and its state does not come back, which would look like a manifest that was lost.
 */
import { setImmediate as turn } from 'node:timers/promises';
import t from 'tap';
import { Catalog } from '../../src/backup/catalog.js';
import { CairnError } from '../../src/base/errors.js';
import { nativeFiles } from '../../src/engine/index.js';
import { stateKey } from '../../src/format/index.js';
import { openLocalStore } from '../../src/storage/index.js';
import { openFixture } from '../support/backup-fixture.js';
import { capturingLog, silentLog } from '../support/log.js';
import { objectKeys } from '../support/repository-files.js';
import { scratch } from '../support/scratch.js';

const DISTANCES = 25;

t.test('A9: a backup that is deleted while it is verified is gone or stays, whole', async (t) => {
  const { log, records } = capturingLog();
  const f = await openFixture(scratch(t), { log });
  await f.set('a', '0');
  await f.create();
  const outcomes = new Set<string>();
  const codeOf = (error: unknown): string => (error instanceof CairnError ? error.code : String(error));
  for (let distance = 0; distance < DISTANCES; distance += 1) {
    await f.set('a', String(distance));
    const id = await f.create();
    const after = async (turns: number): Promise<void> => {
      for (let i = 0; i < turns; i += 1) await turn();
    };
    const [deleted, verified] = await Promise.all([
      f.backup.delete(id, false).then(() => 'deleted', codeOf),
      after(distance)
        .then(async () => (await f.backup.verify(id, 'FULL')).done.then(({ status }) => status))
        .catch(codeOf),
    ]);
    outcomes.add(`${deleted} ${verified}`);
    if (deleted !== 'deleted') await f.backup.delete(id, false);
    t.notOk(
      objectKeys(f.repository, 'states/').some((key) => key.includes(String(id).padStart(8, '0'))),
      `${distance}: ${deleted}, ${verified}`,
    );
  }
  const allowed = ['deleted VALID', 'deleted BACKUPNOTFOUND', 'BACKUPINUSE VALID'];
  t.same(
    [...outcomes].filter((outcome) => !allowed.includes(outcome)),
    [],
  );
  t.comment([...outcomes].join(', '));
  t.same(
    records.filter(({ level }) => level === 'error'),
    [],
  );
  await f.close();
});

t.test('A9: from when a manifest goes the backup is there for nobody, and its state is not written anew', async (t) => {
  const f = await openFixture(scratch(t));
  await f.set('a', '0');
  for (const id of [1, 2]) t.equal(await f.create(), id);
  await f.close();
  const store = await openLocalStore(f.repository, { files: nativeFiles, create: false });
  const catalog = new Catalog(store, silentLog());
  await catalog.refresh();
  const removed = catalog.removeManifest(2);
  t.equal(catalog.get(2), null);
  t.same(
    catalog.entries().map(({ id }) => id),
    [1],
  );
  await removed;
  await store.delete(stateKey(2));
  // What a verification does that began before.
  await catalog.updateState(2, true, (state) => ({ ...state, pinned: true }));
  t.same(objectKeys(f.repository, 'states/'), [stateKey(1)]);
  t.same(catalog.lostManifests(), []);
  await store.close();
});
