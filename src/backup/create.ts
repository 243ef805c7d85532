/**
 * CREATE of a full, from the cut to the manifest; increment.ts is the other kind.
 *
 *   cut → space check → copy what the repository lacks (hashed in the same pass) → file list → [verify]
 *       → state → manifest (the commit point) → latest → retention
 *
 * Until the manifest has its name nothing is listed, and a failure or a crash leaves only objects that nobody refers
 * to. Tables are immutable and named by content: one that the repository has costs nothing.
 */

import type { WallClock } from '../base/clock.js';
import { CairnError } from '../base/errors.js';
import { faultPoint } from '../base/fault-points.js';
import { sha256 } from '../base/hash.js';
import { formatTime } from '../base/time.js';
import {
  type BackupState,
  encodeFileList,
  encodeManifest,
  encodeState,
  type FileList,
  fileKey,
  listKey,
  type Manifest,
  manifestKey,
  newState,
  stateKey,
} from '../format/index.js';
import type { KeyspaceKind, LivePort, Position } from '../keyspace/port.js';
import type { Log } from '../observability/log.js';
import type { Archiver } from './archiver.js';
import { type Cut, type CutFile, takeCut } from './cut.js';
import type { DataDirectory } from './data-directory.js';
import { collectGarbage } from './garbage.js';
import type { Operation } from './operations.js';
import { forEachAtOnce, largestFirst } from './parallel.js';
import type { Repository } from './repository.js';
import { requireSpace } from './space.js';
import type { TableHashes } from './table-hashes.js';
import { checkFiles, verificationOf } from './verify.js';

export interface Trigger {
  /** The command as it was given, without secrets; or what started it, e.g. "schedule". */
  command: string;
  user: string | null;
  address: string | null;
}

export interface CreateRequest {
  label: string | null;
  verify: boolean;
  pin: boolean;
  trigger: Trigger;
}

export interface CreateContext {
  live: LivePort;
  archiver: Archiver;
  directory: DataDirectory;
  repository: Repository;
  tableHashes: TableHashes;
  /** That the id is given is durable: before that nothing in the repository may bear it. */
  idKept: Promise<void>;
  clock: WallClock;
  log: Log;
  host: string;
  versions: { cairn: string; rocksdb: string; node: string };
}

/** More than are copied at once: the syncs of their names wait for the disk, not for a processor. */
const COPIES_AT_ONCE = 4;
const LOOKS_AT_ONCE = 16;

/** Makes backup `id`; resolves when its manifest is durable. */
export async function createFull(
  context: CreateContext,
  id: number,
  request: CreateRequest,
  operation: Operation,
): Promise<void> {
  const { live, repository, clock, log } = context;
  const startedUs = clock.nowUs();
  operation.phase = 'cut';
  const cut = await cutWithChain(context, id, operation);
  try {
    operation.checkpoint();
    const { list, storedBytes } = await storeFiles(context, cut, operation);
    const listBytes = encodeFileList(list);
    const listHash = sha256(listBytes);
    const size = list.files.reduce((sum, file) => sum + file.size, 0);
    // One that is there and whole is shared; one that is missing or damaged is written (again).
    const shared = await repository.catalog.readList(listHash, id, { fresh: true }).catch(() => null);
    if (shared === null) await repository.store.put(listKey(listHash), listBytes);
    operation.checkpoint();

    let verifications: BackupState['verifications'] = [];
    if (request.verify) {
      operation.phase = 'verify';
      operation.bytesTotal = (operation.bytesTotal ?? 0) + size;
      const begun = clock.nowUs();
      const check = await checkFiles(repository, id, list, 'FULL', operation);
      if (check.error !== null) throw check.error;
      verifications = [verificationOf('FULL', check, begun, clock.nowUs())];
    }

    operation.phase = 'manifest';
    await writeManifest(context, operation, startedUs, verifications, {
      id,
      type: 'full',
      label: request.label,
      parent: null,
      base: null,
      timeline: cut.position.timeline,
      sequence_from: 0,
      sequence_to: cut.position.sequence,
      timestamp: formatTime(cut.takenAtUs),
      files: list.files.length,
      size,
      stored_size: storedBytes + (shared === null ? listBytes.length : 0),
      list: { sha256: listHash, files: list.files.length, size },
      cut: stateOf(cut.position, live.kind),
      span: null,
      pin: request.pin,
      trigger: request.trigger,
    });
  } catch (error) {
    await cleanUp(repository, id, log);
    throw error;
  } finally {
    await cut.release().catch((error: unknown) => log.warn('staging could not be removed', { id, error }));
  }
}

/** The cut, with the archive's chain going on from there: increments rest on that. */
function cutWithChain({ live, directory, archiver }: CreateContext, id: number, { signal }: Operation): Promise<Cut> {
  return archiver.turn(async () => {
    await archiver.agree(signal);
    const cut = await takeCut(live, directory, String(id));
    try {
      await archiver.continueFrom(cut.position, signal);
      return cut;
    } catch (error) {
      await cut.release();
      throw error;
    }
  }, signal);
}

export function stateOf(position: Position, keyspace: KeyspaceKind): Manifest['cut'] {
  return {
    last_commit_at: position.lastCommitUs === 0 ? null : formatTime(position.lastCommitUs),
    commit_count: position.commitCount,
    key_counts: position.keyCounts,
    keyspace,
  };
}

/** What a manifest says that depends on the kind of backup; the rest is the same for all. */
export type ManifestContent = Pick<
  Manifest,
  | 'id'
  | 'type'
  | 'label'
  | 'parent'
  | 'base'
  | 'timeline'
  | 'sequence_from'
  | 'sequence_to'
  | 'timestamp'
  | 'files'
  | 'size'
  | 'stored_size'
  | 'list'
  | 'cut'
  | 'span'
  | 'trigger'
> & { pin: boolean };

/**
 * State, then manifest: the commit point; then `latest`. The state says that the manifest is to come until it is there: a crash between
 * leaves a state that may go, while one that lost its manifest later keeps what it names.
 */
export async function writeManifest(
  context: CreateContext,
  operation: Operation,
  startedUs: number,
  verifications: BackupState['verifications'],
  content: ManifestContent,
): Promise<void> {
  const { repository, clock, log, host, versions } = context;
  const { pin, trigger, ...rest } = content;
  const header = await repository.header();
  if (header === null) throw new CairnError('BACKUPFAILED', 'REPOSITORY.json vanished while the backup was made');
  const { id, type, label, parent, base, timeline, sequence_from, sequence_to, timestamp, ...sizes } = rest;
  const finishedUs = Math.max(clock.nowUs(), startedUs);
  const manifestBytes = encodeManifest({
    ...{ id, type, label, parent, base, timeline, sequence_from, sequence_to, timestamp },
    started_at: formatTime(startedUs),
    finished_at: formatTime(finishedUs),
    duration_ms: Math.round((finishedUs - startedUs) / 1000),
    ...sizes,
    database_id: header.database_id,
    repository_id: header.repository_id,
    host,
    trigger,
    versions,
  });
  const state = {
    ...newState(id, sha256(manifestBytes), { pinned: pin, list_sha256: rest.list.sha256 }),
    verifications,
    transient: true,
  };
  operation.checkpoint();
  await context.idKept;
  await repository.store.put(stateKey(id), encodeState(state));
  operation.committed = 'its manifest is being written';
  await repository.store.put(manifestKey(id), manifestBytes, {
    ifAbsent: true,
    beforeVisible: () => faultPoint('manifest-written'),
  });
  await faultPoint('manifest-renamed');
  await repository.catalog.reload(id);
  // The backup is there. What follows says so elsewhere, each for itself: they wait for the disk together.
  const told = (what: string) => (error: unknown) => log.warn(`${what} could not be written`, { id, error });
  await Promise.all([
    repository.catalog
      .updateState(id, true, (settled) => settled)
      .catch(told('that the manifest of a new backup has come')),
    repository.writeLatest().catch(told('latest')),
  ]);
}

/** Copies what the repository lacks. Returns the list of all files and the bytes that this backup added. */
async function storeFiles(
  context: CreateContext,
  cut: Cut,
  operation: Operation,
): Promise<{ list: FileList; storedBytes: number }> {
  const { repository, tableHashes } = context;
  operation.phase = 'plan';
  const damaged = damagedObjects(repository);
  const files: FileList['files'] = [];
  const missing: CutFile[] = [];
  const known: { file: CutFile; hash: string }[] = [];
  await forEachAtOnce(LOOKS_AT_ONCE, cut.files, async (file) => {
    const hash = file.table ? (file.sha256 ?? (await tableHashes.get(file.path))) : null;
    if (hash === null || damaged.has(hash)) missing.push(file);
    else known.push({ file, hash });
  });
  const stored = await repository.store.sizes(known.map(({ hash }) => fileKey(hash)));
  for (const [nth, { file, hash }] of known.entries()) {
    if (stored[nth] === file.sizeBytes) files.push({ name: file.name, size: file.sizeBytes, sha256: hash });
    else missing.push(file);
  }
  const bytesToCopy = missing.reduce((sum, file) => sum + file.sizeBytes, 0);
  requireSpace('the repository', repository.store.location, bytesToCopy, await repository.store.freeBytes());
  operation.phase = 'copy';
  operation.bytesTotal = bytesToCopy;
  let storedBytes = 0;
  // The first failure ends the others: what they copy would go again.
  const copying = new AbortController();
  const stop = (): void => copying.abort();
  const options = {
    signal: copying.signal,
    onProgress: operation.progress,
    replace: (hash: string) => damaged.has(hash),
  };
  const storeOne = async (file: CutFile): Promise<void> => {
    operation.checkpoint();
    const result = await repository.store.putFile(file.path, file.sizeBytes, fileKey, options);
    if (file.sha256 !== null && file.sha256 !== result.sha256) throw rotten(file, result.sha256);
    if (file.table && file.sha256 === null) await tableHashes.set(file.path, result.sha256);
    if (result.stored) storedBytes += result.sizeBytes;
    files.push({ name: file.name, size: result.sizeBytes, sha256: result.sha256 });
    await faultPoint('file-copied');
  };
  let failure: { error: unknown } | null = null;
  operation.signal.addEventListener('abort', stop, { once: true });
  try {
    await forEachAtOnce(
      COPIES_AT_ONCE,
      largestFirst(missing, (file) => file.sizeBytes),
      (file) =>
        storeOne(file).catch((error: unknown) => {
          failure ??= { error };
          stop();
          throw failure.error;
        }),
    );
  } finally {
    operation.signal.removeEventListener('abort', stop);
  }
  files.sort((a, b) => (a.name < b.name ? -1 : 1));
  return { list: { files }, storedBytes };
}

/** Objects whose last verification failed: a full stores them again instead of trusting that they are there. */
function damagedObjects(repository: Repository): Set<string> {
  const damaged = new Set<string>();
  for (const entry of repository.catalog.entries()) {
    for (const verdict of entry.state.verdicts) damaged.add(verdict.sha256);
  }
  return damaged;
}

function rotten(file: CutFile, actual: string): CairnError {
  const what = file.table ? `live table ${file.name}` : `staged file ${file.name}`;
  return new CairnError(
    'BACKUPFAILED',
    `the ${what} is damaged on disk: it was written with SHA-256 ${file.sha256}, now it has ${actual}`,
    {
      hint: file.table
        ? 'Restore the newest good backup in place, and check the disk. Nothing was listed, nothing was pruned.'
        : 'Check the disk, and try again. Nothing was listed, nothing was pruned.',
      details: { file: file.name, expected: file.sha256, actual },
    },
  );
}

const leftBehind = 'what a failed create left is still there: the next create, removal or start sweeps it';

/** After a failure: the half-made backup's state and objects go at once; what cannot be removed now is swept later. */
export async function cleanUp(repository: Repository, id: number, log: Log): Promise<void> {
  try {
    await repository.catalog.refresh();
    if (repository.catalog.get(id) !== null) return;
    // Should this fail: the state says that its manifest was to come, so it is garbage as well.
    await repository.store.delete(stateKey(id)).catch(() => undefined);
    const { refused, reason } = await collectGarbage(repository, log);
    if (reason !== null) log.warn(leftBehind, { id, refused, error: reason });
  } catch (error) {
    repository.hasLeftovers = true;
    log.warn(leftBehind, { id, error });
  }
}
