/**
 * A power cut, simulated: after a kill -9 every file of the directory loses what was never made durable. Which bytes those are a
 * preloaded library notes while the server runs (synced-files.c). Names count as durable: what a rename or a removal did stays.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import type { Random } from '../../property/support/random.js';

const RECORD_BYTES = 24;
const SOURCE = join(process.cwd(), 'test', 'support', 'soak', 'synced-files.c');

export interface Cut {
  files: number;
  bytes: number;
  /** Paths relative to the directory. */
  names: string[];
}

/** Compiles the library that notes what is synced; the addon needs a compiler anyway. */
export function buildSyncedFiles(directory: string): string {
  const library = join(directory, 'synced-files.so');
  execFileSync('cc', ['-shared', '-fPIC', '-O2', '-o', library, SOURCE, '-ldl'], { stdio: ['ignore', 'pipe', 'pipe'] });
  return library;
}

export class SyncedFiles {
  readonly #synced = new Map<string, number>();

  constructor(
    private readonly library: string,
    /** Of one life of the server: `absorb` reads it when that has ended. */
    private readonly journal: string,
  ) {}

  get env(): Record<string, string> {
    // libuv may hand fsync to the kernel without calling libc.
    return { LD_PRELOAD: this.library, CAIRN_TEST_SYNCED_FILES: this.journal, UV_USE_IO_URING: '0' };
  }

  /** Takes over what a server noted that has ended. */
  absorb(): void {
    if (!existsSync(this.journal)) return;
    const bytes = readFileSync(this.journal);
    for (let at = 0; at + RECORD_BYTES <= bytes.length; at += RECORD_BYTES) {
      const [device, inode, length] = [0, 8, 16].map((offset) => bytes.readBigUInt64LE(at + offset));
      this.#synced.set(`${device} ${inode}`, Number(length));
    }
    truncateSync(this.journal);
  }

  /** The files of the directory that have more than is durable. */
  unsynced(directory: string): { path: string; durable: number; size: number }[] {
    return readdirSync(directory, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .flatMap((entry) => {
        const path = join(entry.parentPath, entry.name);
        const { dev, ino, size } = statSync(path, { bigint: true });
        const durable = this.#synced.get(`${dev} ${ino}`) ?? 0;
        return durable < Number(size) ? [{ path, durable, size: Number(size) }] : [];
      });
  }

  /** Takes what was not durable: all of it, or now and then of each file a part, as disks do. */
  cut(directory: string, random: Random, how: 'all' | 'as disks do' = 'as disks do'): Cut {
    const isAll = how === 'all' || !random.once(3);
    const cut: Cut = { files: 0, bytes: 0, names: [] };
    for (const { path, durable, size } of this.unsynced(directory)) {
      const kept = isAll ? durable : durable + random.int(size - durable + 1);
      if (kept === size) continue;
      truncateSync(path, kept);
      cut.files += 1;
      cut.bytes += size - kept;
      cut.names.push(`${path.slice(directory.length + 1)} ${size} → ${kept}`);
    }
    return cut;
  }
}
