/** Point-in-time recovery on a real database and a real repository: every moment that was archived comes back exactly. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { armFaultPoints } from '../../src/base/fault-points.js';
import { nativeFiles, openDatabase } from '../../src/engine/index.js';
import { iterateRecords, lastSequence, verifySegment } from '../../src/format/index.js';
import { readPosition } from '../../src/keyspace/survey.js';
import { openLocalStore } from '../../src/storage/index.js';
import { type Fixture, openFixture } from '../support/backup-fixture.js';
import { objectKeys } from '../support/repository-files.js';
import { scratch } from '../support/scratch.js';

async function fixture(t: Test, options: Parameters<typeof openFixture>[1] = {}): Promise<Fixture> {
  const opened = await openFixture(scratch(t), { archive: () => true, ...options });
  t.teardown(() => opened.close());
  return opened;
}

t.test('every commit since the full is a moment that can be restored, to the microsecond', async (t) => {
  const f = await fixture(t);
  await f.set('n', '0');
  await f.create();
  const times: number[] = [];
  for (let i = 1; i <= 20; i += 1) {
    await f.set('n', String(i));
    times.push(f.keyspace.position.lastCommitUs);
  }
  for (const at of [0, 7, 19]) {
    const us = times[at] as number;
    const exact = await f.restore({ target: { at: String(us) }, timeline: 1 });
    t.equal(await f.get('n'), String(at + 1), `at commit ${at + 1}`);
    t.match(exact, { commits_replayed: at + 1, timeline: 1, base: 1, id: 1 });
    await f.restore({ target: { at: String(us - 1) }, timeline: 1 });
    t.equal(await f.get('n'), String(at), `one microsecond before commit ${at + 1}`);
  }
});

t.test('an increment restores by itself, its parent gone', async (t) => {
  const f = await fixture(t);
  await f.set('a', '1');
  const full = await f.create();
  await f.set('b', '2');
  const first = await f.create({ type: 'incremental' });
  await f.set('c', '3');
  const second = await f.create({ type: 'incremental' });
  const info = await f.backup.info(second);
  t.match(info, { type: 'incremental', parent: first, base: full, status: 'complete' });
  t.same(info.promoted, undefined);
  await f.backup.delete(first, false);
  await f.backup.delete(full, false);
  await (await f.backup.verify(second, 'FULL')).done;
  await (await f.backup.verify(second, 'DEEP')).done;
  await f.set('c', 'lost');
  await f.restore({ backup: second });
  t.equal(await f.get('b'), '2');
  t.equal(await f.get('c'), '3');
});

t.test('a target inside a write group is exact, says itself where it is, and goes on from there', async (t) => {
  const f = await fixture(t);
  await f.set('n', '0');
  await f.create();
  // Executed in one turn of the event loop: one write, and the reserved key only at its end.
  const put = (value: string) =>
    f.keyspace.execute((tx) => {
      tx.put(0, Buffer.from('n'), { type: 'string', bytes: Buffer.from(value), expiresAtMs: null });
      tx.put(1, Buffer.from(`key:${value}`), { type: 'string', bytes: Buffer.from(value), expiresAtMs: null });
    });
  const outcomes = await Promise.all(['1', '2', '3', '4', '5'].map(put));
  for (const { durable } of outcomes) await durable;
  await f.backup.window();
  const store = await openLocalStore(f.repository, { files: nativeFiles });
  t.teardown(() => store.close());
  const [key = ''] = objectKeys(f.repository, 'wal/1').slice(-1);
  const commits = [...iterateRecords(verifySegment(await store.get(key, 1 << 20)).records)].slice(-5);
  t.equal(new Set(commits.map(({ timeUs }) => timeUs)).size, 5);
  for (const [i, commit] of commits.entries()) {
    const value = String(i + 1);
    const restored = await f.restore({ target: { at: String(commit.timeUs) }, timeline: 1 });
    t.match(restored, { sequence: lastSequence(commit), commits_replayed: i + 1 });
    t.equal(await f.get('n'), value);
    t.same(f.keyspace.position.keyCounts.slice(0, 2), [1, i + 1], 'keys are counted');
    // What is written then is archived on the new line, and a full of it is proven.
    await f.set('after', value);
    const us = f.keyspace.position.lastCommitUs;
    await f.set('after', 'later');
    await (await f.backup.verify(await f.create({ verify: true }), 'DEEP')).done;
    await f.restore({ target: { at: String(us) }, timeline: restored.timeline_new ?? 0, backup: 'LATEST' });
    t.same([await f.get('n'), await f.get('after')], [value, value]);

    const { target } = await f.restore({ target: { at: String(commit.timeUs) }, timeline: 1, to: `to-${value}` });
    const database = await openDatabase(target);
    const position = await readPosition(database, 'native');
    t.match(position, { keyCounts: [1, i + 1], timeline: 1 }, 'a plain directory says it itself as well');
    await database.close();
  }
});

t.test('segments too large to have two of them in memory are replayed one after the other', async (t) => {
  const f = await fixture(t);
  await f.create();
  const values = ['a', 'b', 'c'].map((letter) => letter.repeat(11 << 20));
  for (const value of values) {
    await f.set('n', value);
    await f.set(`key:${value[0]}`, 'there');
    await f.backup.window();
  }
  const { sequence } = f.keyspace.position;
  await f.set('n', 'later');
  t.match(await f.restore({ target: { seq: sequence } }), { commits_replayed: 6 });
  t.ok((await f.get('n')) === values[2]);
  t.equal(await f.get('key:a'), 'there');
});

t.test(
  'a large segment that cannot be read is an error of the restore, however long the one before it takes',
  async (t) => {
    const f = await fixture(t);
    await f.create();
    const ends: number[] = [];
    for (const letter of ['a', 'b', 'c']) {
      await f.set('n', letter.repeat(11 << 20));
      await f.backup.window();
      ends.push(f.keyspace.position.sequence);
    }
    const sequence = ends[2] as number;
    await f.set('n', 'later');
    const second = `-${String(ends[1]).padStart(20, '0')}.seg`;
    const key = objectKeys(f.repository).find((key) => key.endsWith(second));
    const path = join(f.repository, key as string);
    const bytes = readFileSync(path);
    bytes[bytes.length >> 1] = ~(bytes[bytes.length >> 1] as number) & 0xff;
    writeFileSync(path, bytes);
    armFaultPoints('segment-replayed=delay:500ms');
    t.teardown(() => armFaultPoints(''));
    await t.rejects(f.restore({ target: { seq: sequence } }), {
      code: 'BACKUPCORRUPT',
      message: new RegExp(`${key} is damaged`),
    });
    t.equal(await f.get('n'), 'later');
  },
);
