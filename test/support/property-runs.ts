/** How long a property is tried: CAIRN_RUNS multiplies the runs of the suite, CAIRN_SEED repeats what a failure printed. */
import type { Parameters } from 'fast-check';

export function propertyRuns(runs: number): Parameters<unknown> {
  const { CAIRN_SEED: seed, CAIRN_RUNS: times } = process.env;
  return { numRuns: runs * Number(times ?? 1), ...(seed !== undefined && { seed: Number(seed) }) };
}
