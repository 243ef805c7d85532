/** Which commands count in keyspace_hits and keyspace_misses: those that read, and the few that write what they have read. */
import { allSpecs, type CommandSpec } from './spec.js';

const alsoReading = new Set(['getdel', 'getex', 'getset', 'bitop', 'copy']);
const counting: ReadonlySet<CommandSpec> = new Set(
  allSpecs().filter(({ name, flags }) => flags.has('readonly') || alsoReading.has(name)),
);

export function countsLookups(spec: CommandSpec): boolean {
  return counting.has(spec);
}
