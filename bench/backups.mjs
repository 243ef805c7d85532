/** What the cases about backups share: where things lie, and a server on data that does not change by itself. */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fill, untilCompacted } from './data.mjs';
import { startCairn } from './peers.mjs';

export const THREADS = 2;

export function withRepository(path, archive = 'no') {
  return ['--backup-dir', path, '--set', `backup.wal.archive=${archive}`];
}

export function liveDirectory(dir) {
  // The highest number is the live one: every restore in place makes the next.
  const name = readdirSync(dir)
    .filter((entry) => /^db-\d+$/.test(entry))
    .sort()
    .at(-1);
  if (name === undefined) throw new Error(`${dir} has no db-* directory`);
  return join(dir, name);
}

/** A data directory with about so many bytes, at rest; answers the number of keys. */
export async function makeData(dir, sizeBytes, unused) {
  const server = await startCairn(dir, withRepository(unused));
  const client = await server.client();
  const keys = await fill(client, sizeBytes);
  await untilCompacted(liveDirectory(dir));
  client.disconnect();
  await server.stop();
  return keys;
}

export function sizeOf(directory, only = () => true) {
  return readdirSync(directory)
    .filter(only)
    .reduce((sum, name) => sum + statSync(join(directory, name)).size, 0);
}

export const isTable = (name) => name.endsWith('.sst');
