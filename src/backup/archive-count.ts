/**
 * Archive and database count commits each by itself: the archive what it reads from the log, the keyspace what it
 * writes. Replaying compares the two at every seam, so that an increment can only rest on counts that agree.
 *
 *   archive    ├──────────────● end.commits
 *   log                       ├── n commits ──● position
 *   agree: end.commits + n = position.commitCount
 *
 * A native database says itself how many commits it has. A raw one does not: after a kill, or once it was swapped away,
 * its logs may be gone and its file may be old. There the archive knows better, and the keyspace takes it from there.
 */
import { CairnError } from '../base/errors.js';
import type { Database } from '../engine/types.js';
import type { LivePort, Position } from '../keyspace/port.js';
import type { Log } from '../observability/log.js';
import type { ChainEnd } from './capture.js';

const READ_BYTES = 1 << 20;

/** Why nothing can rest on both, at one sequence; null: they agree there. */
export function disagreement(end: ChainEnd, { sequence, commitCount }: Position): string | null {
  if (end.sequence !== sequence || end.commits === commitCount) return null;
  const at = `at sequence ${sequence} of timeline ${end.timeline}`;
  return `${at} the archive counts ${end.commits} commits, the database ${commitCount}`;
}

/** Corrects the count of a raw keyspace that stood at `position`, where what is archived and the log tell it. */
export async function correctRawCount(
  { live, log }: { live: LivePort; log: Log },
  database: Database,
  end: ChainEnd,
  position: Position,
): Promise<void> {
  if (live.kind !== 'raw' || position.sequence < end.sequence) return;
  const since = await commitsSince(live, database, end, position.sequence);
  if (since === null) return;
  const missing = end.commits + since.commits - position.commitCount;
  const lastUs = Math.max(end.lastUs, since.lastUs);
  if (missing === 0 && lastUs <= position.lastCommitUs) return;
  const { timeline } = end;
  await live.exchange(async (at) => {
    if (at === null || live.database !== database) throw new CairnError('MISCONF', 'the database was lost meanwhile');
    const known = {
      ...at,
      lastCommitUs: Math.max(lastUs, at.lastCommitUs),
      commitCount: at.commitCount + missing,
    };
    return { database, timeline, kind: live.kind, position: known };
  });
  log.info('the raw keyspace takes its commit count from the archive', { timeline, missing, sequence: end.sequence });
}

/** Of the log, from the end of the archive to `sequence`; null: the log cannot tell. */
async function commitsSince(
  live: LivePort,
  database: Database,
  end: ChainEnd,
  sequence: number,
): Promise<{ commits: number; lastUs: number } | null> {
  const found = { commits: 0, lastUs: 0 };
  if (sequence === end.sequence) return found;
  const digest = Buffer.from(end.digest, 'hex');
  const reader = database.commitsSince(end.sequence, {
    ...{ timeline: end.timeline, digest, lastTimeUs: end.lastUs, mark: live.commitMark },
  });
  try {
    for (let at = end.sequence; at < sequence; ) {
      const framed = await reader.next(READ_BYTES, sequence);
      if (framed.count === 0) return null;
      at = framed.sequenceTo;
      found.commits += framed.count;
      found.lastUs = framed.lastTimeUs;
    }
    return found;
  } catch (error) {
    // A gap, or damage: capturing meets it too and says so.
    if (error instanceof CairnError) return null;
    throw error;
  } finally {
    await reader.close();
  }
}
