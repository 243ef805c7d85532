/**
 * One damaged file of a repository, and everything that must hold of it: the server comes up, VERIFY ALL or the command that
 * reads the file names it, what LIST calls complete restores to exactly what was promised, everything else restores
 * exactly or is refused, the live data is as it was, and a new full is what it says.
 */
import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { CairnError } from '../../../src/base/errors.js';
import { parseSegmentKey } from '../../../src/format/index.js';
import type { Fixture } from '../../support/backup-fixture.js';
import { type Damage, isSurplus, surplusOf } from '../../support/damage.js';
import { capturingLog, type LogRecord } from '../../support/log.js';
import { type Content, contentIn, contentOf, difference, openRich, type Promised } from './rich-repository.js';

/** What a refusal to restore may be called. */
const REFUSED =
  /^(BACKUPCORRUPT|BACKUPINCOMPLETE|BACKUPMANIFEST|BACKUPNOTFOUND|BACKUPVERIFY|PITRRANGE|WALGAP|TAGNOTFOUND) /;

/**
 * Damage that nothing names, by kind of file and damage ('*': any): why it harms nobody. Everything else has to be named,
 * by VERIFY ALL where nothing else is said.
 */
export const harmless: Record<string, Record<string, string>> = {
  next_id: { '*': 'numbers go on behind the highest id that any document bears' },
  latest: { '*': 'it is for people, no reader relies on it, and the next create writes it anew' },
  LOCK: { '*': 'its content means nothing: the operating system holds the lock' },
  'tags.json': { missing: 'a repository without tags has none: RESTORE … TAG answers TAGNOTFOUND, moments stay' },
};

/** What a start mends by itself, and says so in the log or does without a loss. */
export const mendedByStart: Record<string, Record<string, string>> = {
  'last segment of the live line': { missing: 'the live log still has its commits: they are captured again' },
};

/** What a start names in the log, because it goes on without. */
export const namedByStart: Record<string, readonly string[]> = { 'record of the live timeline': ['missing'] };

export interface Verdict {
  /** Who named the file: 'VERIFY ALL', 'the log', 'INFO 3'; null: nobody. */
  namedBy: string | null;
  /** What VERIFY ALL said; null: that all is well. */
  said: string | null;
  /** What must never be: wrong data, a listed backup that does not restore. */
  wrong: string[];
  restored: number;
  refused: number;
}

export interface Look {
  /** Which of the promises are restored, by index; all where it is absent. */
  restores?: readonly number[];
  /** Whether a new full is made. */
  create: boolean;
}

interface Restorable {
  what: string;
  content: Content;
  options: Parameters<Fixture['restore']>[0];
  id: number | null;
}

/** Everything that can be restored, newest backups first. */
export function restorables({ backups, tag, moments }: Promised): Restorable[] {
  return [
    ...[...backups]
      .reverse()
      .map(([id, content]) => ({ what: `backup ${id}`, content, options: { backup: id }, id: id as number | null })),
    { what: `tag ${tag.name}`, content: tag.content, options: { target: { tag: tag.name } }, id: null },
    ...moments.map(({ timeline, us, content }) => ({
      what: `${us} on timeline ${timeline}`,
      content,
      options: { target: { at: String(us) }, timeline },
      id: null,
    })),
  ];
}

/** A server that runs on a repository of its own, and what it has said. */
export interface Watched {
  f: Fixture;
  records: LogRecord[];
}

export async function openWatched(dir: string): Promise<Watched> {
  const { log, records } = capturingLog();
  return { f: await openRich(dir, log), records };
}

/** Damages `key` in a copy at `dir`, which goes afterwards, and starts a server on it. null: it cannot be damaged so. */
export async function judgeAtStart(
  dir: string,
  promised: Promised,
  key: string,
  others: readonly string[],
  damage: Damage,
  look: Look,
): Promise<Verdict | null> {
  cpSync(promised.dir, dir, { recursive: true });
  try {
    const paths = others.map((other) => join(dir, 'backups', other));
    if (!damage.apply(join(dir, 'backups', key), paths)) return null;
    const watched = await openWatched(dir);
    try {
      return await lookAt(watched, promised, isSurplus(damage) ? surplusOf(key) : key, look);
    } finally {
      await watched.f.close();
    }
  } finally {
    rmSync(dir, { recursive: true });
  }
}

export async function lookAt({ f, records }: Watched, promised: Promised, name: string, look: Look): Promise<Verdict> {
  const verdict: Verdict = { namedBy: null, said: null, wrong: [], restored: 0, refused: 0 };
  const named = (who: string, text: string): void => {
    if (verdict.namedBy === null && namesOf(name).some((one) => text.includes(one))) verdict.namedBy = who;
  };
  verdict.said = await failure(f.backup.verifyAll('FULL').then(({ done }) => done));
  if (verdict.said !== null) named('VERIFY ALL', verdict.said);
  const { backups } = await f.backup.list({});
  const complete = new Set(backups.filter(({ status }) => status === 'complete').map(({ id }) => id));
  for (const { id } of backups) named(`INFO ${id}`, String((await f.backup.info(id)).reason));
  const all = restorables(promised);
  for (const at of look.restores ?? all.keys()) {
    const { what, content, options, id } = all[at % all.length] as Restorable;
    const to = `look-${at}`;
    const error = await failure(f.restore({ ...options, to }));
    if (error === null) {
      verdict.restored += 1;
      const path = join(f.dir, 'restores', to);
      const wrong = difference(await contentIn(path), content);
      if (wrong !== null) verdict.wrong.push(`${what} was restored and is wrong: ${wrong}`);
      rmSync(path, { recursive: true });
      continue;
    }
    verdict.refused += 1;
    named(`RESTORE of ${what}`, error);
    if (!REFUSED.test(error)) verdict.wrong.push(`${what} is refused with ${error}`);
    if (id !== null && complete.has(id)) verdict.wrong.push(`${what} is listed as complete, but: ${error}`);
  }
  if (look.create) await lookAtTheNewest(f, promised, verdict, named);
  const loud = records.filter(({ level }) => level === 'warn' || level === 'error');
  for (const record of loud) named('the log', JSON.stringify(record));
  return verdict;
}

/** By what a text names a file: a segment that is gone is known by what it held. */
function namesOf(key: string): string[] {
  const segment = parseSegmentKey(key);
  if (segment === null) return [key];
  const { timeline, first, last } = segment;
  return [key, `sequences ${first} to ${last} of timeline ${timeline}`];
}

/** The live data, and a full that is made now. */
async function lookAtTheNewest(
  f: Fixture,
  promised: Promised,
  verdict: Verdict,
  named: (who: string, text: string) => void,
): Promise<void> {
  const { database } = f.keyspace;
  if (database === null) {
    verdict.wrong.push('the live database is not open');
    return;
  }
  const wrong = difference(await contentOf(database), promised.live);
  if (wrong !== null) verdict.wrong.push(`the live data is not what it was: ${wrong}`);
  await f.set('after', 'the damage');
  const make = async (): Promise<void> => {
    const id = await f.create({ verify: true });
    if (promised.backups.has(id)) verdict.wrong.push(`id ${id} was given twice`);
    await f.restore({ backup: id, to: 'newest' });
    const restored = await contentIn(join(f.dir, 'restores', 'newest'));
    const differs = difference(restored, new Map([...promised.live, ['after', 'the damage']]));
    if (differs !== null) verdict.wrong.push(`a new full is not what is live: ${differs}`);
  };
  const refusal = await failure(make());
  if (refusal === null) return;
  named('CREATE', refusal);
  if (!/^BACKUPMANIFEST REPOSITORY\.json /.test(refusal)) verdict.wrong.push(`CREATE fails: ${refusal}`);
}

/** How it failed, as a client sees it; null: it did not. */
async function failure(work: Promise<unknown>): Promise<string | null> {
  try {
    await work;
    return null;
  } catch (thrown) {
    return thrown instanceof CairnError ? thrown.line : `UNEXPECTED ${(thrown as Error).stack}`;
  }
}

/** What of a verdict is not as it should be; empty: all is. */
export function complaints(kind: string, damage: Damage, verdict: Verdict, atStart: boolean): string[] {
  const { namedBy, said, wrong } = verdict;
  const found = [...wrong];
  const reasonIn = (table: Record<string, Record<string, string>>) => table[kind]?.[damage.name] ?? table[kind]?.['*'];
  const isHarmless = reasonIn(harmless) !== undefined || (atStart && reasonIn(mendedByStart) !== undefined);
  if (isSurplus(damage) && kind !== 'LOCK') {
    if (namedBy !== 'the log') found.push(`a surplus file is named by ${namedBy}`);
    if (said !== null) found.push(`a surplus file makes VERIFY ALL say: ${said}`);
  } else if (isHarmless) {
    if (said !== null) found.push(`harmless, but VERIFY ALL says: ${said}`);
  } else if (atStart && namedByStart[kind]?.includes(damage.name) === true) {
    if (namedBy !== 'the log') found.push(`named by ${namedBy}, not in the log`);
  } else if (namedBy !== 'VERIFY ALL') {
    found.push(`named by ${namedBy}; VERIFY ALL says: ${said}`);
  }
  return found;
}
