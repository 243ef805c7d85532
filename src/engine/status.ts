/**
 * RocksDB's Status → CairnError. `details.kind` says what a caller may have to tell apart; callers that know what they
 * were doing wrap it in a more specific code.
 *
 *   NoSpace, SpaceLimit         NOSPACE   kind no-space
 *   lock held                   MISCONF   kind locked
 *   Corruption                  MISCONF   kind corruption
 *   closed, shutting down       MISCONF   kind closed
 *   no such database            MISCONF   kind missing
 *   a gap in the WAL            WALGAP    kind gap       (wal-reader.ts)
 *   not where records begin     MISCONF   kind sequence  (commits.ts)
 *   anything else               MISCONF   kind storage, or invalid for a wrong argument
 */
import { CairnError } from '../base/errors.js';
import type { NativeStatus } from './addon.js';

export type EngineErrorKind =
  | 'no-space'
  | 'locked'
  | 'corruption'
  | 'closed'
  | 'missing'
  | 'gap'
  | 'sequence'
  | 'invalid'
  | 'unsupported'
  | 'busy'
  | 'storage';

// In the order of rocksdb/status.h.
const CODES = [
  'ok',
  'not-found',
  'corruption',
  'not-supported',
  'invalid-argument',
  'io-error',
  'merge-in-progress',
  'incomplete',
  'shutdown-in-progress',
  'timed-out',
  'aborted',
  'busy',
  'expired',
  'try-again',
  'compaction-too-large',
  'column-family-dropped',
];
const SUBCODES = [
  'none',
  'mutex-timeout',
  'lock-timeout',
  'lock-limit',
  'no-space',
  'deadlock',
  'stale-file',
  'memory-limit',
  'space-limit',
  'path-not-found',
  'merge-operands-insufficient-capacity',
  'manual-compaction-paused',
  'overwritten',
  'txn-not-prepared',
  'io-fenced',
];
const SEVERITIES = ['none', 'soft', 'hard', 'fatal', 'unrecoverable'];

/** The status of an error that the addon threw, or undefined when it is some other error. */
export function statusOf(thrown: unknown): NativeStatus | undefined {
  if (!(thrown instanceof Error)) return undefined;
  return (thrown as Error & { status?: NativeStatus }).status;
}

/** What the addon threw, typed. `doing` begins the sentence: "cannot open /data/db-000001". */
export function engineError(thrown: unknown, doing: string, path: string): CairnError {
  if (thrown instanceof CairnError) return thrown;
  const status = statusOf(thrown);
  const reason = thrown instanceof Error ? thrown.message : String(thrown);
  if (status === undefined) {
    return new CairnError('MISCONF', `${doing}: ${reason}`, {
      cause: thrown,
      details: { kind: 'storage', path },
    });
  }
  const code = CODES[status.code] ?? `code-${status.code}`;
  const subcode = SUBCODES[status.subcode] ?? `subcode-${status.subcode}`;
  const kind = kindOf(code, subcode, reason);
  const details = {
    kind,
    path,
    status: code,
    subcode,
    severity: SEVERITIES[status.severity] ?? 'none',
  };
  switch (kind) {
    case 'no-space':
      return new CairnError('NOSPACE', `${doing}: the disk is full (${reason})`, {
        hint: 'Free disk space.',
        details,
        cause: thrown,
      });
    case 'locked':
      return new CairnError('MISCONF', `${doing}: ${path} is locked by another process`, {
        hint: 'Only one server may use a directory: stop the other one, or name another directory.',
        details,
        cause: thrown,
      });
    case 'closed':
      return new CairnError('MISCONF', `${doing}: the database ${path} is closed`, { details, cause: thrown });
    default:
      return new CairnError('MISCONF', `${doing}: ${reason}`, {
        details,
        cause: thrown,
      });
  }
}

function kindOf(code: string, subcode: string, reason: string): EngineErrorKind {
  if (subcode === 'no-space' || subcode === 'space-limit') return 'no-space';
  if (code === 'io-error' && /lock (hold|held) by|while lock file/i.test(reason)) return 'locked';
  if (code === 'corruption') return 'corruption';
  if (code === 'shutdown-in-progress') return 'closed';
  if (subcode === 'path-not-found' || /does not exist/.test(reason)) return 'missing';
  if (code === 'not-supported') return 'unsupported';
  if (code === 'invalid-argument') return 'invalid';
  if (code === 'busy') return 'busy';
  return 'storage';
}
