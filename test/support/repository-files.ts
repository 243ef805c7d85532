/** A repository as files: what lies in it, and damage done to it byte by byte. */
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Every object's key, sorted; locks and other hidden files are none. */
export function objectKeys(repository: string, prefix = ''): string[] {
  return readdirSync(repository, { recursive: true })
    .map(String)
    .filter((key) => key.startsWith(prefix) && key !== 'LOCK' && statSync(join(repository, key)).isFile())
    .sort();
}

export function manifestPath(repository: string, id: number): string {
  return join(repository, 'backups', `${String(id).padStart(8, '0')}.json`);
}

export function statePath(repository: string, id: number): string {
  return join(repository, 'states', `${String(id).padStart(8, '0')}.json`);
}

export function objectPath(repository: string, sha256: string): string {
  return join(repository, 'files', sha256.slice(0, 2), sha256);
}

/** Inverts one bit; `offset` counts from the end when negative. */
export function flipBit(path: string, offset: number): void {
  const bytes = readFileSync(path);
  const at = offset < 0 ? bytes.length + offset : offset;
  bytes[at] = (bytes[at] ?? 0) ^ 0x01;
  writeFileSync(path, bytes);
}
