/**
 * How many keys have an expiry: said by the state like the key counts, in a transaction with what it did so far. States
 * of before that, whose record is of version 1 or 2, are counted once when they are about to be served.
 */
import t from 'tap';
import { CairnError } from '../../src/base/errors.js';
import { BatchBuilder, openDatabase } from '../../src/engine/index.js';
import type { Database } from '../../src/engine/types.js';
import { correctPosition } from '../../src/keyspace/correct-position.js';
import { countExpiries } from '../../src/keyspace/expiry-counts.js';
import type { Keyspace } from '../../src/keyspace/keyspace.js';
import { nativeLayout, STATE_KEY } from '../../src/keyspace/layout.js';
import { decodeState, encodeState } from '../../src/keyspace/state-record.js';
import { countUnsaidExpiries, readPosition, survey } from '../../src/keyspace/survey.js';
import type { Transaction } from '../../src/keyspace/transaction.js';
import { bytes, commit, get, open, remove, set, until } from './harness.js';

const FAR_MS = 4_102_444_800_000;

const first = (counts: readonly number[] | null | undefined): number[] | undefined => counts?.slice(0, 3);
const counted = ({ position }: Keyspace): number[] | undefined => first(position.expiryCounts);
const recorded = async (database: Database): Promise<Buffer> => (await database.get(STATE_KEY)) as Buffer;

/** Puts the state record back to what a version that did not count would have written. */
async function asOlderVersion(database: Database): Promise<void> {
  const record = await recorded(database);
  const batch = new BatchBuilder();
  batch.put(STATE_KEY, encodeState({ ...decodeState(record, 16), expiryCounts: null }, record[0] === 4));
  await database.write(batch.finish());
}

/** Some keys in databases 0 to 2: with an expiry 70, 1 and 0. */
async function fill(keyspace: Keyspace): Promise<void> {
  await commit(keyspace, (tx) => {
    for (let i = 0; i < 100; i += 1) {
      const expiresAtMs = i < 70 ? FAR_MS + (i % 7) : null;
      tx.put(0, bytes(`k${i}`), { type: 'string', bytes: bytes('v'), expiresAtMs });
    }
  });
  await set(keyspace, 'one', 'v', FAR_MS, 1);
  await set(keyspace, '', 'v', null, 2);
}

t.test('a transaction sees the count with what it did so far, and one that throws leaves none of it', async (t) => {
  const { keyspace } = await open(`${t.testdir()}/db`);
  await set(keyspace, 'a', 'v', FAR_MS);
  await set(keyspace, 'b', 'v');
  const put = (tx: Transaction, key: string, expiresAtMs: number | null, database = 0) =>
    tx.put(database, bytes(key), { type: 'string', bytes: bytes('v'), expiresAtMs });
  const body = (tx: Transaction): number[][] => {
    const seen: number[][] = [];
    const look = () => seen.push([tx.expiryCount(0), tx.expiryCount(1)]);
    look();
    put(tx, 'a', FAR_MS + 1);
    look();
    put(tx, 'b', FAR_MS);
    put(tx, 'c', FAR_MS);
    look();
    put(tx, 'c', null);
    tx.delete(0, bytes('a'));
    look();
    put(tx, 'x', FAR_MS, 1);
    tx.swap(0, 1);
    look();
    put(tx, 'y', FAR_MS);
    look();
    tx.flush(1);
    put(tx, 'b', FAR_MS, 1);
    put(tx, 'a', null, 1);
    look();
    return seen;
  };
  const seen = [
    [1, 0],
    [1, 0],
    [3, 0],
    [1, 0],
    [1, 1],
    [2, 1],
    [2, 1],
  ];
  const failing = async (): Promise<unknown> =>
    keyspace.execute((tx) => {
      t.same(body(tx), seen);
      throw new Error('thrown by the body');
    });
  await t.rejects(failing(), /thrown by the body/);
  t.same(counted(keyspace), [1, 0, 0]);
  t.same(await commit(keyspace, body), seen);
  t.same(counted(keyspace), [2, 1, 0]);
  await keyspace.close();
});

t.test('keys that expire are taken off when they go: when they are read, written over, or by themselves', async (t) => {
  const { keyspace, clock, database } = await open(`${t.testdir()}/db`);
  keyspace.holdExpiry(true);
  const soon = Math.trunc(clock.us / 1000) + 10;
  for (const key of ['read', 'written', 'again', 'removed', 'itself']) await set(keyspace, key, 'v', soon);
  clock.advanceMs(11);
  t.equal(await get(keyspace, 'read'), null);
  t.same(counted(keyspace), [5, 0, 0], 'while none may be removed it is there, and counted as in Redis');
  await set(keyspace, 'written', 'v');
  await set(keyspace, 'again', 'v', FAR_MS);
  t.same(counted(keyspace), [4, 0, 0]);
  keyspace.holdExpiry(false);
  await get(keyspace, 'read');
  await remove(keyspace, 'removed');
  await until('the last one goes', () => keyspace.position.keyCounts[0] === 2);
  t.same(counted(keyspace), [1, 0, 0]);
  t.same(first((await survey(database, 'native')).expiryCounts), [1, 0, 0]);
  await keyspace.close();
});

t.test('a write that failed leaves the count of what is written', async (t) => {
  const { keyspace, hand } = await open(`${t.testdir()}/db`);
  await set(keyspace, 'a', 'v', FAR_MS);
  hand.beforeWrite = async () => {
    throw new CairnError('MISCONF', 'the disk is full');
  };
  await t.rejects(set(keyspace, 'b', 'v', FAR_MS), { code: 'MISCONF' });
  t.equal(await commit(keyspace, (tx) => tx.expiryCount(0)), 1);
  hand.beforeWrite = async () => {};
  await keyspace.setReadOnly(false);
  await set(keyspace, 'b', 'v', FAR_MS);
  t.same(counted(keyspace), [2, 0, 0]);
  await keyspace.close();
});

for (const swapped of [false, true]) {
  t.test(`a state that did not say it is counted when it is opened${swapped ? ', swapped' : ''}`, async (t) => {
    const path = `${t.testdir()}/db`;
    const before = await open(path);
    await fill(before.keyspace);
    if (swapped) await commit(before.keyspace, (tx) => tx.swap(0, 2));
    const expected = swapped ? [0, 1, 70] : [70, 1, 0];
    t.same(counted(before.keyspace), expected);
    await asOlderVersion(before.database);
    const older = await recorded(before.database);
    t.equal(older[0], swapped ? 2 : 1);
    t.equal((await readPosition(before.database, 'native'))?.expiryCounts, null, 'it does not say');
    t.same(first((await countUnsaidExpiries(before.database, 'native')) as number[]), expected);
    await before.database.flush();
    await before.keyspace.close();

    // No removal by itself: what is written here is what the test writes.
    const { keyspace, database } = await open(path, { paused: true });
    const sequence = database.latestSequence();
    t.same(counted(keyspace), expected);
    t.equal(database.latestSequence(), sequence, 'nothing is written for it');
    t.same(await recorded(database), older);
    keyspace.begin();
    await set(keyspace, 'another', 'v', FAR_MS, 1);
    t.equal((await recorded(database))[0], swapped ? 4 : 3, 'the next commit says it');
    t.same(first(decodeState(await recorded(database), 16).expiryCounts), [expected[0], 2, expected[2]]);
    t.equal(await countUnsaidExpiries(database, 'native'), null);
    t.same(await survey(database, 'native').then(({ expiryCounts }) => expiryCounts), keyspace.position.expiryCounts);
    await keyspace.close();
  });
}

t.test('an index entry that stands for no key is not counted, nor a record that is not known', async (t) => {
  const path = `${t.testdir()}/db`;
  const before = await open(path);
  await fill(before.keyspace);
  await asOlderVersion(before.database);
  const batch = new BatchBuilder();
  const index = nativeLayout.expiryIndex;
  const orphan = (key: string, expiresAtMs: number) =>
    batch.put(index?.key(0, expiresAtMs, bytes(key)) as Buffer, Buffer.alloc(0));
  orphan('gone', FAR_MS);
  orphan('met', 1);
  orphan('k0', FAR_MS - 1);
  orphan('k0', FAR_MS + 1);
  orphan('k99', FAR_MS);
  orphan('cut', FAR_MS);
  batch.put(nativeLayout.mainKey(0, bytes('cut')), Buffer.of(0x10, 1));
  orphan('empty', FAR_MS);
  batch.put(nativeLayout.mainKey(0, bytes('empty')), Buffer.alloc(0));
  await before.database.write(batch.finish());
  await before.keyspace.close();
  const { keyspace, database } = await open(path, { paused: true });
  t.same(counted(keyspace), [70, 1, 0]);
  t.same(first(await countExpiries(database, 'native')), [70, 1, 0]);
  t.same(await countExpiries(database, 'raw'), [0], 'no key of a raw keyspace expires');
  keyspace.begin();
  const met = index?.key(0, 1, bytes('met')) as Buffer;
  await until('the one that is met is removed', async () => (await database.get(met)) === undefined);
  t.same(counted(keyspace), [70, 1, 0], 'which takes off nothing');
  await keyspace.close();
});

t.test('an exchange brings a state that did not say it, counted before or by the exchange', async (t) => {
  const directory = t.testdir();
  for (const name of ['before', 'by-it', 'corrected']) {
    const made = await open(`${directory}/${name}`);
    await fill(made.keyspace);
    await asOlderVersion(made.database);
    await made.keyspace.close();
  }
  const { keyspace } = await open(`${directory}/old`);
  await set(keyspace, 'k', 'v', FAR_MS);
  const bring = async (name: string, said: boolean): Promise<void> => {
    const database = await openDatabase(`${directory}/${name}`, { createIfMissing: false });
    const expiryCounts = said ? await countUnsaidExpiries(database, 'native') : null;
    const { previous } = await keyspace.exchange(async () => ({
      ...{ database, timeline: 2, kind: 'native' as const },
      ...(expiryCounts === null ? {} : { expiryCounts }),
    }));
    await previous?.close();
    t.same(counted(keyspace), [70, 1, 0], name);
    await remove(keyspace, 'k0');
    t.same(first(decodeState(await recorded(database), 16).expiryCounts), [69, 1, 0]);
  };
  await bring('before', true);
  await bring('by-it', false);
  await keyspace.close();

  const database = await openDatabase(`${directory}/corrected`, { createIfMissing: false });
  const known = { lastCommitUs: 5, commitCount: 3, expiryCounts: null, timeline: 1 };
  const keyCounts = [100, 1, 1];
  t.same(first((await correctPosition(database, { ...known, keyCounts })).expiryCounts), [70, 1, 0]);
  t.same(first((await correctPosition(database, { ...known, keyCounts: null })).expiryCounts), [70, 1, 0]);
  t.same(first((await readPosition(database, 'native'))?.expiryCounts), [70, 1, 0]);
  await database.close();
});
