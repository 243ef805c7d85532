/**
 * A cut: the live database's files frozen at one commit boundary, without stopping it.
 *
 *   flush (only above 16 MB of unflushed data)      outside the pause
 *   file deletions off
 *   ── pause between two write groups ──            a fraction of a millisecond
 *      WAL synced, sequence read, file list and valid sizes noted
 *   ── writer goes on ──
 *   every file hard-linked into staging             tables never change; of MANIFEST and the last log only the noted
 *   file deletions on                               size is valid, what follows is appended later and never copied
 *
 * Staging shares inodes with the live database: it is the source to copy from, never a backup.
 */
import { link, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CairnError } from '../base/errors.js';
import { faultPoint } from '../base/fault-points.js';
import { FILE_MODE, removeTree } from '../base/fs.js';
import { sha256 } from '../base/hash.js';
import type { LiveFile } from '../engine/types.js';
import type { LivePort, Position } from '../keyspace/port.js';
import { storageError } from '../storage/index.js';
import type { DataDirectory } from './data-directory.js';

/** Above this much unflushed data a cut flushes first: else every full would store the memtable again as WAL. */
const FLUSH_ABOVE_BYTES = 16 << 20;

export interface CutFile {
  /** Name inside the database directory. */
  name: string;
  /** Where to copy it from. */
  path: string;
  sizeBytes: number;
  /** A table: immutable, worth knowing by content before it is read. */
  table: boolean;
  /** What it has to be: of a table what RocksDB's MANIFEST says, of what was in memory what that was; null: not known. */
  sha256: string | null;
}

export interface Cut {
  files: CutFile[];
  position: Position;
  /** The moment of the cut by the commit clock, µs: every commit in it is earlier, every later one is after. */
  takenAtUs: number;
  /** Removes the staging directory. */
  release(): Promise<void>;
}

/** Takes a cut into `<dir>/staging/<label>`; the caller releases it. */
export async function takeCut(live: LivePort, directory: DataDirectory, label: string): Promise<Cut> {
  const database = live.database;
  if (database === null) throw new CairnError('MISCONF', 'there is no open database to back up');
  const unflushed = Number(database.property('rocksdb.cur-size-all-mem-tables') ?? 0);
  if (unflushed > FLUSH_ABOVE_BYTES) await database.flush();
  // Most of the log is made durable here, so that little is left to sync inside the pause.
  await database.syncWal();
  const staging = await directory.makeTemporary('staging', label).catch(notStaged(join(directory.path, 'staging')));
  const release = (): Promise<void> => removeTree(staging, { durable: false });
  try {
    await database.disableFileDeletions();
    let cut: Cut;
    try {
      const { files, position, takenAtUs } = await live.pausedBetweenGroups(async (at, markUs) => {
        await database.syncWal();
        return {
          files: await database.liveFiles(),
          position: at,
          takenAtUs: markUs,
        };
      });
      cut = {
        files: await stage(files, staging).catch(notStaged(staging)),
        position,
        takenAtUs,
        release,
      };
    } finally {
      await database.enableFileDeletions();
    }
    await faultPoint('checkpoint-made');
    return cut;
  } catch (error) {
    await release();
    throw error;
  }
}

async function stage(files: LiveFile[], staging: string): Promise<CutFile[]> {
  const staged: CutFile[] = [];
  for (const file of files) {
    const path = join(staging, file.name);
    if (file.contents === null) await link(join(file.directory, file.name), path).catch(gone(file));
    else await writeFile(path, file.contents, { flag: 'wx', mode: FILE_MODE });
    staged.push({
      name: file.name,
      path,
      sizeBytes: file.sizeBytes,
      table: file.kind === 'table',
      // What was in memory has to be what is copied, too.
      sha256: file.contents === null ? file.sha256 : sha256(file.contents),
    });
  }
  return staged.sort(byName);
}

/** What the system refused, with its path and the room that is left. */
function notStaged(path: string): (error: unknown) => Promise<never> {
  return async (error) => {
    throw await storageError(error, { doing: 'stage the live files', path });
  };
}

/** RocksDB's directory entry order does not matter; a list is stored sorted so that equal states have equal lists. */
export function byName(a: { name: string }, b: { name: string }): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}

/** A live file that the database has open but that is not there any more: somebody removed it. */
function gone(file: LiveFile): (error: NodeJS.ErrnoException) => never {
  return (error) => {
    if (error.code !== 'ENOENT') throw error;
    throw new CairnError('BACKUPFAILED', `the live file ${file.name} is gone from ${file.directory}`, {
      hint: 'Restore the newest good backup in place, before a restart needs the file. Nothing was listed, nothing was pruned.',
      details: { file: file.name },
      cause: error,
    });
  };
}
