/** Counts of keys with an expiry through backups: of states that say them, say them wrong, or do not say them yet. */
import t, { type Test } from 'tap';
import { BatchBuilder, openDatabase } from '../../src/engine/index.js';
import type { Database } from '../../src/engine/types.js';
import type { Keyspace } from '../../src/keyspace/keyspace.js';
import { STATE_KEY } from '../../src/keyspace/layout.js';
import { openKeyspace } from '../../src/keyspace/open.js';
import { decodeState, encodeState, type RecordedState } from '../../src/keyspace/state-record.js';
import { readPosition } from '../../src/keyspace/survey.js';
import { type Fixture, openFixture } from '../support/backup-fixture.js';
import { silentLog } from '../support/log.js';

const FAR_MS = 4_102_444_800_000;

async function fixture(t: Test): Promise<Fixture> {
  const opened = await openFixture(t.testdir());
  t.teardown(() => opened.close());
  return opened;
}

/** Keys with an expiry: `count` in database 1. */
async function fill({ keyspace, set }: Fixture, count: number): Promise<void> {
  await set('stays', 'v', 1);
  const outcome = await keyspace.execute((tx) => {
    for (let i = 0; i < count; i += 1) {
      tx.put(1, Buffer.from(`k${i}`), { type: 'string', bytes: Buffer.from('v'), expiresAtMs: FAR_MS + i });
    }
  });
  await outcome.durable;
}

/** Writes the state record as it would be with something else in it, past the keyspace. */
async function rewriteState(database: Database, change: (state: RecordedState) => RecordedState): Promise<void> {
  const batch = new BatchBuilder();
  batch.put(STATE_KEY, encodeState(change(decodeState((await database.get(STATE_KEY)) as Buffer, 16))));
  await database.write(batch.finish());
}

/** As a version wrote it that did not count. */
const older = (state: RecordedState): RecordedState => ({ ...state, expiryCounts: null });

const counted = ({ position }: Keyspace): number[] | undefined => position.expiryCounts?.slice(0, 3);

t.test('VERIFY DEEP finds a state that says the wrong count', async (t) => {
  const f = await fixture(t);
  await fill(f, 5);
  const sound = await f.create();
  t.match(await (await f.backup.verify(sound, 'DEEP')).done, { status: 'VALID' });
  await rewriteState(f.keyspace.database as Database, (state) => ({ ...state, expiryCounts: Array(16).fill(1) }));
  const wrong = await f.create();
  await t.rejects(
    f.backup.verify(wrong, 'DEEP').then(({ done }) => done),
    {
      code: 'BACKUPVERIFY',
      message: /counts of keys with an expiry 0,5,0,0,0,0,0,0,0,0,0,0,0,0,0,0 instead of 1,1,1/,
    },
  );
  t.match(await f.backup.info(wrong), { status: 'corrupt' });
});

t.test('a backup of an older version is valid, restores everywhere, and counts rightly from then on', async (t) => {
  const f = await fixture(t);
  const live = (): Database => f.keyspace.database as Database;
  await fill(f, 300);
  await rewriteState(live(), older);
  const id = await f.create();
  t.match(await (await f.backup.verify(id, 'DEEP')).done, { status: 'VALID' });

  await f.restore({ backup: id, to: 'plain' });
  const path = `${f.dir}/restores/plain`;
  const database = await openDatabase(path, { createIfMissing: false });
  t.equal((await readPosition(database, 'native'))?.expiryCounts, null, 'it is what was backed up');
  const plain = await openKeyspace({
    ...{ database, kind: 'native', timeline: 1, clockFloorUs: 0, durability: () => 'no', expire: false },
    ...{ log: silentLog(), wallClock: { nowUs: () => Date.now() * 1000 } },
  });
  t.same(counted(plain), [0, 300, 0]);
  await plain.close();

  await fill(f, 301);
  t.same(counted(f.keyspace), [0, 301, 0]);
  await rewriteState(live(), older);
  await f.restore({ backup: id });
  t.same(counted(f.keyspace), [0, 300, 0], 'in place');
  await f.set('k0', 'v', 1);
  t.same(counted(f.keyspace), [0, 299, 0]);
  t.same((await readPosition(live(), 'native'))?.expiryCounts?.slice(0, 3), [0, 299, 0]);

  await f.restore({ backup: 'PREVIOUS' });
  t.same(counted(f.keyspace), [0, 301, 0], 'and back to what an older version left');
  await f.set('k0', 'v', 1);
  t.same((await readPosition(live(), 'native'))?.expiryCounts?.slice(0, 3), [0, 300, 0]);
  const newer = await f.create();
  t.match(await (await f.backup.verify(newer, 'DEEP')).done, { status: 'VALID' });
});
