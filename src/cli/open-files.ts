/**
 * How many clients fit under the system's limit of open files. Node has raised the soft limit to the hard one before the
 * first line of this program; what it got is the limit that counts. A part of it is kept for what is not a client:
 * RocksDB's tables and logs, the repository, the listeners. When clients took those too, the first flush would fail.
 */
const LEAST_RESERVED = 160;
/** Where the system has no limit. */
const RESERVED = 1024;

/** Infinity where the system has no limit, or does not say. */
export function openFilesLimit(): number {
  const { userLimits } = process.report.getReport() as { userLimits?: { open_files?: { soft?: unknown } } };
  const soft = userLimits?.open_files?.soft;
  return typeof soft === 'number' ? soft : Number.POSITIVE_INFINITY;
}

/** A quarter of the limit is kept, most of it for tables (native/options.cc), but never next to nothing. */
export function reservedFiles(limit: number): number {
  return Number.isFinite(limit) ? Math.max(LEAST_RESERVED, Math.ceil(limit / 4)) : RESERVED;
}

/** Clients that fit under the limit; may be 0 or less. */
export function clientsThatFit(limit: number): number {
  return limit - reservedFiles(limit);
}
