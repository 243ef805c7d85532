/**
 * A data directory with a repository that has every kind of file there is: a full that was verified and pinned, an increment
 * and a differential, small segments and a merged one, two timelines with a full and an increment on the second, tags, a
 * replaced database that is kept. And what all of it promises, key by key.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { decodeBlock, openDatabase } from '../../../src/engine/index.js';
import type { Database } from '../../../src/engine/types.js';
import { decodeFileList, parseListKey, parseSegmentKey } from '../../../src/format/index.js';
import { nativeLayout } from '../../../src/keyspace/layout.js';
import type { Log } from '../../../src/observability/log.js';
import { type Fixture, openFixture } from '../../support/backup-fixture.js';
import { objectKeys } from '../../support/repository-files.js';

/** Database 0, key by key. */
export type Content = ReadonlyMap<string, string>;

export interface Promised {
  dir: string;
  repository: string;
  /** By id. */
  backups: Map<number, Content>;
  /** Some commits of both timelines. */
  moments: { timeline: number; us: number; content: Content }[];
  tag: { name: string; content: Content };
  live: Content;
  liveTimeline: number;
}

export function openRich(dir: string, log?: Log): Promise<Fixture> {
  return openFixture(dir, { archive: () => true, ...(log === undefined ? {} : { log }) });
}

export async function buildRich(dir: string): Promise<Promised> {
  const f = await openRich(dir);
  const content = new Map<string, string>();
  const backups = new Map<number, Content>();
  const moments: Promised['moments'] = [];
  let n = 0;
  const commits = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i += 1) {
      n += 1;
      const [key, value] = [`key:${n % 17}`, `${n}:${'v'.repeat((n * 37) % 300)}`];
      await f.set(key, value);
      content.set(key, value);
    }
    const { timeline, lastCommitUs: us } = f.keyspace.position;
    moments.push({ timeline, us, content: new Map(content) });
  };
  const segment = async (count: number): Promise<void> => {
    await commits(count);
    await f.backup.window();
  };
  const create = async (options: Parameters<Fixture['create']>[0] = {}): Promise<void> => {
    backups.set(await f.create(options), new Map(content));
  };

  await commits(20);
  await f.keyspace.database?.flush();
  await create({ verify: true, pin: true, label: 'pinned' });
  for (let i = 0; i < 20; i += 1) await segment(1);
  await f.backup.tidyArchive();
  await segment(3);
  await create({ type: 'incremental' });
  await segment(2);
  await create({ type: 'differential' });
  await f.backup.tag('before the fork');
  const tag = { name: 'before the fork', content: new Map(content) };
  await segment(4);
  // Back to an earlier moment: a second timeline, and a kept database.
  const fork = moments.at(-3) as (typeof moments)[number];
  await f.restore({ target: { at: String(fork.us) } });
  content.clear();
  for (const [key, value] of fork.content) content.set(key, value);
  await segment(3);
  // Not flushed: its log is one of its files.
  await create();
  await segment(4);
  await create({ type: 'incremental' });
  await segment(2);
  await segment(2);
  const liveTimeline = f.keyspace.position.timeline;
  const { repository } = f;
  await f.close();
  return { dir, repository, backups, moments: thinned(moments), tag, live: content, liveTimeline };
}

/** Enough of each timeline: the first, some in between, the last. */
function thinned(moments: Promised['moments']): Promised['moments'] {
  return [...new Set(moments.map(({ timeline }) => timeline))].flatMap((timeline) => {
    const line = moments.filter((moment) => moment.timeline === timeline);
    return [...new Set([line[0], line[line.length >> 1], line.at(-2), line.at(-1)])].filter((moment) => moment != null);
  }) as Promised['moments'];
}

/** What is in a database, without expiry and the reserved key. */
export async function contentOf(database: Database): Promise<Map<string, string>> {
  const content = new Map<string, string>();
  const { gte, lt } = nativeLayout.range(0, Buffer.alloc(0));
  const blocks = database.iterate(lt === undefined ? { gte } : { gte, lt });
  try {
    for (let block = await blocks.next(); block !== null; block = await blocks.next()) {
      for (const { key, value } of decodeBlock(block)) {
        content.set(nativeLayout.userKey(key).toString(), nativeLayout.decode(value).bytes.toString());
      }
    }
  } finally {
    await blocks.close();
  }
  return content;
}

export async function contentIn(directory: string): Promise<Map<string, string>> {
  const database = await openDatabase(directory, { createIfMissing: false });
  try {
    return await contentOf(database);
  } finally {
    await database.close();
  }
}

/** How two states differ; null: not at all. */
export function difference(actual: Content, expected: Content): string | null {
  const wrong = [...new Set([...actual.keys(), ...expected.keys()])].filter(
    (key) => actual.get(key) !== expected.get(key),
  );
  const [key] = wrong;
  if (key === undefined) return null;
  const short = (value: string | undefined) => (value === undefined ? 'nothing' : JSON.stringify(value.slice(0, 20)));
  return `${wrong.length} keys differ, e.g. ${key}: ${short(actual.get(key))} instead of ${short(expected.get(key))}`;
}

/**
 * The kind of every file of a repository, by what docs/backup-format.md says of its key. A file of no known kind throws: whoever adds
 * one says what happens when it is damaged.
 */
export function kindsOfRepository(repository: string, liveTimeline: number): Map<string, string[]> {
  const kinds = new Map<string, string[]>();
  const named = namesOfFiles(repository);
  const keys = [...objectKeys(repository), 'LOCK'];
  const segments = keys.filter((key) => parseSegmentKey(key) !== null);
  const last = segments.filter((key) => key.startsWith(`wal/${liveTimeline}/`)).at(-1);
  for (const key of keys) {
    const kind = key === last ? 'last segment of the live line' : kindOf(repository, key, named, liveTimeline);
    kinds.set(kind, [...(kinds.get(kind) ?? []), key]);
  }
  return kinds;
}

function kindOf(repository: string, key: string, named: Map<string, string>, liveTimeline: number): string {
  const [folder = ''] = key.split('/');
  const json = (): Record<string, unknown> => JSON.parse(readFileSync(join(repository, key), 'utf8'));
  switch (folder) {
    case 'REPOSITORY.json':
    case 'tags.json':
    case 'next_id':
    case 'latest':
    case 'LOCK':
      return folder;
    case 'backups':
      return `manifest of a backup that is ${json().type}`;
    case 'states':
      return (json().verifications as unknown[]).length > 0 ? 'state with verifications' : 'state';
    case 'lists':
      return 'file list';
    case 'timelines':
      return json().timeline === liveTimeline ? 'record of the live timeline' : 'record of an older timeline';
    case 'wal': {
      const name = parseSegmentKey(key);
      if (name === null) break;
      return name.last - name.first > 8 ? 'merged segment' : 'segment';
    }
    case 'files': {
      const name = named.get(key.split('/').at(-1) ?? '');
      if (name !== undefined) return `file: ${kindOfEngineFile(name)}`;
    }
  }
  throw new Error(`${key} is of no kind that the sweep knows: class it here and say what its damage does`);
}

/** Under which name the lists have the objects of files/. */
function namesOfFiles(repository: string): Map<string, string> {
  const names = new Map<string, string>();
  for (const key of objectKeys(repository, 'lists/')) {
    if (parseListKey(key) === null) continue;
    for (const { name, sha256 } of decodeFileList(readFileSync(join(repository, key))).files) names.set(sha256, name);
  }
  return names;
}

/** Of a RocksDB directory. */
export function kindOfEngineFile(name: string): string {
  if (/^\d{6,}\.sst$/.test(name)) return 'table';
  if (/^\d{6,}\.log$/.test(name)) return 'log';
  if (/^MANIFEST-\d{6,}$/.test(name)) return 'MANIFEST';
  if (/^OPTIONS-\d{6,}$/.test(name)) return 'OPTIONS';
  if (/^LOG(\.old)?$/.test(name)) return 'LOG';
  if (['CURRENT', 'IDENTITY', 'LOCK'].includes(name)) return name;
  throw new Error(`${name} is of no kind that the sweep knows: class it here and say what its damage does`);
}
