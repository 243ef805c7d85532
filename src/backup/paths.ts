/** Where a repository and restored directories may be, checked once at the start: a backup inside the data that it protects is none. */
import { realpath, stat } from 'node:fs/promises';
import { dirname, join, parse, sep } from 'node:path';
import { CairnError } from '../base/errors.js';
import { isRocksDirectory } from './data-directory.js';

/** Throws ERR when `repository` is the root, a file, the data directory itself, one of its parents, or inside a RocksDB directory. */
export async function checkRepositoryPath(repository: string, dataDirectory: string): Promise<void> {
  const path = await resolvedPath(repository);
  const data = await resolvedPath(dataDirectory);
  const refuse = (why: string): CairnError =>
    new CairnError('ERR', `backup.dir '${repository}' cannot be used: ${why}`, {
      hint: 'Choose a directory of its own, best on another disk.',
    });
  if (path === parse(path).root) throw refuse('it is the root of the file system');
  if (path === data) throw refuse('it is the data directory itself');
  if (data.startsWith(path + sep)) throw refuse(`the data directory ${data} is inside it`);
  const status = await stat(path).catch(() => null);
  if (status !== null && !status.isDirectory()) throw refuse('it is not a directory');
  for (let at = path; at !== parse(at).root; at = dirname(at)) {
    if (await isRocksDirectory(at)) throw refuse(`${at} is a RocksDB directory`);
    if (dirname(at) === data && /^db-[0-9]/.test(at.slice(data.length + 1)))
      throw refuse(`${at} is a database of this server`);
  }
}

/**
 * Throws ERR when `restores` is the data directory itself, the repository or inside it, or inside a RocksDB directory, all links
 * followed: a restored directory would be taken for one of theirs. One that is above them is a place like any.
 */
export async function checkRestorePath(
  restores: string,
  dataDirectory: string,
  repository: string | null,
): Promise<void> {
  const path = await resolvedPath(restores);
  const refuse = (why: string): CairnError =>
    new CairnError('ERR', `backup.restore_dir '${restores}' cannot be used: ${why}`, {
      hint: 'Choose a directory of its own.',
    });
  if (path === (await resolvedPath(dataDirectory))) throw refuse('it is the data directory itself');
  if (repository !== null) {
    const objects = await resolvedPath(repository);
    if (path === objects || path.startsWith(objects + sep)) throw refuse(`it is in the repository ${objects}`);
  }
  const status = await stat(path).catch(() => null);
  if (status !== null && !status.isDirectory()) throw refuse('it is not a directory');
  for (let at = path; at !== parse(at).root; at = dirname(at)) {
    if (await isRocksDirectory(at)) throw refuse(`${at} is a RocksDB directory`);
  }
}

/** The path with all links followed, also where its last parts do not exist yet. */
async function resolvedPath(path: string): Promise<string> {
  const missing: string[] = [];
  for (let at = path; ; at = dirname(at)) {
    const real = await realpath(at).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return null;
      throw new CairnError('ERR', `${path} cannot be used: ${error.message}`, { cause: error });
    });
    if (real !== null) return join(real, ...missing);
    missing.unshift(at.slice(dirname(at).length).replace(/^[/\\]+/, ''));
    if (dirname(at) === at) return path;
  }
}

/** True when both are on one device: a disk that dies takes data and backups together. Paths need not exist yet. */
export async function onSameDevice(a: string, b: string): Promise<boolean> {
  return (await deviceOf(a)) === (await deviceOf(b));
}

async function deviceOf(path: string): Promise<number> {
  for (let at = path; ; at = dirname(at)) {
    const status = await stat(at).catch(() => null);
    if (status !== null) return status.dev;
    if (dirname(at) === at) return -1;
  }
}
