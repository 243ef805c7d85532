/**
 * Random transactions against the keyspace and against a model in memory that remembers every commit; with reopens,
 * flushes to tables (so that reads have to fetch), and a clock that jumps both ways. Then the WAL is replayed commit by
 * commit: after each one the content is the model's.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { DatabaseMap } from '../../src/keyspace/database-map.js';
import type { Outcome } from '../../src/keyspace/keyspace.js';
import { DATABASES_KEY, nativeLayout } from '../../src/keyspace/layout.js';
import { decodeState } from '../../src/keyspace/state-record.js';
import type { Transaction } from '../../src/keyspace/transaction.js';
import { allKeys, bytes, commit, type Opened, open, TestClock } from './harness.js';
import { apply, readWal } from './wal.js';

type Op =
  | { op: 'get' | 'delete'; database: number; key: string }
  | { op: 'put'; database: number; key: string; value: string; ttlMs: number | null }
  | { op: 'flush'; database: number | 'all' }
  | { op: 'swap'; database: number; other: number }
  | { op: 'scan'; database: number; prefix: string };

type Step =
  | { step: 'transaction'; ops: Op[]; throws: boolean; wait: boolean }
  | { step: 'clock'; ms: number }
  | { step: 'compact' }
  | { step: 'reopen' };

interface Entry {
  value: string;
  expiresAtMs: number | null;
}

const COUNTER = { database: 15, key: '#' };

/** The model: what a transaction does to a plain map. */
class Model {
  content = new Map<string, Entry>();
  /** By the number that each writing transaction stores: content and time. */
  readonly history = new Map<string, { content: Map<string, Entry>; nowMs: number }>();

  get(nowMs: number, database: number, key: string): Entry | undefined {
    const id = `${database}/${key}`;
    const entry = this.content.get(id);
    if (entry?.expiresAtMs == null || nowMs <= entry.expiresAtMs) return entry;
    this.content.delete(id);
    return undefined;
  }

  keys(nowMs: number, database: number, prefix: string): string[] {
    const found: string[] = [];
    for (const [id, entry] of this.content) {
      if (!id.startsWith(`${database}/${prefix}`)) continue;
      if (entry.expiresAtMs === null || nowMs <= entry.expiresAtMs) found.push(id.slice(id.indexOf('/') + 1));
    }
    return found.sort();
  }
}

const database = fc.constantFrom(0, 0, 0, 1, 14);
const key = fc.constantFrom('', 'a', 'b', 'ba', 'bb', 'c', '\xff', '\xff\xff', '\0');
const op: fc.Arbitrary<Op> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ op: fc.constantFrom('get' as const, 'delete' as const), database, key }) },
  {
    weight: 6,
    arbitrary: fc.record({
      op: fc.constant('put' as const),
      database,
      key,
      value: fc.string({ maxLength: 40 }),
      ttlMs: fc.option(fc.integer({ min: -50, max: 5000 }), { freq: 2 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ op: fc.constant('flush' as const), database: fc.constantFrom(0, 1, 'all' as const) }),
  },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('swap' as const), database, other: database }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('scan' as const), database, prefix: fc.constantFrom('', 'b') }) },
);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 20,
    arbitrary: fc.record({
      step: fc.constant('transaction' as const),
      ops: fc.array(op, { minLength: 1, maxLength: 12 }),
      throws: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
      wait: fc.boolean(),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ step: fc.constant('clock' as const), ms: fc.integer({ min: -3000, max: 4000 }) }),
  },
  { weight: 1, arbitrary: fc.record({ step: fc.constant('compact' as const) }) },
  { weight: 1, arbitrary: fc.record({ step: fc.constant('reopen' as const) }) },
);

function inDatabase(tx: Transaction, ops: Op[], number: string): unknown[] {
  const results = ops.map((each) => doInDatabase(tx, each));
  tx.put(COUNTER.database, bytes(COUNTER.key), { type: 'string', bytes: bytes(number), expiresAtMs: null });
  return results;
}

function doInDatabase(tx: Transaction, each: Op): unknown {
  switch (each.op) {
    case 'get':
      return tx.get(each.database, bytes(each.key))?.bytes.toString('latin1');
    case 'delete':
      return tx.delete(each.database, bytes(each.key));
    case 'put': {
      const expiresAtMs = each.ttlMs === null ? null : tx.nowMs + each.ttlMs;
      return tx.put(each.database, bytes(each.key), { type: 'string', bytes: Buffer.from(each.value), expiresAtMs });
    }
    case 'flush':
      return tx.flush(each.database);
    case 'swap':
      return tx.swap(each.database, each.other);
    case 'scan': {
      const request = { database: each.database, after: null, prefix: bytes(each.prefix), limit: 1000 };
      return tx.scan({ ...request, accept: () => true }).keys.map((found) => found.toString('latin1'));
    }
  }
}

function inModel(model: Model, nowMs: number, ops: Op[], number: string): unknown[] {
  const results = ops.map((each) => doInModel(model, nowMs, each));
  model.content.set(`${COUNTER.database}/${COUNTER.key}`, { value: number, expiresAtMs: null });
  model.history.set(number, { content: new Map(model.content), nowMs });
  return results;
}

function doInModel(model: Model, nowMs: number, each: Op): unknown {
  switch (each.op) {
    case 'get': {
      const entry = model.get(nowMs, each.database, each.key);
      return entry === undefined ? undefined : Buffer.from(entry.value).toString('latin1');
    }
    case 'delete': {
      const there = model.get(nowMs, each.database, each.key) !== undefined;
      return there && model.content.delete(`${each.database}/${each.key}`);
    }
    case 'put': {
      const expiresAtMs = each.ttlMs === null ? null : nowMs + each.ttlMs;
      model.content.set(`${each.database}/${each.key}`, { value: each.value, expiresAtMs });
      return undefined;
    }
    case 'flush':
      for (const id of [...model.content.keys()]) {
        if (each.database === 'all' || id.startsWith(`${each.database}/`)) model.content.delete(id);
      }
      return undefined;
    case 'swap': {
      const renamed = [...model.content].map(
        ([id, entry]) => [swappedId(id, each.database, each.other), entry] as const,
      );
      model.content = new Map(renamed);
      return undefined;
    }
    case 'scan':
      return model.keys(nowMs, each.database, each.prefix);
  }
}

function swappedId(id: string, first: number, second: number): string {
  const [database = '', key] = [id.slice(0, id.indexOf('/')), id.slice(id.indexOf('/'))];
  return `${Number(database) === first ? second : Number(database) === second ? first : database}${key}`;
}

async function run(directory: string, steps: Step[]): Promise<void> {
  const clock = new TestClock(1_800_000_000_000_000);
  const engine = { blockCacheBytes: 1 << 16, valueCacheBytes: 1 << 16 };
  let opened: Opened = await open(directory, { wallClock: clock }, engine);
  const model = new Model();
  let number = 0;
  const pending: Promise<unknown>[] = [];
  try {
    for (const each of steps) {
      if (each.step === 'transaction') {
        number += 1;
        const nowMs = Math.trunc(clock.us / 1000);
        // A transaction that has to fetch runs later, after others: only then is it waited for here.
        const outcome = start(opened, each, String(number));
        if (outcome === null) continue;
        const got = outcome instanceof Promise ? await outcome : outcome;
        if (got.durable !== null) pending.push(got.durable);
        assert.deepEqual(got.value, inModel(model, nowMs, each.ops, String(number)));
        if (each.wait) await got.durable;
      } else if (each.step === 'clock') {
        clock.advanceMs(each.ms);
      } else if (each.step === 'compact') {
        await opened.database.flush();
      } else {
        await opened.keyspace.close();
        opened = await open(directory, { wallClock: clock }, engine);
      }
    }
    await Promise.all(pending);
    await compare(opened, model, clock);
    await replay(opened, model);
  } finally {
    await opened.keyspace.close();
  }
}

function start(
  { keyspace }: Opened,
  step: Extract<Step, { step: 'transaction' }>,
  number: string,
): Outcome<unknown[]> | Promise<Outcome<unknown[]>> | null {
  const body = (tx: Transaction): unknown[] => {
    const results = inDatabase(tx, step.ops, number);
    if (step.throws) throw new Error('thrown by the body');
    return results;
  };
  if (!step.throws) return keyspace.execute(body);
  try {
    const outcome = keyspace.execute(body);
    if (outcome instanceof Promise) outcome.catch(() => {});
  } catch {
    // Nothing of it may remain.
  }
  return null;
}

async function compare({ keyspace }: Opened, model: Model, clock: TestClock): Promise<void> {
  const nowMs = Math.trunc(clock.us / 1000);
  for (const each of [0, 1, 14, 15]) {
    const expected = model.keys(nowMs, each, '');
    assert.deepEqual(await allKeys(keyspace, each), expected);
    const values = await commit(keyspace, (tx) => expected.map((name) => tx.get(each, bytes(name))?.bytes.toString()));
    assert.deepEqual(
      values,
      expected.map((name) => model.content.get(`${each}/${name}`)?.value),
    );
    for (const name of await allKeysOfContent(model, each)) await commit(keyspace, (tx) => tx.get(each, bytes(name)));
    assert.equal(
      await commit(keyspace, (tx) => tx.keyCount(each)),
      expected.length,
      'exact once expired ones are removed',
    );
    assert.equal(
      await commit(keyspace, (tx) => tx.expiryCount(each)),
      expected.filter((name) => model.content.get(`${each}/${name}`)?.expiresAtMs !== null).length,
    );
  }
}

async function allKeysOfContent(model: Model, database: number): Promise<string[]> {
  return [...model.content.keys()]
    .filter((id) => id.startsWith(`${database}/`))
    .map((id) => id.slice(id.indexOf('/') + 1));
}

/** Content as the model has it: what has expired at nowMs is left out. */
function visible(raw: Map<string, string>, nowMs: number): Map<string, string> {
  const result = new Map<string, string>();
  const map = mapOf(raw);
  for (const [mainKey, record] of raw) {
    if (mainKey.charCodeAt(0) !== 1) continue;
    const expiresAtMs = nativeLayout.expiryOf(bytes(record));
    if (expiresAtMs !== null && nowMs > expiresAtMs) continue;
    result.set(
      `${map.databaseIn(mainKey.charCodeAt(1))}/${mainKey.slice(2)}`,
      `${nativeLayout.decode(bytes(record)).bytes} ${expiresAtMs}`,
    );
  }
  return result;
}

function mapOf(raw: Map<string, string>): DatabaseMap {
  const record = raw.get(DATABASES_KEY.toString('latin1'));
  return DatabaseMap.decode(record === undefined ? undefined : bytes(record), 16);
}

async function replay({ database, keyspace }: Opened, model: Model): Promise<void> {
  const raw = new Map<string, string>();
  let lastUs = 0;
  let commits = 0;
  let checked = 0;
  for (const group of await readWal(database)) {
    assert.equal(group.states.length, 1, 'a group has the reserved key once');
    assert.deepEqual(group.unmarked, [], 'no record is without a commit');
    for (const { mark, records } of group.commits) {
      assert.ok(mark.timeUs > lastUs, 'commit times rise');
      lastUs = mark.timeUs;
      commits += 1;
      for (const record of records) apply(raw, record);
      const counter = raw.get(`\x01\x0f${COUNTER.key}`)?.slice(1) ?? '';
      const then = model.history.get(counter);
      if (then === undefined || !records.some((each) => each.kind === 'put' && each.key[1] === COUNTER.database))
        continue;
      checked += 1;
      const expected = new Map(
        [...then.content]
          .filter(([, entry]) => entry.expiresAtMs === null || then.nowMs <= entry.expiresAtMs)
          .map(([id, entry]) => [id, `${Buffer.from(entry.value)} ${entry.expiresAtMs}`]),
      );
      assert.deepEqual([...visible(raw, then.nowMs)].sort(), [...expected].sort(), `commit ${counter}`);
    }
    const state = decodeState(group.states[0] as Buffer, 16);
    assert.equal(state.lastCommitUs, lastUs);
    assert.equal(state.commitCount, commits);
    const counts = new Array<number>(16).fill(0);
    const expiring = counts.slice();
    const map = mapOf(raw);
    for (const [mainKey, record] of raw) {
      const database = map.databaseIn(mainKey.charCodeAt(1));
      if (mainKey.charCodeAt(0) !== 1) continue;
      counts[database] = (counts[database] ?? 0) + 1;
      if (nativeLayout.expiryOf(bytes(record)) !== null) expiring[database] = (expiring[database] ?? 0) + 1;
    }
    assert.equal(group.states[0]?.[0], map.isPlain ? 3 : 4, 'the state says whether databases are swapped');
    assert.deepEqual(state.keyCounts, counts, 'the group says how many keys there are');
    assert.deepEqual(state.expiryCounts, expiring, 'and how many of them have an expiry');
    checkIndex(raw);
  }
  assert.equal(checked, model.history.size, 'every commit of the model is in the WAL');
  assert.equal(keyspace.position.commitCount, commits);
}

/** Exactly one index entry per main record that expires. */
function checkIndex(raw: Map<string, string>): void {
  const expected: string[] = [];
  for (const [mainKey, record] of raw) {
    if (mainKey.charCodeAt(0) !== 1) continue;
    const expiresAtMs = nativeLayout.expiryOf(bytes(record));
    if (expiresAtMs === null) continue;
    const index = nativeLayout.expiryIndex?.key(mainKey.charCodeAt(1), expiresAtMs, bytes(mainKey.slice(2)));
    expected.push(index?.toString('latin1') ?? '');
  }
  assert.deepEqual([...raw.keys()].filter((mainKey) => mainKey.charCodeAt(0) === 2).sort(), expected.sort());
}

t.test('random transactions leave what a model has, at every commit of the log', async (t) => {
  const directory = t.testdir();
  let nth = 0;
  const property = fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60 }), async (steps) => {
    nth += 1;
    await run(`${directory}/db-${nth}`, steps);
  });
  await fc.assert(property, { numRuns: Number(process.env.CAIRN_RUNS ?? 40), interruptAfterTimeLimit: 12_000 });
  t.pass(`${nth} histories`);
});
