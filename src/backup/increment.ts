/**
 * CREATE INCREMENTAL, DIFFERENTIAL and AUTO: a manifest over files that are there and commits that are archived.
 *
 *   parent: the newest backup of this timeline (INCREMENTAL), the newest full (DIFFERENTIAL), or PARENT
 *     → its files are there → archive up to now (a segment ends there) → every commit since the files is there
 *     → [verify] → state → manifest
 *
 * The backup rests on the parent's files and on segments, never on the parent's manifest. What cannot be an increment is
 * no error here: the answer says why, and the caller makes a full, or fails under STRICT.
 */
import { formatTime } from '../base/time.js';
import { type BackupState, type FileList, iterateRecords, type Manifest } from '../format/index.js';
import type { Position } from '../keyspace/port.js';
import { disagreement } from './archive-count.js';
import type { ChainEnd } from './capture.js';
import type { BackupEntry } from './catalog.js';
import { type CreateContext, type CreateRequest, cleanUp, stateOf, writeManifest } from './create.js';
import type { Operation } from './operations.js';
import { notFound } from './removal.js';
import type { Repository } from './repository.js';
import { proveRecords, readKnownSegment } from './segment-object.js';
import type { SegmentEntry } from './segments.js';
import { checkFiles, checkSpan, joinedChecks, verificationOf } from './verify.js';

export interface IncrementRequest extends CreateRequest {
  type: 'incremental' | 'differential';
  /** null: the newest that fits. */
  parent: number | null;
}

/** Why it cannot be an increment. `gap`: commits are missing, rather than something to rest on. */
export interface Impossible {
  reason: string;
  gap: boolean;
}

interface Foundation {
  parent: BackupEntry & { manifest: Manifest };
  list: FileList;
  /** Where the files stand, and the full that they are of. */
  baseId: number | null;
  sequence: number;
  commitCount: number;
}

/** Makes backup `id`; null when its manifest is durable, else why it could not be made. Nothing is left then. */
export async function createIncrement(
  context: CreateContext,
  id: number,
  request: IncrementRequest,
  operation: Operation,
): Promise<Impossible | null> {
  const { repository, clock, log, archiver } = context;
  const startedUs = clock.nowUs();
  operation.phase = 'plan';
  await archiver.turn(() => archiver.ready(), operation.signal);
  await repository.segments.refresh();
  const found = await findFoundation(context, request, operation);
  if ('reason' in found) return found;
  operation.phase = 'archive';
  const { position, takenAtUs, end } = await archiveNow(context, operation);
  if (end.timeline !== found.parent.manifest.timeline) {
    return { reason: `the live timeline is ${end.timeline}, backup ${found.parent.id} is of another one`, gap: false };
  }
  const way = repository.segments.way(end.timeline, found.sequence, position.sequence);
  if (way === null || end.sequence !== position.sequence) return missingCommits(found, end);
  const release = repository.segments.hold(way.map(({ key }) => key));
  try {
    operation.checkpoint();
    const first = await firstCommit(repository, way[0], found.sequence);
    const reason = disagreement(end, position) ?? wrongStart(found, first ?? { commits: end.commits });
    if (reason !== null) return { reason, gap: false };
    const content = describe(found, way, { position, takenAtUs, end }, first);
    const cut = stateOf(position, context.live.kind);
    let verifications: BackupState['verifications'] = [];
    if (request.verify) {
      operation.phase = 'verify';
      operation.bytesTotal = content.size;
      const begun = clock.nowUs();
      const files = await checkFiles(repository, id, found.list, 'FULL', operation);
      const check = joinedChecks(
        files,
        await checkSpan(repository, { id, span: content.span, cut }, 'FULL', operation),
      );
      if (check.error !== null) throw check.error;
      verifications = [verificationOf('FULL', check, begun, clock.nowUs())];
    }
    operation.phase = 'manifest';
    await writeManifest(context, operation, startedUs, verifications, {
      id,
      type: request.type,
      label: request.label,
      ...content,
      cut,
      pin: request.pin,
      trigger: request.trigger,
    });
    return null;
  } catch (error) {
    await cleanUp(repository, id, log);
    throw error;
  } finally {
    release();
  }
}

/** The parent, and the files that it rests on, which must all be there. */
async function findFoundation(
  context: CreateContext,
  request: IncrementRequest,
  operation: Operation,
): Promise<Foundation | Impossible> {
  const { repository, directory } = context;
  const timeline = directory.live?.timeline ?? 0;
  const chosen = await currentParent(repository, () =>
    request.parent === null
      ? newestParent(repository, timeline, request.type)
      : explicitParent(repository, request.parent),
  );
  if (chosen === null) {
    const what = request.type === 'differential' ? 'full backup' : 'backup';
    return { reason: `there is no complete ${what} of timeline ${timeline} to rest on`, gap: false };
  }
  const { id, manifest, status } = chosen;
  const no = (reason: string): Impossible => ({ reason: `backup ${id} ${reason}`, gap: false });
  if (manifest === null) return no('has no readable manifest');
  if (status !== 'complete') return no(`is ${status}`);
  if (manifest.timeline !== timeline) return no(`is of timeline ${manifest.timeline}, the live one is ${timeline}`);
  if (request.type === 'differential' && manifest.type !== 'full') return no(`is ${manifest.type}, not full`);
  const list = await repository.catalog.fileList(chosen, { fresh: true }).catch(() => null);
  if (list === null) return no('has no readable file list');
  const check = await checkFiles(repository, id, list, 'QUICK', operation);
  if (check.error !== null) return no(`lacks files: ${check.error.message}`);
  const { span, cut } = manifest;
  return {
    parent: { ...chosen, manifest },
    list,
    baseId: span === null ? id : manifest.base,
    sequence: span?.sequence_from ?? manifest.sequence_to,
    commitCount: cut.commit_count - (span?.commit_count ?? 0),
  };
}

/** A parent that is as its files are now: the catalogue was brought up to them when the id was given, and that may be a while ago. */
async function currentParent({ catalog }: Repository, choose: () => BackupEntry | null): Promise<BackupEntry | null> {
  for (let chosen = choose(); chosen !== null; ) {
    await catalog.reload(chosen.id);
    const now = choose();
    if (now?.id === chosen.id) return now;
    chosen = now;
  }
  return null;
}

function newestParent(repository: Repository, timeline: number, type: IncrementRequest['type']): BackupEntry | null {
  return (
    repository.catalog
      .entries()
      .findLast(
        ({ status, manifest }) =>
          status === 'complete' &&
          manifest?.timeline === timeline &&
          (type === 'incremental' || manifest.type === 'full'),
      ) ?? null
  );
}

function explicitParent(repository: Repository, id: number): BackupEntry {
  const entry = repository.catalog.get(id);
  if (entry === null) throw notFound(id);
  return entry;
}

/** The moment of the backup: between two write groups, with everything up to there archived. */
function archiveNow(
  { live, archiver }: CreateContext,
  { signal }: Operation,
): Promise<{ position: Position; takenAtUs: number; end: ChainEnd }> {
  return archiver.turn(async () => {
    await archiver.ready();
    const { position, takenAtUs } = await live.pausedBetweenGroups(async (at, markUs) => ({
      position: at,
      takenAtUs: markUs,
    }));
    return { position, takenAtUs, end: await archiver.captureThrough(position, signal) };
  }, signal);
}

function missingCommits({ parent, sequence }: Foundation, end: ChainEnd): Impossible {
  return {
    reason: `commits since backup ${parent.id} (sequence ${sequence} of timeline ${end.timeline}) are not in the log any more`,
    gap: true,
  };
}

/** The files were taken when the database counted other than the archive does; null: they agree. */
function wrongStart({ parent, sequence, commitCount }: Foundation, first: { commits: number }): string | null {
  if (first.commits === commitCount) return null;
  return `at sequence ${sequence} the archive counts ${first.commits} commits, the files of backup ${parent.id} ${commitCount}`;
}

/** What the manifest says of parent, span and sizes. */
function describe(
  { parent, list, baseId, sequence, commitCount }: Foundation,
  way: readonly SegmentEntry[],
  now: { position: Position; takenAtUs: number; end: ChainEnd },
  first: FirstCommit | null,
) {
  const { position, takenAtUs, end } = now;
  const { timeline } = end;
  const filesSize = list.files.reduce((sum, file) => sum + file.size, 0);
  const isEmpty = sequence === position.sequence;
  return {
    parent: parent.id,
    base: baseId,
    timeline,
    sequence_from: parent.manifest.sequence_to,
    sequence_to: position.sequence,
    timestamp: formatTime(takenAtUs),
    files: list.files.length,
    size: filesSize + partBytes(way, sequence, position.sequence),
    stored_size: partBytes(way, parent.manifest.sequence_to, position.sequence),
    list: { sha256: parent.manifest.list.sha256, files: list.files.length, size: filesSize },
    span: {
      timeline,
      sequence_from: sequence,
      sequence_to: position.sequence,
      first_at: first === null ? null : formatTime(first.us),
      last_at: isEmpty ? null : formatTime(end.lastUs),
      commit_count: position.commitCount - commitCount,
      digest_from: first?.digest ?? end.digest,
      digest_to: end.digest,
    },
  };
}

/** The first commit that is not in the files. */
interface FirstCommit {
  us: number;
  /** Before it: the running digest and the commit count. */
  digest: string;
  commits: number;
}

/** null: there is none. */
async function firstCommit(
  repository: Repository,
  segment: SegmentEntry | undefined,
  sequence: number,
): Promise<FirstCommit | null> {
  if (segment === undefined) return null;
  const open = await readKnownSegment(repository, segment.key);
  const { header } = open;
  if (header.sequenceFrom === sequence) {
    return { us: header.firstUs, digest: header.digestFrom, commits: header.commitsBefore };
  }
  const before = await proveRecords(open, { sequence });
  const [next] = iterateRecords(open.bytes, before.offset, header.indexOffset);
  if (next === undefined) return null;
  const commits = header.commitsBefore + before.commits;
  return { us: next.timeUs, digest: before.digest.toString('hex'), commits };
}

/** What of the segments' bytes belongs to (from, to], a segment that reaches beyond counting in part. */
function partBytes(way: readonly SegmentEntry[], from: number, to: number): number {
  let bytes = 0;
  for (const segment of way) {
    const inside = Math.min(segment.to, to) - Math.max(segment.from, from);
    if (inside > 0) bytes += (segment.sizeBytes * inside) / (segment.to - segment.from);
  }
  return Math.round(bytes);
}
