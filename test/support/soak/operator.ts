/**
 * Those who operate: one client makes, keeps and removes backups, restores in place and turns settings; another one verifies,
 * restores into directories and compares what comes back. What is refused as it may be is counted; anything else is a violation.
 */
import { rmSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import type { CreateRecord, DeleteRecord, RestoreRecord, VerifyRecord } from '../../../src/backup/records.js';
import { formatTime, parseTime } from '../../../src/base/time.js';
import type { Random } from '../../property/support/random.js';
import { waitFor } from '../wait.js';
import { infoFields } from './info.js';
import type { Load } from './load.js';
import { readLive, readRestored, requireKnown } from './states.js';
import { Violation } from './violation.js';
import type { Moment, World } from './world.js';

const TAGS_KEPT = 12;
const PINS_KEPT = 2;
/** What may meet another operation, a removal, or a moment that is out of reach. */
const BUSY = 'BACKUPBUSY|CANCELLED|LOADING';
const CREATE = new RegExp(`^(${BUSY}|BACKUPNOTFOUND|BACKUPTYPE|WALGAP)$`);
const RESTORE = new RegExp(
  `^(${BUSY}|BACKUPNOTFOUND|BACKUPINUSE|TAGNOTFOUND|PITRRANGE|WALGAP|RESTOREFAILED|RESTOREDIR)$`,
);
const VERIFY = /^(CANCELLED|BACKUPNOTFOUND)$/;
const REMOVE = new RegExp(`^(${BUSY}|BACKUPNOTFOUND|BACKUPINUSE)$`);
const STOP = /^(BACKUPNOTFOUND|BACKUPINUSE|ERR)$/;

export interface Target {
  words: (string | number)[];
  timeline: number;
  /** null: whatever is there at the moment. */
  sequence: number | null;
  /** null: nobody knows when that was. */
  us: number | null;
}

export class Operator {
  #names = 0;

  constructor(
    readonly world: World,
    readonly client: Redis,
    readonly random: Random,
    /** What names the directories that it restores into. */
    readonly prefix: string,
  ) {}

  // ── one thing at a time ───────────────────────────────────────────────────────────────────────────────────────

  /** Backups, tags, retention, settings, restores in place. */
  async change(load: Load): Promise<void> {
    const { random } = this;
    const steps: [number, () => Promise<unknown>][] = [
      [8, () => this.create()],
      [3, () => this.#tag()],
      [1, () => this.#untag()],
      [1, () => this.#delete()],
      [2, () => this.#prune()],
      [1, () => this.#pin()],
      [1, () => this.#unpin()],
      [2, () => this.#configure()],
      [2, () => this.#restoreInPlace(load)],
      [1, () => this.#dryRun()],
    ];
    await pickWeighted(random, steps)();
    await delay(random.int(60));
  }

  /** Verifies, restores into directories, reads. */
  async look(): Promise<void> {
    const { random } = this;
    const steps: [number, () => Promise<void>][] = [
      [2, () => this.verify(random.pick(['QUICK', 'FULL', 'DEEP']))],
      [4, () => this.#compareSome()],
      [1, () => this.#readAll()],
      [1, () => this.#cancel()],
    ];
    await pickWeighted(random, steps)();
    await delay(random.int(120));
  }

  async create(words: string[] = this.#createWords()): Promise<CreateRecord | null> {
    const { world, random, client } = this;
    const isAsync = random.once(4);
    const asked = ['CREATE', ...words];
    let made: CreateRecord | null;
    if (isAsync) {
      const begun = await world.ask<CreateRecord>(client, [...asked, 'ASYNC'], CREATE);
      if (begun === null) return null;
      if (random.once(3)) {
        await delay(random.int(60));
        await world.ask(client, ['CANCEL', begun.id], STOP);
      }
      const waited = `CREATE ${begun.id}`;
      world.unanswered.add(waited);
      made = await this.#waitFor(begun.id);
      world.unanswered.delete(waited);
    } else made = await world.ask<CreateRecord>(client, asked, CREATE);
    if (made !== null) this.#created(made, words);
    return made;
  }

  /** The newest operation on that backup may be a verification by now: then what CREATE would have answered is not told. */
  async #waitFor(id: number): Promise<CreateRecord | null> {
    const { world, client } = this;
    const answer = await world.ask<CreateRecord>(client, ['WAIT', id], CREATE);
    if (answer === null || 'promoted' in answer) return answer;
    world.unanswered.add(`what CREATE ${id} removed`);
    const found = await world.ask<CreateRecord>(client, ['INFO', id], /^BACKUPNOTFOUND$/);
    return found === null ? null : { ...found, promoted: 'not told', pruned: [] };
  }

  #createWords(): string[] {
    const { random, world } = this;
    const type = random.pick(['FULL', 'INCREMENTAL', 'INCREMENTAL', 'DIFFERENTIAL', 'AUTO', 'AUTO']);
    const words = [type];
    if (/^(INC|DIFF)/.test(type) && random.once(8) && world.backups.size > 0) {
      words.push('PARENT', String(random.pick([...world.backups.keys()])));
    }
    if (random.once(3)) words.push('LABEL', `label ${random.int(100)}`);
    if (random.once(5)) words.push('VERIFY');
    if (this.#pinned.length < PINS_KEPT && random.once(10)) words.push('PIN');
    if (random.once(8)) words.push('STRICT');
    return words;
  }

  #created(made: CreateRecord, words: readonly string[]): void {
    const { world } = this;
    const { id, status, type, timeline, sequence_to: sequence, timestamp, pinned, promoted, label } = made;
    const what = `CREATE ${words.join(' ')} answered ${JSON.stringify(made)}`;
    const asked = (words[0] ?? 'FULL').toLowerCase();
    if (status !== 'complete' || timestamp === null || timeline === null || sequence === null)
      throw new Violation(what);
    if (asked !== 'auto' && asked !== type && (promoted === null || words.includes('STRICT')))
      throw new Violation(what);
    if ((pinned === 1) !== words.includes('PIN')) throw new Violation(what);
    if (words.includes('VERIFY') && made.verify_status !== 'valid') throw new Violation(what);
    if ((label ?? '') !== (words[words.indexOf('LABEL') + 1] ?? '') && words.includes('LABEL'))
      throw new Violation(what);
    if (world.backups.has(id)) throw new Violation(`${what}: that id was given before`);
    world.backups.set(id, { timeline, sequence, us: parseTime(timestamp).us, pinned: pinned === 1 });
    world.report.backedUp(promoted === null ? (type ?? '') : 'promoted to full');
    world.created.push(id);
    for (const gone of made.pruned) this.#removed(gone, what);
  }

  #removed(id: number, what: string): void {
    const { world } = this;
    if (world.backups.get(id)?.pinned === true) throw new Violation(`${what}: backup ${id} was pinned`);
    world.backups.delete(id);
  }

  get #pinned(): number[] {
    return [...this.world.backups].flatMap(([id, { pinned }]) => (pinned ? [id] : []));
  }

  async #tag(): Promise<void> {
    const { world, random, client } = this;
    if (world.tags.size >= TAGS_KEPT) return this.#untag();
    const name = `tag ${random.int(1e9)}`;
    const tag = await world.ask<Moment & { timestamp: string }>(client, ['TAG', name], /^(LOADING|BACKUPBUSY)$/);
    if (tag === null) return;
    world.tags.set(name, { timeline: tag.timeline, sequence: tag.sequence, us: parseTime(tag.timestamp).us });
    world.report.restored('tags made');
  }

  async #untag(): Promise<void> {
    const { world, random, client } = this;
    if (world.tags.size === 0) return;
    const name = random.pick([...world.tags.keys()]);
    world.tags.delete(name);
    await world.ask(client, ['UNTAG', name], /^TAGNOTFOUND$/);
  }

  async #delete(): Promise<void> {
    const { world, random, client } = this;
    if (world.backups.size < 3) return;
    const id = random.pick([...world.backups.keys()]);
    const gone = await world.ask<DeleteRecord>(client, ['DELETE', id], REMOVE);
    for (const other of gone?.deleted ?? []) this.#removed(other, `DELETE ${id}`);
  }

  async #prune(): Promise<void> {
    const { world, random, client } = this;
    const words = random.once(2) ? ['MAXCOUNT', 2 + random.int(4)] : ['MAXAGE', `${5 + random.int(30)}s`];
    const isDry = random.once(4);
    const gone = await world.ask<DeleteRecord>(client, ['PRUNE', ...words, ...(isDry ? ['DRYRUN'] : [])], REMOVE);
    if (gone === null) return;
    if (gone.dry_run !== (isDry ? 1 : 0)) throw new Violation(`PRUNE answered dry_run ${gone.dry_run}`);
    if (!isDry) for (const id of gone.deleted) this.#removed(id, `PRUNE ${words.join(' ')}`);
  }

  async #pin(): Promise<void> {
    const { world, random, client } = this;
    if (world.backups.size === 0 || this.#pinned.length >= PINS_KEPT) return this.#unpin();
    const id = random.pick([...world.backups.keys()]);
    const done = await world.ask(client, ['PIN', id], /^BACKUPNOTFOUND$/);
    const known = world.backups.get(id);
    if (done !== null && known !== undefined) known.pinned = true;
  }

  async #unpin(): Promise<void> {
    const { world, random, client } = this;
    if (this.#pinned.length === 0) return;
    const id = random.pick(this.#pinned);
    const known = world.backups.get(id);
    // From when it is asked: nobody may rely on it.
    if (known !== undefined) known.pinned = false;
    await world.ask(client, ['UNPIN', id], /^BACKUPNOTFOUND$/);
  }

  async #configure(): Promise<void> {
    const { world, random, client } = this;
    const set = async (name: string, value: string): Promise<void> => {
      world.note(`CONFIG SET ${name} ${value}`);
      await client.config('SET', name, value);
    };
    const choices: (() => Promise<void>)[] = [
      () => set('backup.retention.max_count', String(3 + random.int(6))),
      () => set('backup.retention.max_age', `${random.pick([0, 20, 60])}s`),
      () => set('backup.wal.interval', `${100 + random.int(900)}ms`),
      () => set('backup.verify_after_create', random.pick(['yes', 'no', 'no'])),
    ];
    if (world.varies.durability) {
      choices.push(async () => {
        const value = random.pick(['always', 'everysec', 'no']);
        // Commits that are answered meanwhile have no durability that anybody knows.
        world.line.durability = null;
        await set('durability', value);
        world.line.durability = value;
      });
    }
    if (world.varies.archive) {
      choices.push(async () => {
        world.archiveOn = !world.archiveOn;
        world.hadArchiveOff = true;
        await set('backup.wal.archive', world.archiveOn ? 'yes' : 'no');
      });
    }
    await random.pick(choices)();
  }

  // ── restores in place ─────────────────────────────────────────────────────────────────────────────────────────

  async #restoreInPlace(load: Load): Promise<void> {
    const { world, random, client } = this;
    const { line } = world;
    const target: (string | number)[] = random.once(6) ? ['PREVIOUS'] : (this.target()?.words ?? []);
    if (target.length === 0) return;
    const isQuiet = random.once(2);
    if (isQuiet) await load.pause();
    const before = line.timeline;
    if (before !== null && random.once(3)) target.push('IFTIMELINE', before);
    const move = line.moveAsked();
    // When the server dies on the way nobody answers, and the move stays open.
    const restored = await world.ask<RestoreRecord>(client, ['RESTORE', ...target], RESTORE);
    if (restored === null) {
      line.moveRefused(move, before);
      if (world.injects) await this.#requireUnmoved(load, before);
    } else {
      const { timeline, sequence, timeline_new: begun } = restored;
      if (timeline === null || sequence === null || begun === null) {
        throw new Violation(`RESTORE ${target.join(' ')} answered ${JSON.stringify(restored)}`);
      }
      line.moveAnswered(move, { timeline, sequence }, begun);
      world.timelines.add(begun);
      world.report.restored(target[0] === 'PREVIOUS' ? 'previous' : isQuiet ? 'in place' : 'in place, under load');
      world.restoredInPlace += 1;
      if (isQuiet) {
        const what = `RESTORE ${target.join(' ')}`;
        const id = requireKnown(world.history, await readLive(client), { head: line.head, timeline: null, what });
        world.saw({ timeline, sequence }, id, what);
        line.settle(id, begun);
        world.report.json.recoveryPointsCompared += 1;
      } else
        await waitFor(() => !line.isMoving || client.status === 'end', {
          what: 'a commit on the restored line',
          timeoutMs: 60_000,
        });
    }
    if (isQuiet) load.resume();
  }

  /** It failed on its way: every error leaves the live data as it was. */
  async #requireUnmoved(load: Load, timeline: number | null): Promise<void> {
    const { world, client } = this;
    const what = 'after a restore in place that failed';
    await load.pause();
    const now = Number((await infoFields(client)).get('timeline'));
    if (timeline !== null && now !== timeline) throw new Violation(`${what} timeline ${now} is live, not ${timeline}`);
    const { history, line } = world;
    line.found(requireKnown(history, await readLive(client), { head: line.head, timeline: null, what }), now);
    load.resume();
  }

  async #dryRun(): Promise<void> {
    const target = this.target();
    if (target === null) return;
    await this.world.ask(this.client, ['RESTORE', ...target.words, 'DRYRUN'], RESTORE);
    this.world.report.restored('dry run');
  }

  /** A backup, a tag, a time or a sequence. null: there is nothing yet. */
  target(): Target | null {
    const { world, random } = this;
    const backups = [...world.backups];
    const kind = random.int(4);
    if (kind === 0 && world.tags.size > 0) {
      const [name, moment] = random.pick([...world.tags]);
      return { words: ['LATEST', 'TAG', name], ...moment };
    }
    if (kind >= 2) {
      const moment = this.#moment();
      if (moment !== null) return moment;
    }
    if (backups.length === 0) return null;
    const [id, { timeline, sequence, us }] = random.pick(backups);
    return random.once(3)
      ? { words: ['LATEST', 'SEQ', sequence, 'TIMELINE', timeline], timeline, sequence, us }
      : { words: [id], timeline, sequence, us };
  }

  /** A moment around a recent commit. */
  #moment(): Target | null {
    const { world, random } = this;
    const timelines = [...world.timelines];
    if (timelines.length === 0) return null;
    const timeline = random.once(3) ? random.pick(timelines) : (timelines.at(-1) ?? 1);
    const commits = world.history.acknowledged(timeline).slice(-3000);
    if (commits.length === 0) return null;
    const { sentUs, ackedUs } = random.pick(commits);
    const us = random.once(2) ? sentUs : (ackedUs ?? sentUs);
    return { words: ['LATEST', 'AT', formatTime(us), 'TIMELINE', timeline], timeline, sequence: null, us };
  }

  // ── looking ───────────────────────────────────────────────────────────────────────────────────────────────────

  async verify(mode: string, which?: string | number): Promise<void> {
    const { world, random, client } = this;
    const known = [...world.backups.keys()];
    const id = which ?? (known.length === 0 || random.once(4) ? random.pick(['ALL', 'LATEST']) : random.pick(known));
    const checked = await world.ask<VerifyRecord | VerifyRecord[]>(client, ['VERIFY', id, mode], VERIFY);
    if (checked === null) return;
    const records = Array.isArray(checked) ? checked : [checked];
    for (const record of records) {
      if (record.status !== 'VALID' || record.files_failed !== 0)
        throw new Violation(`VERIFY ${JSON.stringify(record)}`);
    }
    world.report.verified(mode, records.length);
  }

  async #compareSome(): Promise<void> {
    const target = this.target();
    if (target !== null) await this.compare(target);
  }

  /**
   * RESTORE … TO, and what comes back is a state that existed, and the right one. null: refused as it may be.
   */
  async compare(target: Target): Promise<RestoreRecord | null> {
    return (await this.#compared(target))?.record ?? null;
  }

  /** Which commit it was; null: it was refused as it may be. */
  async compareState(target: Target): Promise<number | null> {
    return (await this.#compared(target))?.id ?? null;
  }

  async #compared(target: Target): Promise<{ record: RestoreRecord; id: number } | null> {
    const { world, client } = this;
    this.#names += 1;
    const name = `${this.prefix}-${this.#names}`;
    const what = `RESTORE ${target.words.join(' ')} TO ${name}`;
    const record = await world.ask<RestoreRecord>(client, ['RESTORE', ...target.words, 'TO', name], RESTORE);
    if (record === null) return null;
    try {
      const { timeline, sequence } = record;
      if (timeline === null || sequence === null) throw new Violation(`${what} answered ${JSON.stringify(record)}`);
      if (target.sequence !== null && sequence !== target.sequence)
        throw new Violation(`${what} gave sequence ${sequence}`);
      const state = await readRestored(record.target, what);
      const id = requireKnown(world.history, state, { head: world.line.head, timeline, what });
      world.saw({ timeline, sequence }, id, what);
      if (target.us !== null) world.requireMoment(id, { timeline, us: target.us }, what);
      world.report.json.recoveryPointsCompared += 1;
      world.report.restored(kindOf(target.words));
      return { record, id };
    } finally {
      rmSync(record.target, { recursive: true, force: true });
    }
  }

  async #readAll(): Promise<void> {
    const { world, client } = this;
    for (const words of [['LIST', 'STATUS', 'all'], ['STATUS'], ['TAGS'], ['WINDOW'], ['INFO', 'LATEST']]) {
      await world.ask(client, words, /^BACKUPNOTFOUND$/);
    }
    await client.info('all');
  }

  async #cancel(): Promise<void> {
    await this.world.ask(this.client, ['CANCEL'], STOP);
  }
}

function kindOf(words: readonly (string | number)[]): string {
  return words.length === 1 ? 'to a directory' : `to a directory, ${String(words[1]).toLowerCase()}`;
}

function pickWeighted<T>(random: Random, choices: readonly [number, T][]): T {
  let at = random.int(choices.reduce((total, [weight]) => total + weight, 0));
  for (const [weight, choice] of choices) {
    at -= weight;
    if (at < 0) return choice;
  }
  throw new Error('weights and choices differ');
}
