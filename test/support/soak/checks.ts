/** What has to be so after every start, and of everything that the repository claims. */
import { existsSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import type { BackupRecord } from '../../../src/backup/records.js';
import type { WindowRecord } from '../../../src/backup/window.js';
import { formatTime, parseTime } from '../../../src/base/time.js';
import type { Random } from '../../property/support/random.js';
import { objectKeys } from '../repository-files.js';
import { waitFor } from '../wait.js';
import { infoFields } from './info.js';
import type { Operator, Target } from './operator.js';
import { readRestored, requireKnown } from './states.js';
import { Violation } from './violation.js';
import type { World } from './world.js';

const SETTLE_MS = 60_000;
const NEVER_REFUSED = /^never$/;

// ── what was answered is there ────────────────────────────────────────────────────────────────────────────────────

/** `isSure` false: something that removes backups was on its way when the server ended. */
export async function requirePromises(world: World, client: Redis, isSure: boolean): Promise<void> {
  const listed = await world.ask<{ backups: BackupRecord[] }>(client, ['LIST', 'STATUS', 'all'], NEVER_REFUSED);
  const backups = new Map((listed?.backups ?? []).map((backup) => [backup.id, backup]));
  for (const [id, { status }] of backups) {
    if (status !== 'complete') throw new Violation(`after the start backup ${id} is ${status}`);
  }
  for (const [id, promised] of world.backups) {
    const found = backups.get(id);
    if (found === undefined) {
      if (isSure || promised.pinned) throw new Violation(`backup ${id} was answered as complete and is gone`);
      world.backups.delete(id);
      continue;
    }
    const { timeline, sequence_to: sequence, timestamp, pinned } = found;
    const same =
      timeline === promised.timeline && sequence === promised.sequence && parseTime(timestamp ?? '').us === promised.us;
    if (!same) throw new Violation(`backup ${id} was ${JSON.stringify(promised)} and is ${JSON.stringify(found)}`);
    if (promised.pinned && pinned === 0) throw new Violation(`backup ${id} was pinned and is not`);
    promised.pinned = pinned === 1;
  }
  // What nobody heard of may have been made all the same.
  for (const [id, { timeline, sequence_to: sequence, timestamp, pinned }] of backups) {
    if (world.backups.has(id)) continue;
    if (timeline === null || sequence === null || timestamp === null)
      throw new Violation(`backup ${id} does not say what it is`);
    world.backups.set(id, { timeline, sequence, us: parseTime(timestamp).us, pinned: pinned === 1 });
  }
  await requireTags(world, client);
}

async function requireTags(world: World, client: Redis): Promise<void> {
  interface Tag {
    name: string;
    timestamp: string;
    sequence: number;
    timeline: number;
  }
  const tags = (await world.ask<Tag[]>(client, ['TAGS'], NEVER_REFUSED)) ?? [];
  const found = new Map(tags.map((tag) => [tag.name, tag]));
  for (const [name, { timeline, sequence, us }] of world.tags) {
    const tag = found.get(name);
    if (tag === undefined) throw new Violation(`tag '${name}' was answered and is gone`);
    if (tag.timeline !== timeline || tag.sequence !== sequence || parseTime(tag.timestamp).us !== us) {
      throw new Violation(`tag '${name}' is ${JSON.stringify(tag)}, it was ${timeline} ${sequence} ${formatTime(us)}`);
    }
  }
  for (const { name, timeline, sequence, timestamp } of tags) {
    world.tags.set(name, { timeline, sequence, us: parseTime(timestamp).us });
  }
}

/** STATUS, INFO, LIST and WINDOW tell the same, while nothing runs. */
export async function requireAgreement(world: World, client: Redis): Promise<void> {
  const status = await world.ask<Record<string, unknown>>(client, ['STATUS'], NEVER_REFUSED);
  const listed = await world.ask<{ total: number; latest: number | null }>(
    client,
    ['LIST', 'STATUS', 'complete'],
    NEVER_REFUSED,
  );
  const { windows } = (await world.ask<{ windows: WindowRecord[] }>(client, ['WINDOW'], NEVER_REFUSED)) ?? {
    windows: [],
  };
  const info = await infoFields(client);
  const current = windows.find((window) => window.current === 1);
  const expected: [string, unknown, unknown][] = [
    ['state', status?.state, 'idle'],
    ['backup_count', Number(info.get('backup_count')), listed?.total],
    ['backup_in_progress', info.get('backup_in_progress'), '0'],
    ['the newest backup', listed?.latest ?? null, world.backups.size === 0 ? null : Math.max(...world.backups.keys())],
    ['timeline', Number(info.get('timeline')), world.line.timeline],
    ['the window that is live', current?.timeline ?? null, windows.length === 0 ? null : world.line.timeline],
    ['loading', info.get('loading'), '0'],
    ['writes_refused', info.get('writes_refused'), ''],
    ['archive_error', status?.archive_error, null],
    ['prune_error', status?.prune_error, null],
  ];
  const isFailed = status?.last_operation === 'create' ? (status.last_status === 'ok' ? 'ok' : 'err') : null;
  if (isFailed !== null) expected.push(['backup_last_status', info.get('backup_last_status'), isFailed]);
  for (const [what, said, meant] of expected) {
    if (said !== meant) throw new Violation(`${what} is ${said}, it has to be ${meant}`);
  }
  if (!world.hadArchiveOff) {
    // What is older than the recovery window goes where no backup needs it. (A gap ends with the next state that can be had.)
    const keptFromUs = Date.now() * 1000 - world.walRetentionMs * 1000;
    const gaps = windows.filter((window) => window.gaps.some(({ from }) => parseTime(from).us > keptFromUs));
    if (gaps.length > 0)
      throw new Violation(`nothing was left unarchived, and WINDOW has gaps: ${JSON.stringify(gaps)}`);
  }
}

// ── nothing piles up ──────────────────────────────────────────────────────────────────────────────────────────────

const UNFINISHED = /\.building|\.partial|\.tmp-|(^|\/)(staging|scratch)\/./;

/** Directories of the soak's own restores were removed by it: what is there now was left by a server that ended. */
export async function requireNothingLeft(world: World): Promise<void> {
  const { dir } = world;
  const left = await settled(() =>
    readdirSync(dir, { recursive: true })
      .map(String)
      .filter((name) => UNFINISHED.test(name)),
  );
  if (left.length > 0) throw new Violation(`what was never finished is left: ${left.slice(0, 8).join(', ')}`);
  const live = JSON.parse(readFileSync(join(dir, 'LIVE'), 'utf8')) as { live: string; kept: { name: string }[] };
  const named = new Set([live.live, ...live.kept.map(({ name }) => name)]);
  const unnamed = readdirSync(dir).filter((name) => name.startsWith('db-') && !named.has(name));
  if (unnamed.length > 0) throw new Violation(`databases that nobody names: ${unnamed.join(', ')}`);
  const orphans = await settled(() => orphanedObjects(join(dir, 'backups')));
  if (orphans.length > 0) throw new Violation(`objects that no backup has: ${orphans.slice(0, 8).join(', ')}`);
}

/** A sweep may still run: only what stays is left. */
async function settled(look: () => string[]): Promise<string[]> {
  let last: string[] = [];
  await waitFor(
    () => {
      last = lookAgainIfMoved(look);
      return last.length === 0;
    },
    { what: 'nothing to be left', timeoutMs: SETTLE_MS, everyMs: 100 },
  ).catch(() => undefined);
  return last;
}

/** What is removed while it is looked at makes the look fail. */
function lookAgainIfMoved(look: () => string[]): string[] {
  try {
    return look();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return ['a directory that is being removed'];
    throw error;
  }
}

function orphanedObjects(repository: string): string[] {
  if (!existsSync(join(repository, 'backups'))) return [];
  const [lists, files, ids] = [new Set<string>(), new Set<string>(), new Set<string>()];
  for (const name of readdirSync(join(repository, 'backups'))) {
    const manifest = JSON.parse(readFileSync(join(repository, 'backups', name), 'utf8')) as {
      list: { sha256: string };
    };
    lists.add(manifest.list.sha256);
    ids.add(name);
  }
  for (const hash of lists) {
    const list = JSON.parse(readFileSync(join(repository, 'lists', hash), 'utf8')) as { files: { sha256: string }[] };
    for (const { sha256 } of list.files) files.add(sha256);
  }
  return objectKeys(repository).filter((key) => {
    const [area = '', , hash = ''] = key.split('/');
    if (area === 'files') return !files.has(hash);
    if (area === 'lists') return !lists.has(key.slice('lists/'.length));
    return area === 'states' && !ids.has(key.slice('states/'.length));
  });
}

/** A RESTORE … TO that nobody answered left a whole directory or none. */
export async function lookAtRestored(world: World): Promise<void> {
  const place = join(world.dir, 'restores');
  if (!existsSync(place)) return;
  for (const name of readdirSync(place).filter((one) => !one.startsWith('.'))) {
    const what = `restores/${name}, which nobody answered`;
    const state = await readRestored(join(place, name), what);
    requireKnown(world.history, state, { head: world.line.head, timeline: null, what });
    rmSync(join(place, name), { recursive: true });
    world.report.json.recoveryPointsCompared += 1;
  }
}

/** While nobody is connected and nothing runs: no file that is gone, no repository file and no replaced database is held open. */
export async function requireNothingHeld(world: World, pid: number): Promise<void> {
  const live = (JSON.parse(readFileSync(join(world.dir, 'LIVE'), 'utf8')) as { live: string }).live;
  const look = (): string[] =>
    openFiles(pid).filter(
      (path) =>
        path.startsWith(`${world.dir}/`) &&
        path !== join(world.dir, live) &&
        !path.startsWith(join(world.dir, live, '/')) &&
        !/\/(LOCK|audit\.jsonl)$/.test(path),
    );
  const held = await settled(look);
  if (held.length > 0)
    throw new Violation(`the server holds open what it does not need: ${held.slice(0, 8).join(', ')}`);
  const gone = await settled(() =>
    openFiles(pid).filter((path) => path.startsWith(world.dir) && path.endsWith(' (deleted)')),
  );
  if (gone.length > 0) throw new Violation(`the server holds files open that are gone: ${gone.slice(0, 8).join(', ')}`);
}

function openFiles(pid: number): string[] {
  return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/${pid}/fd/${fd}`)];
    } catch {
      return []; // it was closed in this moment
    }
  });
}

// ── what is claimed is answered ───────────────────────────────────────────────────────────────────────────────────

/** While nobody writes: backups verify and restore, tags and windows give what they say, and the moments around a commit differ by it. */
export async function requireClaims(world: World, operator: Operator, random: Random): Promise<void> {
  const { client } = operator;
  if (world.backups.size > 0) await operator.verify(random.pick(['QUICK', 'FULL', 'FULL', 'DEEP']), 'ALL');
  for (let i = 0; i < 2 && world.backups.size > 0; i += 1) {
    const [id, { timeline, sequence, us }] = random.pick([...world.backups]);
    await required(operator, { words: [id], timeline, sequence, us });
  }
  await requireTag(world, operator, random);
  const { windows } = (await world.ask<{ windows: WindowRecord[] }>(client, ['WINDOW'], NEVER_REFUSED)) ?? {
    windows: [],
  };
  for (let i = 0; i < 3 && windows.length > 0; i += 1)
    await requireWindow(world, operator, random.pick(windows), random);
  await requireForks(world, operator);
}

async function required(operator: Operator, target: Target): Promise<void> {
  if ((await operator.compare(target)) === null)
    throw new Violation(`${target.words.join(' ')} has to be restored: it was refused`);
}

async function requireTag(world: World, operator: Operator, random: Random): Promise<void> {
  interface Tag {
    name: string;
    timestamp: string;
    timeline: number;
    sequence: number;
    reachable: number;
  }
  const tags = (await world.ask<Tag[]>(operator.client, ['TAGS'], NEVER_REFUSED)) ?? [];
  if (tags.length === 0) return;
  const { name, timestamp, timeline, sequence, reachable } = random.pick(tags);
  const target = { words: ['LATEST', 'TAG', name], timeline, sequence, us: parseTime(timestamp).us };
  const isDone = (await operator.compare(target)) !== null;
  if (isDone === (reachable === 1)) return;
  // Segments go by age: what was reachable may not be a moment later.
  const again = (await world.ask<Tag[]>(operator.client, ['TAGS'], NEVER_REFUSED))?.find((tag) => tag.name === name);
  if (again?.reachable !== (isDone ? 1 : 0))
    throw new Violation(`tag '${name}' says reachable ${reachable}, and restored is ${isDone}`);
}

/** A moment inside what WINDOW says, and then the commit that it ends with, by sequence, by its own time, and the one before. */
async function requireWindow(world: World, operator: Operator, window: WindowRecord, random: Random): Promise<void> {
  const { timeline, from, to } = window;
  if (from === null || to === null) return;
  const [fromUs, toUs] = [parseTime(from).us, parseTime(to).us];
  const us = random.once(4) ? toUs : fromUs + Math.floor(((toUs - fromUs) * random.int(10_001)) / 10_000);
  const at = (moment: number): Target => ({
    words: ['LATEST', 'AT', formatTime(moment), 'TIMELINE', timeline],
    timeline,
    sequence: null,
    us: moment,
  });
  const found = await operator.compare(at(us));
  if (found === null) return requireUnclaimed(world, operator, timeline, us);
  if (found.last_commit_at === null || found.sequence === null) return;
  const ownUs = parseTime(found.last_commit_at).us;
  const bySequence = {
    words: ['LATEST', 'SEQ', found.sequence, 'TIMELINE', timeline],
    timeline,
    sequence: found.sequence,
    us,
  };
  if (ownUs < fromUs) return;
  const same = await operator.compare(random.once(2) ? at(ownUs) : bySequence);
  if (same !== null && same.sequence !== found.sequence) {
    throw new Violation(
      `${found.last_commit_at} of timeline ${timeline} is sequence ${found.sequence}, and then ${same.sequence}`,
    );
  }
  const before = await operator.compare(at(ownUs - 1));
  if (before?.sequence != null && before.sequence >= found.sequence) {
    throw new Violation(
      `before ${found.last_commit_at} of timeline ${timeline} sequence is ${before.sequence}, with it ${found.sequence}`,
    );
  }
}

/** It was refused: then WINDOW, asked again, must not claim it any more. It moves as time goes. */
async function requireUnclaimed(world: World, operator: Operator, timeline: number, us: number): Promise<void> {
  const again = await world.ask<{ windows: WindowRecord[] }>(operator.client, ['WINDOW'], NEVER_REFUSED);
  const window = again?.windows.find((other) => other.timeline === timeline);
  if (window === undefined || window.from === null || window.to === null) return;
  const inside = us >= parseTime(window.from).us && us <= parseTime(window.to).us;
  const inGap = window.gaps.some((gap) => us > parseTime(gap.from).us && us < parseTime(gap.to).us);
  if (inside && !inGap)
    throw new Violation(
      `WINDOW claims ${formatTime(us)} of timeline ${timeline}, and it was refused: ${JSON.stringify(window)}`,
    );
}

/** Restores in place that were done under load: the line that began there stands on exactly the state that was asked for. */
async function requireForks(world: World, operator: Operator): Promise<void> {
  const { history, line } = world;
  for (const { timeline, sequence, askedUs, commit } of line.unproven.splice(0)) {
    const what = `the restore to sequence ${sequence} of timeline ${timeline}`;
    const words = ['LATEST', 'SEQ', sequence, 'TIMELINE', timeline];
    const restored = await operator.compareState({ words, timeline, sequence, us: null });
    if (restored === null) continue;
    if (!history.has(commit, restored))
      throw new Violation(`${what} gave commit ${restored}, which commit ${commit} does not have`);
    for (const { id, ackedUs } of history.beyond(commit, restored)) {
      if (ackedUs === null || ackedUs >= askedUs) continue;
      throw new Violation(`${what}: commit ${id}, which was answered before it was asked for, is on the new line`);
    }
  }
}
