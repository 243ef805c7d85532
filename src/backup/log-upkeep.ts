/**
 * The logs that RocksDB has done with: it archives every one and purges none, so that capture decides what may go.
 *
 *   archived logs, oldest first   │ 1 … 90 │ 91 … 400 │ 401 … 780 │   live log
 *   archived through 400                       ▲ holds the last archived commit: stays, the next start compares it
 *                                 └ goes
 *
 * Only the oldest may go, so that no hole comes about. At `wal.spool_max` the oldest go whatever rests on them: a full
 * data disk would stop the service, a closed window does not.
 */
import { archivedLogs, logBytes, unlinkArchivedLog } from '../engine/index.js';
import type { Database } from '../engine/types.js';

export interface LogUpkeep {
  removed: number;
  /** Commits up to this sequence went although nobody has them archived; null: none did. */
  lostThrough: number | null;
}

/**
 * `needFrom`: the logs from the one that holds this sequence on are needed; null: none is. `maxBytes` 0: no limit.
 * `archivedThrough`: what goes up to there is no loss.
 */
export async function keepLogs(
  database: Database,
  policy: { needFrom: number | null; archivedThrough: number | null; maxBytes: number },
): Promise<LogUpkeep> {
  const { needFrom, archivedThrough, maxBytes } = policy;
  const logs = await archivedLogs(database);
  const result: LogUpkeep = { removed: 0, lostThrough: null };
  if (logs.length === 0) return result;
  const bytes = await logBytes(database);
  let excess = maxBytes === 0 ? 0 : bytes.live + bytes.archived - maxBytes;
  for (const [i, log] of logs.entries()) {
    const next = logs.slice(i + 1).find((later) => later.firstSequence !== null)?.firstSequence ?? null;
    const unneeded = needFrom === null || (next !== null && next <= needFrom);
    if (!unneeded && excess <= 0) break;
    await unlinkArchivedLog(database, log.name);
    result.removed += 1;
    excess -= log.sizeBytes;
    if (unneeded || log.firstSequence === null) continue;
    const through = next === null ? database.latestSequence() : next - 1;
    if (archivedThrough === null || through > archivedThrough) result.lostThrough = through;
  }
  return result;
}
