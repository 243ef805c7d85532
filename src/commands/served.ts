/**
 * Whether a command answers while data is not served. Two states differ, and two flags of protocol/ tell them apart:
 *
 *   LOADING   a restored database is being swapped in; only what carries `loading` answers, the rest may be retried
 *   MISCONF   no database is open; what carries `stale` answers too: RESTORE is the way out of this state
 */
import type { CairnError } from '../base/errors.js';
import type { CommandSpec } from './spec.js';

/** unavailable: the keyspace's. */
export function isServed(spec: CommandSpec, unavailable: CairnError | null): boolean {
  if (unavailable === null) return true;
  return spec.flags.has(unavailable.code === 'LOADING' ? 'loading' : 'stale');
}
