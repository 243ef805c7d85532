/**
 * One damaged file of a data directory, and everything that must hold of it: whoever reads it says so (the start, the read of a
 * key, CREATE, VERIFY), or it is harmless by name. What is read is right or an error; no backup is listed that is not what
 * was live; the repository is as it was.
 */
import { cpSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { CairnError } from '../../../src/base/errors.js';
import type { Fixture } from '../../support/backup-fixture.js';
import { type Damage, isSurplus } from '../../support/damage.js';
import { capturingLog, type LogRecord } from '../../support/log.js';
import {
  type Content,
  contentIn,
  contentOf,
  difference,
  kindOfEngineFile,
  openRich,
  type Promised,
} from './rich-repository.js';

/** What nobody names, by kind of file and damage ('*': any): why it harms nobody. */
export const harmlessData: Record<string, Record<string, string>> = {
  LOCK: { '*': 'its content means nothing: the operating system holds the lock' },
  'operations.jsonl': {
    '*': 'a record of what ran: a line that cannot be read is passed over, none decides over data',
  },
  'repository.json': {
    '*': 'it only guards against an empty mount point, and is written anew once the repository is there',
  },
  'audit.jsonl': { '*': 'a record of who did what, for people: nothing reads it back' },
  'closed.json': {
    '*': 'it guards against a lost log: without it that is not compared, and a damaged one is said in the log',
  },
  'live IDENTITY': { '*': 'RocksDB writes it anew, and nothing of ours reads it' },
  'live LOCK': { '*': 'its content means nothing: the operating system holds the lock' },
  'live LOG': { '*': "RocksDB's own diary, which nothing reads" },
  'live OPTIONS': {
    '*': 'a note of the options for people and tools: a database is opened with those that the server has',
  },
  'live MANIFEST': {
    'truncated by one':
      'RocksDB takes its torn end for a write that was never whole; test/fault/lost-log: what a lost edit does',
    'one byte longer': 'RocksDB takes it for the torn start of a write that was never whole',
  },
  'live log': {
    'one byte longer': 'RocksDB takes it for the torn start of a write that was never whole',
  },
  'live archived log': {
    '*': 'its commits are in the repository; of those that are not the archive says that they are lost (B1)',
  },
  'kept archived log': { '*': 'its commits are in the tables of the kept database' },
  'kept log': {
    missing: 'it is empty: LIVE says at which sequence the kept database was left, and that is what opens',
    'one byte longer': 'RocksDB takes it for the torn start of a write that was never whole',
  },
  'kept MANIFEST': {
    'truncated by one': 'as with the live one; LIVE says at which sequence the kept database was left',
    'one byte longer': 'RocksDB takes it for the torn start of a write that was never whole',
  },
  'kept LOG': { '*': "RocksDB's own diary, which nothing reads" },
  'kept LOCK': { '*': 'its content means nothing' },
  'kept IDENTITY': { '*': 'nothing of ours reads it' },
  'kept OPTIONS': { '*': 'a note of the options for people and tools' },
};

export interface DataVerdict {
  namedBy: string[];
  wrong: string[];
}

/** The kind of every file of a data directory, its repository aside. A file of no known kind throws. */
export function kindsOfData(dir: string, live: string): Map<string, string[]> {
  const kinds = new Map<string, string[]>();
  for (const key of readdirSync(dir, { recursive: true }).map(String).sort()) {
    if (key.startsWith('backups') || key.startsWith('restores') || !statSync(join(dir, key)).isFile()) continue;
    const kind = kindOf(key, live);
    kinds.set(kind, [...(kinds.get(kind) ?? []), key]);
  }
  return kinds;
}

function kindOf(key: string, live: string): string {
  const parts = key.split('/');
  const name = parts.at(-1) ?? '';
  if (parts.length === 1) {
    if (['LIVE', 'LOCK', 'repository.json', 'operations.jsonl', 'audit.jsonl', 'closed.json'].includes(name))
      return name;
  } else if (/^db-\d{6,}$/.test(parts[0] ?? '')) {
    const whose = parts[0] === live ? 'live' : 'kept';
    if (parts.length === 3 && parts[1] === 'archive') return `${whose} archived ${kindOfEngineFile(name)}`;
    if (parts.length === 2) return `${whose} ${kindOfEngineFile(name)}`;
  }
  throw new Error(`${key} is of no kind that the sweep knows: class it here and say what its damage does`);
}

export interface DataPromise extends Promised {
  /** What RESTORE PREVIOUS leads to. */
  previous: Content;
  /** More than the repository knows: in the live database and its log alone. */
  live: Content;
}

export async function judgeData(
  dir: string,
  promised: DataPromise,
  key: string,
  others: readonly string[],
  damage: Damage,
): Promise<DataVerdict | null> {
  cpSync(promised.dir, dir, { recursive: true });
  const verdict: DataVerdict = { namedBy: [], wrong: [] };
  const { log, records } = capturingLog();
  let f: Fixture | null = null;
  try {
    if (
      !damage.apply(
        join(dir, key),
        others.map((other) => join(dir, other)),
      )
    )
      return null;
    try {
      f = await openRich(dir, log);
    } catch (error) {
      verdict.namedBy.push('the start');
      if (!(error instanceof CairnError) && !/readable LIVE/.test(String(error)))
        verdict.wrong.push(`the start fails with ${(error as Error).stack}`);
      return verdict;
    }
    await lookAtLive(f, records, promised, verdict);
    const loud = records.filter(({ level, event }) => level === 'error' || /state unreadable|manifests/.test(event));
    if (loud.length > 0) verdict.namedBy.push(`the log: ${loud[0]?.event}`);
    return verdict;
  } finally {
    await f?.close().catch((error: unknown) => verdict.wrong.push(`the stop fails with ${error}`));
    rmSync(dir, { recursive: true });
  }
}

async function lookAtLive(
  f: Fixture,
  records: readonly LogRecord[],
  promised: DataPromise,
  verdict: DataVerdict,
): Promise<void> {
  const attempt = async <T>(who: string, work: () => Promise<T>): Promise<T | null> => {
    try {
      return await work();
    } catch (error) {
      verdict.namedBy.push(who);
      if (!(error instanceof CairnError)) verdict.wrong.push(`${who} fails with ${(error as Error).stack}`);
      return null;
    }
  };
  const { database } = f.keyspace;
  if (database === null) throw new Error('a fixture without a database');
  const live = await attempt('the read of a key', () => contentOf(database));
  const wrong = live === null ? null : difference(live, promised.live);
  const lost = records.find(({ event }) => event.startsWith('the live database is not what its archive has'));
  if (lost !== undefined) verdict.namedBy.push('the start, in the log');
  const said = lost !== undefined;
  // A log that lost its end is said by the archive, which has what it lost: from then on what is left is what is live.
  const parted = said && live !== null ? live : promised.live;
  if (wrong !== null && !said) verdict.wrong.push(`the live data is wrong, and nobody says so: ${wrong}`);
  const id = await attempt('CREATE', () => f.create());
  if (id !== null) {
    const content = await attempt('VERIFY DEEP of the new full', async () => {
      await (await f.backup.verify(id, 'DEEP')).done;
      await f.restore({ backup: id, to: 'new' });
      return contentIn(join(f.dir, 'restores', 'new'));
    });
    const differs = content === null ? 'it does not restore' : difference(content, parted);
    if (differs !== null) verdict.wrong.push(`a full of damaged data is listed as complete: ${differs}`);
  }
  // The repository is none of its business.
  const valid = await f.backup
    .verifyAll('FULL')
    .then(({ done }) => done)
    .then(
      () => null,
      (error: Error) => error.message,
    );
  if (valid !== null) verdict.wrong.push(`the repository is not what it was: ${valid}`);
  const previous = await attempt('RESTORE PREVIOUS', async () => {
    await f.restore({ backup: 'PREVIOUS' });
    const now = f.keyspace.database;
    return now === null ? null : contentOf(now);
  });
  const other = previous === null ? null : difference(previous, promised.previous);
  if (other !== null) verdict.wrong.push(`the previous database is wrong: ${other}`);
}

export function dataComplaints(kind: string, damage: Damage, { namedBy, wrong }: DataVerdict): string[] {
  const reason = isSurplus(damage)
    ? 'what is not ours is passed over'
    : (harmlessData[kind]?.[damage.name] ?? harmlessData[kind]?.['*']);
  const found = [...wrong];
  if (reason === undefined && namedBy.length === 0) found.push('nobody names it');
  return found;
}
