/**
 * The WAL from a sequence on, as RocksDB keeps it. The addon finds the batches and sees to it that RocksDB's log
 * iterator is never used wrongly; here a gap becomes WALGAP with both numbers, once the logs were looked through: a
 * damaged record looks like a gap to RocksDB, and is corruption, named by file and offset; so do logs that cannot be read, which
 * says nothing of what is in them.
 */
import { CairnError } from '../base/errors.js';
import type { NativeWalReader } from './addon.js';
import { findDamage, firstDamagedLog, type LogScan } from './log-scan.js';
import { engineError } from './status.js';
import type { WalBatch, WalReader } from './types.js';

export class DatabaseWalReader implements WalReader {
  readonly #native: NativeWalReader;
  readonly #path: string;
  #running: Promise<unknown> = Promise.resolve();

  constructor(native: NativeWalReader, path: string) {
    this.#native = native;
    this.#path = path;
  }

  next(maxBytes: number): Promise<WalBatch[]> {
    const result = this.#native.next(Math.max(1, Math.trunc(maxBytes))).catch(async (thrown: unknown) => {
      throw await explainWalError(thrown, this.#path);
    });
    this.#running = result.catch(() => undefined);
    return result;
  }

  async close(): Promise<void> {
    this.#native.close();
    await this.#running;
  }
}

/** What the addon threw while it read the WAL of the database at `path`: a gap or damage, or something else. */
export async function explainWalError(thrown: unknown, path: string): Promise<CairnError> {
  const gap = thrown instanceof Error ? /gap wanted=(\d+) found=(\d+)/.exec(thrown.message) : null;
  if (gap === null) return nameDamagedLog(engineError(thrown, `cannot read the WAL of ${path}`, path), path);
  const wanted = Number(gap[1]);
  const found = Number(gap[2]);
  let damage: LogScan | null = null;
  try {
    if (found === 0 || found > wanted) damage = await findDamage(path, wanted, found === 0 ? null : found);
  } catch (error) {
    // RocksDB takes a directory that it may not read for an empty one: nothing is known to be lost.
    return new CairnError('MISCONF', `the logs of ${path} cannot be read: ${(error as Error).message}`, {
      hint: 'Commits are archived when they can be read again; until then nothing is given up.',
      details: { kind: 'storage', path, wanted, found },
      cause: error,
    });
  }
  if (damage !== null) {
    const offset = damage.damage?.offset ?? 0;
    return new CairnError(
      'MISCONF',
      `commits from sequence ${wanted} on cannot be read: ${damage.path} is damaged at offset ${offset}`,
      {
        hint: 'Take a full backup now: the database may still hold in memory what the log has lost.',
        details: { kind: 'corruption', path, file: damage.path, offset, wanted, found },
        cause: thrown,
      },
    );
  }
  return new CairnError('WALGAP', gapText(wanted, found, path), {
    hint: 'Take a full backup: it needs no log.',
    details: { kind: 'gap', path, wanted, found },
    cause: thrown,
  });
}

/** RocksDB looks at the head of every log, also of those that nobody asked for, and does not say which one it could not read. */
export async function nameDamagedLog(error: CairnError, path: string): Promise<CairnError> {
  if (error.details.kind !== 'corruption') return error;
  const scan = await firstDamagedLog(path).catch(() => null);
  if (scan === null) return error;
  const offset = scan.damage?.offset ?? 0;
  return new CairnError(error.code, `${error.message}: ${scan.path} is damaged at offset ${offset}`, {
    hint: 'If its commits are archived (recovery_gaps in INFO backup is 0) it goes by itself at the next tick; otherwise restore the newest good backup.',
    details: { ...error.details, file: scan.path, offset },
    cause: error,
  });
}

/** found 0: nothing at or after it; found < wanted: the database ends there. */
function gapText(wanted: number, found: number, path: string): string {
  if (found > wanted)
    return `commits from sequence ${wanted} up to ${found - 1} are not in the WAL of ${path}, which goes on at ${found}`;
  if (found === 0) return `commits from sequence ${wanted} on are not in the WAL of ${path}`;
  return `commits from sequence ${wanted} on were asked for, but ${path} ends at sequence ${found}`;
}
