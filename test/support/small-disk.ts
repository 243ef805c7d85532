/** A real file system of limited size: the only honest ENOSPC. Needs root (a tmpfs mount); tests skip without it. */
import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdirSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { scratch } from './scratch.js';

/** A reason to skip, or false. */
export const cannotMount: string | false = process.getuid?.() === 0 && mounts() ? false : 'mounting needs root';

function mounts(): boolean {
  try {
    execFileSync('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'none', '/mnt'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

export interface SmallDisk {
  path: string;
  freeBytes(): number;
  /** Leaves this many bytes free; `free()` takes it back. */
  fillUpTo(freeBytes: number): void;
  free(): void;
}

/** Mounted for the test, unmounted at its end. */
export function smallDisk(t: Test, megabytes: number): SmallDisk {
  const path = join(scratch(t), 'disk');
  mkdirSync(path);
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'none', path]);
  t.teardown(() => execFileSync('umount', ['-l', path]));
  const freeBytes = (): number => {
    const { bavail, bsize } = statfsSync(path);
    return bavail * bsize;
  };
  const ballast = join(path, 'ballast');
  return {
    path,
    freeBytes,
    // Appended: the room must not be free for a moment in between. Who writes meanwhile may take the last of it.
    fillUpTo(bytes) {
      try {
        appendFileSync(ballast, Buffer.alloc(Math.max(0, freeBytes() - bytes)));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
      }
    },
    free: () => writeFileSync(ballast, ''),
  };
}
