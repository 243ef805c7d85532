/**
 * Which backups go and which stay. Pure: a list and a policy in, a decision with its reason for each backup out.
 *
 *   1. pinned ones stay, and so do those that an operation uses
 *   2. only complete ones count and only complete ones can go (running, incomplete, corrupt: neither)
 *   3. of the complete, unpinned ones the newest `maxCount` stay
 *   4. of those, the ones older than `maxAgeUs` go; one that is dated in the future stays
 *   5. the newest complete one always stays
 *
 * Order is by id, age by the time at which the backup was finished. 0 means no limit.
 */
export interface RetentionEntry {
  id: number;
  status: 'complete' | 'running' | 'incomplete' | 'corrupt';
  pinned: boolean;
  finishedAtUs: number | null;
  /** Busy with this, e.g. "verify"; null: free. */
  usedBy: string | null;
  /** The base of the recovery window: stays and is not counted. */
  windowBase?: boolean;
}

export interface RetentionPolicy {
  maxCount: number;
  maxAgeUs: number;
}

export interface RetentionDecision {
  id: number;
  action: 'keep' | 'delete';
  reason: 'pinned' | 'window' | 'newest' | 'in_use' | 'not_complete' | 'policy' | 'max_count' | 'max_age';
}

/** Decisions for all entries, newest first. */
export function decideRetention(
  entries: readonly RetentionEntry[],
  policy: RetentionPolicy,
  nowUs: number,
): RetentionDecision[] {
  const newestFirst = [...entries].sort((a, b) => b.id - a.id);
  const newestComplete = newestFirst.find((entry) => entry.status === 'complete')?.id ?? null;
  let counted = 0;
  return newestFirst.map((entry): RetentionDecision => {
    const keep = (reason: RetentionDecision['reason']): RetentionDecision => ({
      id: entry.id,
      action: 'keep',
      reason,
    });
    const drop = (reason: RetentionDecision['reason']): RetentionDecision =>
      entry.usedBy === null ? { id: entry.id, action: 'delete', reason } : keep('in_use');
    if (entry.pinned) return keep('pinned');
    if (entry.status !== 'complete') return keep('not_complete');
    if (entry.windowBase === true) return keep('window');
    counted += 1;
    if (entry.id === newestComplete) return keep('newest');
    if (policy.maxCount > 0 && counted > policy.maxCount) return drop('max_count');
    const ageUs = entry.finishedAtUs === null ? 0 : nowUs - entry.finishedAtUs;
    if (policy.maxAgeUs > 0 && ageUs > policy.maxAgeUs) return drop('max_age');
    return keep('policy');
  });
}
