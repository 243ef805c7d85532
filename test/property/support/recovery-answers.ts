/** What WINDOW, TAGS, LIST and RESTORE answer, held to the model: exactly right, or refused where that is allowed. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { RestoreRecord } from '../../../src/backup/records.js';
import type { RestoreOptions } from '../../../src/backup/service.js';
import type { WindowRecord } from '../../../src/backup/window.js';
import { CairnError } from '../../../src/base/errors.js';
import { formatTime, parseTime } from '../../../src/base/time.js';
import { openDatabase } from '../../../src/engine/index.js';
import type { Keyspace } from '../../../src/keyspace/keyspace.js';
import { openKeyspace } from '../../../src/keyspace/open.js';
import type { Fixture } from '../../support/backup-fixture.js';
import { silentLog } from '../../support/log.js';
import { type Content, expiryCounts, keyCounts, type RecoveryModel } from './recovery-model.js';

export interface State {
  timeline: number;
  sequence: number;
}

/** timelines/<n>.json, as far as times go. */
export interface LineTimes {
  parent: number | null;
  forkUs: number | null;
  forkSequence: number;
  beganUs: number;
}

export const us = (text: string): number => parseTime(text).us;

export function lineTimes(repository: string): Map<number, LineTimes> {
  const times = new Map<number, LineTimes>();
  for (const name of readdirSync(join(repository, 'timelines'))) {
    const record = JSON.parse(readFileSync(join(repository, 'timelines', name), 'utf8'));
    times.set(Number.parseInt(name, 10), {
      parent: record.parent,
      forkUs: record.fork_at === null ? null : us(record.fork_at),
      forkSequence: record.fork_sequence,
      beganUs: us(record.created_at),
    });
  }
  return times;
}

/** The state that a moment on a line names; null: none, because a restore abandoned it, or nobody knows what was before. */
export function stateAt(
  model: RecoveryModel,
  times: ReadonlyMap<number, LineTimes>,
  timeline: number,
  moment: number,
): State | null {
  const line = times.get(timeline);
  if (line === undefined) return null;
  if (moment >= line.beganUs) {
    const own = model.line(timeline).commits.findLast((commit) => commit.us <= moment);
    return { timeline, sequence: own?.to ?? line.forkSequence };
  }
  if (line.parent === null || line.forkUs === null || moment > line.forkUs) return null;
  const state = stateAt(model, times, line.parent, moment);
  assert.ok(
    state === null || state.sequence <= line.forkSequence,
    `timeline ${timeline} forks before its parent's next commit`,
  );
  return state;
}

/** Whether WINDOW says that this can be restored, on a line's own part. */
export function claimsTime({ from, to, gaps }: WindowRecord, moment: number): boolean {
  if (from === null || to === null || moment < us(from) || moment > us(to)) return false;
  return gaps.every((gap) => moment <= us(gap.from) || moment >= us(gap.to));
}

export function claimsSequence(window: WindowRecord, sequence: number): boolean {
  const { sequence_from: from, sequence_to: to, gaps } = window;
  if (from === null || to === null || sequence < from || sequence > to) return false;
  return gaps.every((gap) => sequence <= gap.sequence_from || sequence >= gap.sequence_to);
}

export async function contentOf(keyspace: Keyspace): Promise<Content> {
  const content: Content = new Map();
  for (let database = 0; database < 4; database += 1) {
    const all = { database, after: null, prefix: Buffer.alloc(0), limit: 1_000_000, accept: () => true };
    for (const key of (await keyspace.scan(all)).keys) {
      const { value } = await keyspace.execute((tx) => tx.get(database, key));
      content.set(`${database} ${key}`, `${value?.bytes} ${value?.expiresAtMs}`);
    }
  }
  return content;
}

/** The state that is served or was restored is this one, in everything that it holds and says of itself. */
export async function requireState(
  model: RecoveryModel,
  keyspace: Keyspace,
  state: State,
  what: string,
): Promise<void> {
  const content = model.content(state.timeline, state.sequence);
  assert.deepEqual(sorted(await contentOf(keyspace)), sorted(content), `${what}: content`);
  const { position } = keyspace;
  // A state inside a write group says where it is by one commit more.
  const more = position.sequence - state.sequence;
  assert.ok(more === 0 || more === 1, `${what}: sequence ${position.sequence} instead of ${state.sequence}`);
  const commits = model.commits(state.timeline, state.sequence);
  assert.equal(position.commitCount, commits.length + more, `${what}: commit count`);
  assert.deepEqual(position.keyCounts, keyCounts(content), `${what}: key counts`);
  assert.deepEqual(position.expiryCounts, expiryCounts(content), `${what}: counts of keys with an expiry`);
  if (more === 0) assert.equal(position.lastCommitUs, commits.at(-1)?.us ?? 0, `${what}: last commit`);
}

function sorted(content: Content): [string, string][] {
  return [...content].sort(([a], [b]) => (a < b ? -1 : 1));
}

/** What RESTORE answered names this state. */
export function requireRecord(model: RecoveryModel, record: RestoreRecord, state: State, what: string): void {
  assert.equal(record.sequence, state.sequence, `${what}: sequence`);
  const commits = model.commits(state.timeline, state.sequence);
  const named = model.commits(record.timeline ?? 0, record.sequence ?? 0);
  assert.deepEqual(named, commits, `${what}: timeline ${record.timeline} has this state`);
  if (record.last_commit_at !== null) {
    assert.equal(record.last_commit_at, formatTime(commits.at(-1)?.us ?? 0), `${what}: last commit`);
  }
}

/** RESTORE TO a directory, opened and compared. Answers whether it was done; `refusable` false: it has to be. */
export async function restoresTo(
  f: Fixture,
  model: RecoveryModel,
  request: Partial<RestoreOptions>,
  expected: State | null,
  refusable: RegExp | null,
): Promise<boolean> {
  const what = JSON.stringify(request);
  let record: RestoreRecord;
  try {
    record = await f.restore({ ...request, to: 'checked' });
  } catch (error) {
    if (expected === null || (error instanceof CairnError && refusable?.test(error.code) === true)) {
      assert.ok(error instanceof CairnError && /^(PITRRANGE|WALGAP|BACKUP\w+)$/.test(error.code), `${what}: ${error}`);
      return false;
    }
    throw new Error(`${what} has to be restored: ${error}`, { cause: error });
  }
  assert.ok(expected !== null, `${what} has to be refused, it gave ${JSON.stringify(record)}`);
  try {
    requireRecord(model, record, expected, what);
    const database = await openDatabase(record.target, { createIfMissing: false });
    const keyspace = await openKeyspace({
      ...{ database, kind: 'native', timeline: 1, clockFloorUs: 0, durability: () => 'no', expire: false },
      ...{ log: silentLog(), wallClock: { nowUs: () => 0 } },
    });
    try {
      await requireState(model, keyspace, expected, what);
    } finally {
      await keyspace.close();
    }
  } finally {
    rmSync(record.target, { recursive: true, force: true });
  }
  return true;
}
