/** A random history of one database and its repository: what an operator, a clock and a careless hand do to it. */
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { CreateType, RestoreOptions } from '../../../src/backup/service.js';
import { CairnError } from '../../../src/base/errors.js';
import { formatTime } from '../../../src/base/time.js';
import { openDatabase } from '../../../src/engine/index.js';
import { type Fixture, openFixture } from '../../support/backup-fixture.js';
import { objectKeys } from '../../support/repository-files.js';
import type { Random } from './random.js';
import {
  claimsSequence,
  claimsTime,
  lineTimes,
  requireRecord,
  requireState,
  restoresTo,
  type State,
  stateAt,
  us,
} from './recovery-answers.js';
import { type Command, RecoveryModel, runCommands } from './recovery-model.js';

const HOUR_US = 3_600_000_000;
const FAR_MS = 4_102_444_800_000;
const REFUSED = /^(PITRRANGE|WALGAP)$/;
const BROKEN = /^(BACKUPINCOMPLETE|BACKUPCORRUPT|BACKUPNOTFOUND)$/;

export class RecoveryHistory {
  readonly #model = new RecoveryModel();
  readonly #random: Random;
  readonly #dir: string;
  readonly #repository: string;
  readonly #say: (what: string) => void;
  #clockUs = 1_772_000_000_000_000;
  #archive = true;
  #maxCount = 0;
  /** Nothing was lost, removed or left unarchived so far: everything since the first full has to be reachable. */
  #pristine = true;
  /** Segments were deleted by hand: what rests on them is broken. */
  #handDeleted = false;
  /** Histories that lose things do so only here. */
  readonly #loses: boolean;
  #copy: (State & { path: string }) | null = null;
  #copies = 0;
  #f: Fixture | null = null;

  constructor(random: Random, dir: string, say: (what: string) => void) {
    this.#random = random;
    this.#dir = join(dir, 'data');
    this.#repository = join(dir, 'repository');
    mkdirSync(this.#dir, { recursive: true });
    this.#say = say;
    this.#loses = random.once(2);
  }

  get #open(): Fixture {
    assert.ok(this.#f !== null, 'it is open');
    return this.#f;
  }

  async run(steps: number): Promise<void> {
    await this.#start();
    await this.#commits(this.#random.int(3));
    await this.#create('full');
    for (let i = 0; i < steps; i += 1) {
      await this.#step();
      await this.#live('after the step');
      if (i % 6 === 5) await this.#answers(2);
    }
    await this.#answers(4);
    await this.#stop();
  }

  /** For a history that failed: lets go of what is open. */
  async abandon(): Promise<void> {
    await this.#stop().catch(() => undefined);
  }

  async #step(): Promise<void> {
    const random = this.#random;
    const lossy: (() => Promise<void>)[] = [
      () => this.#toggleArchive(),
      () => this.#toggleArchive(),
      () => this.#delete(),
      () => this.#retain(),
      () => this.#loseSegment(),
    ];
    const steps: (() => Promise<void>)[] = [
      () => this.#commits(1 + random.int(4)),
      () => this.#commits(1 + random.int(4)),
      () => this.#group(2 + random.int(4)),
      () => this.#group(2 + random.int(4)),
      () => this.#create(random.pick(['full', 'incremental', 'differential', 'auto'])),
      () => this.#create(random.pick(['incremental', 'differential', 'auto'])),
      () => this.#restoreInPlace(),
      () => this.#restoreInPlace(),
      () => this.#previous(),
      () => this.#tag(),
      () => this.#tag(),
      () => this.#moveClock(),
      () => this.#restart(),
      () => this.#keepCopy(),
      () => this.#putCopyBack(),
      () => this.#tidy(),
      ...(this.#loses ? lossy : []),
    ];
    await random.pick(steps)();
  }

  // ── the server ────────────────────────────────────────────────────────────────────────────────────────────────

  async #start(): Promise<void> {
    this.#f = await openFixture(this.#dir, {
      repository: this.#repository,
      clock: { nowUs: () => (this.#clockUs += 1 + this.#random.int(200)) },
      archive: () => this.#archive,
      maxCount: () => this.#maxCount,
    });
  }

  async #stop(): Promise<void> {
    const f = this.#f;
    this.#f = null;
    await f?.close();
  }

  async #restart(): Promise<void> {
    this.#say('restart');
    await this.#stop();
    await this.#start();
    await this.#attached();
  }

  /** The start may have begun a new line, only ever where an older copy was put back. */
  async #attached(): Promise<void> {
    const { timeline, sequence } = this.#open.keyspace.position;
    const state = { timeline: this.#model.timeline, sequence: this.#model.sequence };
    assert.deepEqual({ timeline, sequence }, state, 'it goes on where it was');
  }

  async #moveClock(): Promise<void> {
    const by = this.#random.pick([-HOUR_US, HOUR_US, -1000, 5_000_000]);
    this.#say(`clock ${by}`);
    this.#clockUs += by;
  }

  async #toggleArchive(): Promise<void> {
    this.#archive = !this.#archive;
    this.#say(`archive ${this.#archive}`);
    if (!this.#archive) this.#pristine = false;
  }

  // ── writes ────────────────────────────────────────────────────────────────────────────────────────────────────

  #commands(): Command[] {
    const random = this.#random;
    return Array.from({ length: random.int(4) }, (): Command => {
      const [database, key] = [random.int(3), `k${random.int(6)}`];
      if (random.once(12)) return { kind: 'flush', database };
      if (random.once(4)) return { kind: 'delete', database, key };
      const expiresAtMs = random.once(4) ? FAR_MS + random.int(1000) : null;
      return { kind: 'set', database, key, value: `${random.int(1_000_000)}`, expiresAtMs };
    });
  }

  async #commit(): Promise<void> {
    const commands = this.#model.plan(this.#commands());
    const outcome = await this.#open.keyspace.execute((tx) => runCommands(tx, commands));
    await outcome.durable;
  }

  async #commits(count: number): Promise<void> {
    this.#say(`${count} commits`);
    for (let i = 0; i < count; i += 1) await this.#commit();
  }

  async #group(count: number): Promise<void> {
    this.#say(`a group of ${count}`);
    await Promise.all(Array.from({ length: count }, () => this.#commit()));
  }

  /** Writes as long as `work` runs; what is refused meanwhile did not happen. */
  async #whileWriting<T>(work: Promise<T>): Promise<T> {
    let isOver = false;
    const end = (): void => {
      isOver = true;
    };
    work.then(end, end);
    const write = async (): Promise<void> => {
      for (let i = 0; i < 40 && !isOver; i += 1) {
        await this.#commit().catch((error: unknown) => {
          assert.ok(error instanceof CairnError && error.code === 'LOADING', `a write during an operation: ${error}`);
        });
        await new Promise(setImmediate);
      }
    };
    const writing = write();
    try {
      return await work;
    } finally {
      await writing;
    }
  }

  // ── backups ───────────────────────────────────────────────────────────────────────────────────────────────────

  async #create(type: CreateType): Promise<void> {
    const { backup } = this.#open;
    const random = this.#random;
    const parents = (await backup.list({ status: 'complete' })).backups.filter(
      (record) => type !== 'differential' || record.type === 'full',
    );
    const isIncrement = type === 'incremental' || type === 'differential';
    const parent = isIncrement && parents.length > 0 && random.once(3) ? random.pick(parents).id : null;
    const verify = random.once(4);
    this.#say(`create ${type} parent ${parent} verify ${verify}`);
    const trigger = { command: 'test', user: null, address: null };
    const asked = { type, parent, strict: false, label: null, verify, pin: false, trigger };
    const done = backup.create(asked).done;
    const record = await (random.once(2) ? this.#whileWriting(done) : done);
    if (record.pruned.length > 0) this.#pristine = false;
    await this.#model.read(this.#database);
    this.#requireSeen(
      { timeline: record.timeline ?? 0, sequence: record.sequence_to ?? 0 },
      us(record.timestamp ?? ''),
      `backup ${record.id}`,
    );
    if (random.once(5)) await (await backup.verify(record.id, random.pick(['FULL', 'DEEP'] as const))).done;
  }

  get #database() {
    const { database } = this.#open.keyspace;
    assert.ok(database !== null, 'the live database is open');
    return database;
  }

  /** A moment that was given out names the state that the live line had then. */
  #requireSeen(state: State, at: number, what: string): void {
    assert.equal(state.timeline, this.#model.timeline, `${what} is of the live line`);
    assert.ok(this.#model.isState(state.timeline, state.sequence), `${what} ends with a commit`);
    const last = this.#model.commits(state.timeline, state.sequence).at(-1);
    const next = this.#model.line(state.timeline).commits.find(({ to }) => to > state.sequence);
    assert.ok((last?.us ?? 0) <= at && (next === undefined || at < next.us), `${what} is of ${formatTime(at)}`);
  }

  async #tag(): Promise<void> {
    const { backup } = this.#open;
    const tags = await backup.tags();
    if (tags.length > 0 && this.#random.once(6)) {
      this.#say('untag');
      return backup.untag(this.#random.pick(tags).name);
    }
    const name = `tag-${tags.length}-${this.#random.int(1_000_000)}`;
    const done = backup.tag(name);
    const tag = await (this.#random.once(2) ? this.#whileWriting(done) : done);
    this.#say(`tag ${tag.timeline} ${tag.sequence}`);
    await this.#model.read(this.#database);
    this.#requireSeen(tag, us(tag.timestamp), `tag ${name}`);
  }

  async #tidy(): Promise<void> {
    this.#say('tidy');
    await this.#open.backup.tidyArchive();
  }

  async #delete(): Promise<void> {
    const { backups } = await this.#open.backup.list({});
    if (backups.length < 2) return;
    const { id } = this.#random.pick(backups);
    this.#say(`delete ${id}`);
    this.#pristine = false;
    await this.#open.backup.delete(id, true);
  }

  async #retain(): Promise<void> {
    this.#maxCount = this.#random.pick([0, 0, 2, 4]);
    this.#say(`max_count ${this.#maxCount}`);
  }

  async #loseSegment(): Promise<void> {
    const keys = objectKeys(this.#repository, 'wal/');
    if (keys.length === 0 || !this.#random.once(3)) return;
    const key = this.#random.pick(keys);
    this.#say(`lose ${key}`);
    this.#pristine = false;
    this.#handDeleted = true;
    rmSync(join(this.#repository, key));
  }

  // ── restores in place ─────────────────────────────────────────────────────────────────────────────────────────

  /** Live commits come to the model first; then the swap, with writers or without; then what either side wrote. */
  async #inPlace(request: Partial<RestoreOptions>, expected: State | null, refusable: RegExp): Promise<void> {
    const f = this.#open;
    const what = `in place ${JSON.stringify(request)}`;
    await this.#model.read(this.#database);
    const before = { name: f.directory.live?.live ?? '', timeline: this.#model.timeline };
    const done = f.restore(request);
    const restored = await (this.#random.once(2) ? this.#whileWriting(done) : done).catch((error: unknown) => {
      assert.ok(error instanceof CairnError && (expected === null || refusable.test(error.code)), `${what}: ${error}`);
      return null;
    });
    if (restored === null) return this.#model.read(this.#database);
    assert.ok(expected !== null, `${what} has to be refused`);
    requireRecord(this.#model, restored, expected, what);
    await this.#readKept(before.name);
    const { timeline, sequence, timeline_new: begun } = restored;
    assert.ok(timeline !== null && sequence !== null && begun !== null, `${what} says where it went`);
    this.#model.begin(begun, timeline, sequence);
    await this.#model.read(this.#database);
    const line = lineTimes(this.#repository).get(begun);
    assert.deepEqual([line?.parent, line?.forkSequence], [timeline, sequence], 'the record says it');
    this.#requireFork(begun);
  }

  /** What the replaced database was given up to the swap; read in a copy, since it is to stay as it is. */
  async #readKept(name: string): Promise<void> {
    const path = `${this.#dir}-kept`;
    cpSync(join(this.#dir, name), path, { recursive: true });
    const database = await openDatabase(path, { createIfMissing: false, walTtlSeconds: 'forever' });
    await this.#model.read(database);
    await database.close();
    rmSync(path, { recursive: true });
  }

  /** The moment of a fork lies between the commit that is the last one in common and the parent's next. */
  #requireFork(timeline: number): void {
    const { parent, fork } = this.#model.line(timeline);
    const times = lineTimes(this.#repository).get(timeline);
    if (parent === null || times === undefined || times.forkUs === null) return;
    const last = this.#model.commits(parent, fork).at(-1);
    const next = this.#model.line(parent).commits.find(({ to }) => to > fork);
    assert.ok(times.forkUs >= (last?.us ?? 0), `timeline ${timeline} forks after the last commit that it has`);
    assert.ok(next === undefined || times.forkUs < next.us, `timeline ${timeline} forks before the next commit`);
  }

  async #restoreInPlace(): Promise<void> {
    const { backups } = await this.#open.backup.list({ status: 'complete' });
    if (this.#random.once(2) && backups.length > 0) {
      const { id, timeline, sequence_to: sequence } = this.#random.pick(backups);
      this.#say(`restore ${id} in place`);
      return this.#inPlace({ backup: id }, { timeline: timeline ?? 0, sequence: sequence ?? 0 }, this.#brokenCodes);
    }
    await this.#model.read(this.#database);
    const timeline = this.#random.pick(this.#known);
    const commits = this.#model.commits(timeline, this.#model.end(timeline));
    if (commits.length === 0) return;
    const { us: at } = this.#random.pick(commits.slice(-12));
    const expected = stateAt(this.#model, lineTimes(this.#repository), timeline, at);
    this.#say(`restore ${at} of timeline ${timeline} in place`);
    await this.#inPlace({ target: { at: String(at) }, timeline }, expected, REFUSED);
  }

  /** The lines of which the repository knows. */
  get #known(): number[] {
    const times = lineTimes(this.#repository);
    return [...this.#model.lines.keys()].filter((timeline) => times.has(timeline));
  }

  get #brokenCodes(): RegExp {
    return this.#handDeleted ? BROKEN : /^never$/;
  }

  async #previous(): Promise<void> {
    const kept = this.#open.directory.previous;
    if (kept === null) return;
    this.#say('previous');
    const expected = { timeline: kept.timeline, sequence: kept.sequence ?? 0 };
    assert.equal(expected.sequence, this.#model.end(kept.timeline), 'a line is kept at its end');
    await this.#inPlace({ backup: 'PREVIOUS' }, expected, /^never$/);
  }

  // ── older copies of the data ──────────────────────────────────────────────────────────────────────────────────

  async #keepCopy(): Promise<void> {
    this.#say('keep a copy');
    await this.#model.read(this.#database);
    await this.#stop();
    this.#copies += 1;
    const path = `${this.#dir}-copy-${this.#copies}`;
    cpSync(this.#dir, path, { recursive: true });
    this.#copy = { path, timeline: this.#model.timeline, sequence: this.#model.sequence };
    await this.#start();
    await this.#attached();
  }

  async #putCopyBack(): Promise<void> {
    const copy = this.#copy;
    if (copy === null) return;
    await this.#model.read(this.#database);
    await this.#stop();
    rmSync(this.#dir, { recursive: true });
    cpSync(copy.path, this.#dir, { recursive: true });
    await this.#start();
    const { timeline } = this.#open.keyspace.position;
    this.#say(`a copy of ${copy.timeline} ${copy.sequence} is put back: timeline ${timeline}`);
    const times = lineTimes(this.#repository);
    // A line of which nothing is left in the repository never was, and its number is free.
    for (const line of [...this.#model.lines.keys()]) {
      if (!times.has(line) && line !== copy.timeline) this.#model.lines.delete(line);
    }
    if (timeline === copy.timeline) this.#model.cut(timeline, copy.sequence);
    else {
      await this.#requireFree(timeline);
      this.#model.begin(timeline, copy.timeline, copy.sequence);
      const { parent = null, forkSequence } = times.get(timeline) ?? {};
      assert.equal(forkSequence, copy.sequence, 'the new line forks where the copy ends');
      assert.ok(parent === copy.timeline || (parent === null && !this.#pristine), `its parent is ${parent}`);
      this.#requireFork(timeline);
    }
  }

  /** A line on which nothing was archived, backed up or tagged never was: its number may be given once more. */
  async #requireFree(timeline: number): Promise<void> {
    if (!this.#model.lines.delete(timeline)) return;
    const { backups } = await this.#open.backup.list({});
    const named = [...backups, ...(await this.#open.backup.tags())].filter((other) => other.timeline === timeline);
    assert.deepEqual(named, [], `nothing named timeline ${timeline} before`);
  }

  // ── answers ───────────────────────────────────────────────────────────────────────────────────────────────────

  async #live(what: string): Promise<void> {
    const model = this.#model;
    await model.read(this.#database);
    await requireState(model, this.#open.keyspace, { timeline: model.timeline, sequence: model.sequence }, what);
  }

  async #answers(count: number): Promise<void> {
    await this.#windows();
    for (let i = 0; i < count; i += 1) {
      await this.#atSome();
      await this.#sequenceSome();
    }
    await this.#backups();
    await this.#tags();
  }

  async #windows(): Promise<void> {
    const model = this.#model;
    for (const window of await this.#open.backup.window()) {
      const { timeline, sequence_from: from, sequence_to: to, gaps } = window;
      const what = `WINDOW ${JSON.stringify(window)}`;
      assert.equal(window.current === 1, timeline === model.timeline, what);
      if (this.#pristine) assert.deepEqual([to, gaps], [model.end(timeline), []], `${what}: it reaches to the end`);
      for (const end of [from, to, ...gaps.flatMap((gap) => [gap.sequence_from, gap.sequence_to])]) {
        assert.ok(end === null || model.isState(timeline, end), `${what}: ${end} is a state`);
      }
      const moments = [window.from, window.to, ...gaps.flatMap((gap) => [gap.from, gap.to])];
      if (!this.#random.once(2)) continue;
      for (const moment of moments) if (moment !== null) await this.#at(timeline, us(moment));
      for (const end of [from, to]) if (end !== null) await this.#sequence(timeline, end);
    }
  }

  async #at(timeline: number, moment: number): Promise<void> {
    const f = this.#open;
    const window = (await f.backup.window()).find((other) => other.timeline === timeline);
    const expected = stateAt(this.#model, lineTimes(this.#repository), timeline, moment);
    const isClaimed = window !== undefined && claimsTime(window, moment);
    if (isClaimed) assert.ok(expected !== null, `WINDOW claims ${moment} of timeline ${timeline}, which is nowhere`);
    const request = { target: { at: String(moment) }, timeline };
    await restoresTo(f, this.#model, request, expected, isClaimed ? null : REFUSED);
  }

  async #sequence(timeline: number, sequence: number): Promise<void> {
    const f = this.#open;
    const { fork } = this.#model.line(timeline);
    const window = (await f.backup.window()).find((other) => other.timeline === timeline);
    const isState = sequence > 0 && sequence <= this.#model.end(timeline) && this.#model.isState(timeline, sequence);
    const isClaimed = isState && window !== undefined && sequence >= fork && claimsSequence(window, sequence);
    const request = { target: { seq: sequence }, timeline };
    await restoresTo(f, this.#model, request, isState ? { timeline, sequence } : null, isClaimed ? null : REFUSED);
  }

  async #atSome(): Promise<void> {
    const timeline = this.#random.pick(this.#known);
    const commits = this.#model.commits(timeline, this.#model.end(timeline));
    if (commits.length === 0) return;
    await this.#at(timeline, this.#random.pick(commits).us + this.#random.pick([-1, 0, 0, 1, 1000]));
  }

  async #sequenceSome(): Promise<void> {
    const timeline = this.#random.pick(this.#known);
    await this.#sequence(timeline, this.#random.int(this.#model.end(timeline) + 3));
  }

  async #backups(): Promise<void> {
    const { backups } = await this.#open.backup.list({ status: 'complete' });
    if (backups.length === 0) return;
    const { id, timeline, sequence_to: sequence } = this.#random.pick(backups);
    const state = { timeline: timeline ?? 0, sequence: sequence ?? 0 };
    await restoresTo(this.#open, this.#model, { backup: id }, state, this.#brokenCodes);
  }

  async #tags(): Promise<void> {
    const tags = await this.#open.backup.tags();
    if (tags.length === 0) return;
    const { name, timeline, sequence, reachable } = this.#random.pick(tags);
    const isDone = await restoresTo(
      this.#open,
      this.#model,
      { target: { tag: name } },
      this.#model.lines.has(timeline) && this.#model.isState(timeline, sequence) ? { timeline, sequence } : null,
      REFUSED,
    );
    assert.equal(isDone, reachable === 1, `tag ${name} of ${timeline} ${sequence}: TAGS says reachable ${reachable}`);
  }
}
