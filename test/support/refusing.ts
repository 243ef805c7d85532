/** Directories and files that the system does not let go of, root or not: chattr +a and +i, as a WORM store would refuse. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Owner } from './owner.js';

/** A reason to skip, or false. */
export const cannotRefuse: string | false = canRefuse() ? false : 'chattr needs root and a file system that knows it';

function canRefuse(): boolean {
  const directory = mkdtempSync(join(tmpdir(), 'cairn-chattr-'));
  try {
    execFileSync('chattr', ['+a', directory], { stdio: 'ignore' });
    execFileSync('chattr', ['-a', directory], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** Until the returned function is called, names can be added to these directories and none can be taken away or replaced. */
export function refuseRemovals(t: Owner, ...directories: string[]): () => void {
  return withAttribute(t, 'a', directories);
}

/** Until the returned function is called, these files can neither be changed nor removed. */
export function makeImmutable(t: Owner, ...files: string[]): () => void {
  return withAttribute(t, 'i', files);
}

function withAttribute(t: Owner, attribute: 'a' | 'i', paths: string[]): () => void {
  execFileSync('chattr', [`+${attribute}`, ...paths]);
  let isSet = true;
  const release = (): void => {
    if (!isSet) return;
    isSet = false;
    execFileSync('chattr', [`-${attribute}`, ...paths]);
  };
  t.teardown(release);
  return release;
}
