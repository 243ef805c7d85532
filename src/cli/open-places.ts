/**
 * Directories and files that were there before, with more rights than we would have given them. What Cairn makes is private
 * to its user; what an operator made is the operator's to decide, and may be meant (a group that copies the repository). So
 * nothing is changed and nothing is refused: it is said, with the command that mends it.
 */
import { stat } from 'node:fs/promises';
import { ignoreMissing } from '../base/fs.js';
import type { ConfigService } from '../config/service.js';
import type { Log } from '../observability/log.js';

export async function warnOfOpenPlaces(config: ConfigService, log: Log): Promise<void> {
  const { values } = config;
  const directories = {
    'the data directory': values.data_dir ?? values.dir,
    'the repository': values['backup.dir'],
    'the restore directory': values.data_dir === null ? values['backup.restore_dir'] : null,
  };
  for (const [what, path] of Object.entries(directories)) {
    if (path !== null) await warnIfOpen(`${what} can be read by other users of this machine`, path, '-R go=', log);
  }
  const holdsSecret = values.requirepass !== '' && config.source('requirepass') === 'file';
  const files = {
    'the configuration file, which has a password in it,': holdsSecret ? config.file : null,
    'the file of users, which has hashes of passwords in it,': values.aclfile,
  };
  for (const [what, path] of Object.entries(files)) {
    if (path !== null) await warnIfOpen(`${what} can be read by other users of this machine`, path, 'go=', log);
  }
}

async function warnIfOpen(event: string, path: string, change: string, log: Log): Promise<void> {
  const status = await ignoreMissing(stat(path));
  if (status === undefined || (status.mode & 0o077) === 0) return;
  log.warn(event, { path, mode: (status.mode & 0o777).toString(8), mend: `chmod ${change} ${path}` });
}
