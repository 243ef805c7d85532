/** `written()`: what is in the log at a moment, said beside a time that divides the commits the same way. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { CairnError } from '../../src/base/errors.js';
import type { Database } from '../../src/engine/types.js';
import { bytes, gate, type Opened, open, set, TestClock, until } from './harness.js';
import { readWal } from './wal.js';

interface Sample {
  sequence: number;
  throughUs: number;
  /** How many commits were executed then: the others came later. */
  executed: number;
}

type Step =
  | { step: 'write'; commits: number; bytes: number }
  | { step: 'turns'; turns: number }
  | { step: 'clock'; us: number }
  | { step: 'hold' | 'release' | 'pause' | 'check' | 'settle' };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({
      step: fc.constant('write' as const),
      commits: fc.integer({ min: 1, max: 6 }),
      bytes: fc.constantFrom(1, 10, 1 << 20),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({ step: fc.constant('turns' as const), turns: fc.integer({ min: 1, max: 4 }) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ step: fc.constant('clock' as const), us: fc.integer({ min: -5000, max: 5000 }) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ step: fc.constantFrom('hold', 'release', 'pause', 'check', 'settle') }),
  },
) as fc.Arbitrary<Step>;

/** Every commit of the log: its time and its last sequence. */
async function commitsOf(database: Database): Promise<{ timeUs: number; last: number }[]> {
  const commits: { timeUs: number; last: number }[] = [];
  for (const group of await readWal(database)) {
    assert.deepEqual(group.unmarked, []);
    assert.ok(group.commits.length > 0, 'no batch is without a mark');
    let last = group.sequence - 1;
    group.commits.forEach(({ mark, records }, index) => {
      last = index === group.commits.length - 1 ? group.sequence + group.count - 1 : last + records.length;
      commits.push({ timeUs: mark.timeUs, last });
    });
  }
  return commits;
}

class Run {
  private readonly samples: Sample[] = [];
  private readonly waiting: Promise<unknown>[] = [];
  private held: ReturnType<typeof gate> | null = null;
  private executed = 0;

  constructor(private readonly opened: Opened) {
    opened.hand.beforeWrite = async () => this.held?.opened;
  }

  async take(each: Step): Promise<void> {
    const { keyspace, clock } = this.opened;
    if (each.step === 'write') for (let i = 0; i < each.commits; i += 1) this.write(each.bytes);
    if (each.step === 'turns') for (let i = 0; i < each.turns; i += 1) await this.turn();
    if (each.step === 'clock') clock.us += each.us;
    if (each.step === 'hold') this.held ??= gate();
    if (each.step === 'release') this.release();
    if (each.step === 'pause')
      this.waiting.push(keyspace.pausedBetweenGroups(async (at, us) => this.note(at.sequence, us)));
    if (each.step === 'check') this.waiting.push(keyspace.setReadOnly(false));
    if (each.step === 'settle') await this.settle();
    this.sample();
  }

  private write(size: number): void {
    this.executed += 1;
    const value = Buffer.alloc(size, 'x');
    const outcome = this.opened.keyspace.execute((tx) => {
      for (const key of ['a', `b${this.executed % 7}`])
        tx.put(0, bytes(key), { type: 'string', bytes: value, expiresAtMs: null });
    });
    this.waiting.push(Promise.resolve(outcome).then(({ durable }) => durable));
  }

  private async turn(): Promise<void> {
    this.sample();
    await new Promise((resolve) => setImmediate(resolve));
    this.sample();
  }

  private sample(): void {
    const { sequence, throughUs } = this.opened.keyspace.written();
    this.note(sequence, throughUs);
  }

  private note(sequence: number, throughUs: number): void {
    this.samples.push({ sequence, throughUs, executed: this.executed });
  }

  private release(): void {
    this.held?.open();
    this.held = null;
  }

  private async settle(): Promise<void> {
    this.release();
    await Promise.all(this.waiting.splice(0));
  }

  async end(): Promise<void> {
    await this.settle();
    this.sample();
    const commits = await commitsOf(this.opened.database);
    for (const { sequence, throughUs } of this.samples) {
      for (const { timeUs, last } of commits) {
        assert.ok(
          timeUs > throughUs || last <= sequence,
          `commit ${timeUs} ends at ${last}; ${throughUs} is ${sequence}`,
        );
      }
    }
    const final = this.samples.at(-1);
    assert.equal(final?.sequence, commits.at(-1)?.last ?? 0, 'at rest everything is written');
    assert.ok((final?.throughUs ?? 0) > (commits.at(-1)?.timeUs ?? -1), 'and the mark is after all of it');
    assert.equal(this.opened.keyspace.position.commitCount, commits.length);
  }
}

t.test('under load, every commit at or before the mark ends at or before the sequence', async (t) => {
  const directory = t.testdir();
  let nth = 0;
  const property = fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
    nth += 1;
    const opened = await open(`${directory}/db-${nth}`, { wallClock: new TestClock(1_800_000_000_000_000) });
    const run = new Run(opened);
    try {
      for (const each of steps) await run.take(each);
      await run.end();
    } finally {
      await opened.keyspace.close();
    }
  });
  await fc.assert(property, { numRuns: Number(process.env.CAIRN_RUNS ?? 40), interruptAfterTimeLimit: 10_000 });
  t.pass(`${nth} histories`);
});

t.test('while nothing is written the mark moves on with the clock', async (t) => {
  const { keyspace, clock } = await open(`${t.testdir()}/db`);
  await set(keyspace, 'a', '1');
  const first = keyspace.written();
  clock.advanceMs(5000);
  const second = keyspace.written();
  t.equal(second.sequence, first.sequence);
  t.equal(second.throughUs, clock.us, 'to the microsecond');
  clock.advanceMs(-60_000);
  t.ok(keyspace.written().throughUs > second.throughUs, 'never back');
  await keyspace.close();
});

t.test('a commit whose write failed stays after the mark, for it may be in the log', async (t) => {
  const { keyspace, hand, clock } = await open(`${t.testdir()}/db`);
  await set(keyspace, 'a', '1');
  const before = keyspace.written();
  hand.beforeWrite = async () => {
    throw new CairnError('MISCONF', 'Input/output error');
  };
  clock.advanceMs(10);
  const failedFromUs = clock.us;
  await t.rejects(set(keyspace, 'a', '2'), { code: 'MISCONF' });
  clock.advanceMs(10);
  const after = keyspace.written();
  t.equal(after.sequence, before.sequence);
  t.ok(after.throughUs >= before.throughUs && after.throughUs < failedFromUs);
  await keyspace.pausedBetweenGroups(async (_position, markUs) => t.ok(markUs < failedFromUs));
  await t.rejects(keyspace.setReadOnly(false), { code: 'MISCONF' });
  const { throughUs } = keyspace.written();
  clock.advanceMs(10);
  t.equal(keyspace.written().throughUs, throughUs, 'nor is a failed check passed by');
  hand.beforeWrite = async () => {};
  await keyspace.setReadOnly(false);
  t.ok(keyspace.written().throughUs > failedFromUs + 20_000, 'once the storage is checked nothing is in doubt');
  await keyspace.close();
});

t.test('without an open database there is nothing to say', async (t) => {
  const failure = new CairnError('MISCONF', 'the directory is damaged');
  const { keyspace, database } = await open(`${t.testdir()}/db`, { database: null, failure });
  t.throws(() => keyspace.written(), { code: 'MISCONF', message: /the directory is damaged/ });
  await keyspace.close();
  await database.close();
});

t.test('a check of the storage is a commit, also amid others', async (t) => {
  const { keyspace, database, hand } = await open(`${t.testdir()}/db`);
  const writes: Promise<unknown>[] = [];
  for (let i = 0; i < 60; i += 1) {
    writes.push(set(keyspace, `k${i}`, 'v'));
    if (i % 10 === 5) writes.push(keyspace.setReadOnly(false));
    if (i % 7 === 0) await until('a write begins', () => hand.writes.length > 0);
  }
  await Promise.all(writes);
  const commits = await commitsOf(database);
  t.equal(commits.length, 66);
  t.equal(keyspace.position.commitCount, 66);
  t.equal(keyspace.position.keyCounts[0], 60);
  for (let i = 1; i < commits.length; i += 1) t.ok((commits[i]?.timeUs ?? 0) > (commits[i - 1]?.timeUs ?? 0));
  const { position } = keyspace;
  await keyspace.close();
  const again = await open(database.path);
  t.same(again.keyspace.position, position, 'what is stored says the same');
  await again.keyspace.close();
});
