/** A repository as files: what lies in it, and damage done to it byte by byte. */
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { admin, list } from './admin.js';

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

/** Objects below files/ that no listed backup names. */
export async function unreferencedFiles(client: Redis, repository: string): Promise<string[]> {
  const named = new Set<string>();
  for (const { id } of (await list(client, 'STATUS', 'all')).backups) {
    const { files_list } = await admin<{ files_list: { sha256: string }[] | null }>(client, 'INFO', id);
    for (const { sha256 } of files_list ?? []) named.add(sha256);
  }
  return objectKeys(repository, 'files/').filter((key) => !named.has(key.slice(-64)));
}
