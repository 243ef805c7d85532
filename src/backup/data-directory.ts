/**
 * The server's directory, and the one file that says which database in it is live.
 *
 *   <dir>/
 *     LIVE                  this file: one JSON document, replaced atomically
 *     LOCK                  held while a server serves the directory
 *     db-000001/            databases; LIVE names the live one and the kept ones
 *     db-000003.building/   a restore in progress; never opened as data, removed at the next start
 *     staging/ scratch/     hard links of a cut, trial restores of VERIFY DEEP; removed at the next start
 *     operations.jsonl      what ran
 *     repository.json       which repository its backups are in (known-repository.ts)
 *     closed.json           where the live database stood when it was closed last (closed-note.ts)
 *     raw-state.json        position of a raw keyspace
 *
 * LIVE carries everything that must change in one instant when a restored database takes over: the name, the
 * database id, the timeline, the floor of the commit clock, and which replaced databases are kept. A directory
 * db-* that LIVE does not name is what a crash left. When LIVE cannot be read nothing is removed: a person decides.
 */
import { randomUUID } from 'node:crypto';
import { lstat, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { CairnError } from '../base/errors.js';
import {
  atomicWriteFile,
  ignoreMissing,
  makeDirectory,
  readFileBounded,
  removeFile,
  removeTree,
  TEMPORARY_PREFIX,
} from '../base/fs.js';
import { decodeDocument, encodeDocument } from '../format/document.js';
import type { KeyspaceKind } from '../keyspace/port.js';

const name = z.string().regex(/^db-[0-9]{6,}$/);
const timeUs = z.number().int().min(0);

const keptSchema = z.object({
  name,
  database_id: z.uuid(),
  keyspace: z.enum(['native', 'raw']),
  timeline: z.number().int().min(1),
  /** null: it was not open when it was replaced. */
  sequence: z.number().int().min(0).nullable(),
  commit_count: z.number().int().min(0).nullable(),
  replaced_at_us: timeUs,
});

const liveSchema = z.object({
  format: z.literal(1),
  live: name,
  database_id: z.uuid(),
  keyspace: z.enum(['native', 'raw']),
  timeline: z.number().int().min(1),
  clock_floor_us: timeUs,
  /** true until the database was opened for the first time: only then may it be created. */
  fresh: z.boolean(),
  kept: z.array(keptSchema).max(10_000),
});

const MAX_LIVE_BYTES = 8 << 20;

export type KeptDatabase = z.infer<typeof keptSchema>;
export type LiveDocument = z.infer<typeof liveSchema>;

export class DataDirectory {
  readonly path: string;
  #live: LiveDocument | null;
  /** The file as it was last found right: nothing is read again as long as it is that one. */
  #seen = '';
  /** Writes of LIVE, and looks at it, take turns. */
  #turn: Promise<unknown> = Promise.resolve();
  /** Why LIVE could not be used; null when it could. */
  readonly failure: CairnError | null;

  private constructor(path: string, live: LiveDocument | null, failure: CairnError | null) {
    this.path = path;
    this.#live = live;
    this.failure = failure;
  }

  /**
   * Reads LIVE; an empty directory gets one. The caller holds LOCK. A LIVE that is damaged, or missing beside databases,
   * gives a directory with `failure` set: the server comes up, answers MISCONF and can restore.
   */
  static async open(path: string, kind: KeyspaceKind): Promise<DataDirectory> {
    await makeDirectory(path);
    await removeUnfinished(path);
    const bytes = (await ignoreMissing(readFileBounded(join(path, 'LIVE'), MAX_LIVE_BYTES))) ?? null;
    if (bytes === null) {
      const databases = (await readdir(path)).filter((entry) => entry.startsWith('db-'));
      if (databases.length > 0) {
        return new DataDirectory(
          path,
          null,
          unusable(path, `LIVE is missing, but ${databases.length} database directories are there`),
        );
      }
      const directory = new DataDirectory(path, null, null);
      await directory.replaceLive(newLive('db-000001', kind, true));
      return directory;
    }
    try {
      return new DataDirectory(
        path,
        decodeDocument(bytes, {
          kind: 'LIVE',
          schema: liveSchema,
          maxBytes: MAX_LIVE_BYTES,
        }),
        null,
      );
    } catch (error) {
      return new DataDirectory(path, null, unusable(path, `LIVE is damaged (${(error as Error).message})`));
    }
  }

  /** Makes a directory that holds the database that `live` names a data directory; before this resolves it is none. */
  static async create(path: string, live: LiveDocument): Promise<DataDirectory> {
    const directory = new DataDirectory(path, null, null);
    await directory.replaceLive(live);
    return directory;
  }

  get live(): LiveDocument | null {
    return this.#live;
  }

  get livePath(): string | null {
    return this.#live === null ? null : join(this.path, this.#live.live);
  }

  databasePath(database: string): string {
    return join(this.path, database);
  }

  /** Flips the pointer: after this resolves the new state is what any start will open. */
  replaceLive(live: LiveDocument): Promise<void> {
    return this.#inTurn(() => this.#replaceLive(live));
  }

  /**
   * Compares the file with what this directory knows, and writes it anew where it is another one and `isOwner` says that nobody
   * else may have done that on purpose. null: it is right, or nobody knows what is.
   */
  keepLive(isOwner: () => Promise<boolean>): Promise<{ what: string; mended: boolean } | null> {
    return this.#inTurn(async () => {
      const live = this.#live;
      if (live === null) return null;
      const seen = await fingerprint(join(this.path, 'LIVE'));
      if (seen !== null && seen === this.#seen) return null;
      const what = await this.#differenceTo(live);
      if (what === null) {
        this.#seen = seen ?? '';
        return null;
      }
      // Where even this cannot be asked, the disk may be away: the error is the caller's.
      if (!(await isOwner())) return { what, mended: false };
      await this.#replaceLive(live);
      return { what, mended: true };
    });
  }

  async #differenceTo(live: LiveDocument): Promise<string | null> {
    try {
      const bytes = await ignoreMissing(readFileBounded(join(this.path, 'LIVE'), MAX_LIVE_BYTES));
      if (bytes === undefined) return 'it is missing';
      const found = decodeDocument(bytes, { kind: 'LIVE', schema: liveSchema, maxBytes: MAX_LIVE_BYTES });
      if (encodeDocument(found).equals(encodeDocument(live))) return null;
      return `it names ${found.live} of database ${found.database_id} on timeline ${found.timeline}`;
    } catch (error) {
      return `it is damaged (${(error as Error).message})`;
    }
  }

  #inTurn<T>(body: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(body);
    this.#turn = mine.catch(() => undefined);
    return mine;
  }

  async #replaceLive(live: LiveDocument): Promise<void> {
    const path = join(this.path, 'LIVE');
    const bytes = encodeDocument(live);
    try {
      await atomicWriteFile(path, bytes);
    } catch (error) {
      // It may have got its name all the same, and then that is what the next start opens.
      const now = await readFile(path).catch(() => null);
      if (now?.equals(bytes) === true) this.#live = live;
      throw error;
    }
    this.#live = live;
  }

  /** The first open of a fresh database succeeded: from now on a missing one is an error, never created anew. */
  async markCreated(): Promise<void> {
    if (this.#live?.fresh === true) await this.replaceLive({ ...this.#live, fresh: false });
  }

  /** The databases that are here while LIVE, which would name the live and the kept ones, is lost; oldest first. */
  async unnamedDatabases(except: string): Promise<string[]> {
    if (this.#live !== null) return [];
    return (await readdir(this.path)).filter((entry) => /^db-[0-9]{6,}$/.test(entry) && entry !== except).sort();
  }

  /** A name that no database here has or had. */
  async nextDatabaseName(): Promise<string> {
    const numbers = [...(await readdir(this.path)), ...(this.#live?.kept.map((kept) => kept.name) ?? [])]
      .map((entry) => /^db-([0-9]{6,})/.exec(entry)?.[1])
      .map((digits) => Number(digits ?? 0));
    return `db-${String(Math.max(0, ...numbers) + 1).padStart(6, '0')}`;
  }

  /** Removes what a crash left. Nothing is removed while LIVE is unreadable. Returns the names that went. */
  async sweep(): Promise<string[]> {
    if (this.#live === null) return [];
    const named = new Set([this.#live.live, ...this.#live.kept.map((kept) => kept.name)]);
    const removed: string[] = [];
    for (const entry of await readdir(this.path)) {
      const leftover =
        entry === 'staging' || entry === 'scratch' || (/^db-[0-9]{6,}(\.building)?$/.test(entry) && !named.has(entry));
      if (!leftover) continue;
      await removeTree(join(this.path, entry));
      removed.push(entry);
    }
    return removed;
  }

  /** The kept database that was replaced last: what RESTORE PREVIOUS swaps back. */
  get previous(): KeptDatabase | null {
    return this.#live?.kept.toSorted((a, b) => b.replaced_at_us - a.replaced_at_us)[0] ?? null;
  }

  /**
   * Removes kept databases older than `keepUs` (0: no limit). The newest always stays. First the pointer forgets them,
   * then the directories go, so that a crash between leaves only something for the sweep.
   */
  async pruneKept(keepUs: number, nowUs: number): Promise<string[]> {
    const live = this.#live;
    const newest = this.previous;
    if (live === null || newest === null || keepUs === 0) return [];
    const expired = live.kept.filter((kept) => kept !== newest && nowUs - kept.replaced_at_us > keepUs);
    if (expired.length === 0) return [];
    await this.replaceLive({
      ...live,
      kept: live.kept.filter((kept) => !expired.includes(kept)),
    });
    for (const kept of expired) await removeTree(this.databasePath(kept.name));
    return expired.map((kept) => kept.name);
  }

  /** An own empty directory for short-lived files on the same file system, e.g. 'staging/7'. Nothing in it has to be durable. */
  async makeTemporary(area: 'staging' | 'scratch', label: string): Promise<string> {
    const path = join(this.path, area, label);
    await removeTree(path, { durable: false });
    await makeDirectory(path, { durable: false });
    return path;
  }
}

export function newLive(database: string, kind: KeyspaceKind, fresh: boolean): LiveDocument {
  return {
    format: 1,
    live: database,
    database_id: randomUUID(),
    keyspace: kind,
    timeline: 1,
    clock_floor_us: 0,
    fresh,
    kept: [],
  };
}

/** True for a directory that RocksDB made: it has a CURRENT and a MANIFEST. */
export async function isRocksDirectory(path: string): Promise<boolean> {
  const entries = await readdir(path).catch(() => [] as string[]);
  return entries.includes('CURRENT') && entries.some((entry) => entry.startsWith('MANIFEST-'));
}

/** Another one after any change of the file; null: it is not there. */
async function fingerprint(path: string): Promise<string | null> {
  const stats = await ignoreMissing(lstat(path, { bigint: true }));
  return stats === undefined ? null : [stats.dev, stats.ino, stats.size, stats.mtimeNs, stats.ctimeNs].join(':');
}

/** 'absent', 'empty', or what stands in the way. Symbolic links are never followed. */
export async function emptiness(path: string): Promise<'absent' | 'empty' | 'occupied' | 'symlink' | 'file'> {
  const status = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
  if (status === null) return 'absent';
  if (status.isSymbolicLink()) return 'symlink';
  if (!status.isDirectory()) return 'file';
  return (await readdir(path)).length === 0 ? 'empty' : 'occupied';
}

function unusable(path: string, what: string): CairnError {
  return new CairnError('MISCONF', `the live database did not open: ${what} in ${path}`, {
    hint: 'Nothing was changed. Restore in place with ADMIN.BACKUP RESTORE, or put LIVE back from a copy and restart.',
  });
}

/** Removes what a killed server had not finished writing beside LIVE. */
async function removeUnfinished(path: string): Promise<void> {
  for (const name of await readdir(path)) if (name.startsWith(TEMPORARY_PREFIX)) await removeFile(join(path, name));
}
