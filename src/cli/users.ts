/**
 * Who may come in, before anything else is opened: the users of the aclfile, or the default user with `requirepass`. A
 * file that cannot be used stops the start like a wrong setting: a server without the rules that it was given would be
 * open to the wrong people.
 */
import { AclFile, AclFileError } from '../acl/file.js';
import { Users } from '../acl/users.js';
import { allSpecs, lookup } from '../commands/spec.js';
import type { ConfigService } from '../config/service.js';
import { ConfigError } from '../config/sources.js';
import type { Log } from '../observability/log.js';

export interface OpenedUsers {
  users: Users;
  aclFile: AclFile | null;
}

/** Throws ConfigError. */
export async function openUsers(config: ConfigService, log: Log): Promise<OpenedUsers> {
  const { aclfile, requirepass } = config.values;
  const users = new Users({
    catalogue: { lookup, all: allSpecs },
    defaultPassword: requirepass,
    maxDenials: () => config.values.acllog_max_len,
  });
  config.onChange('requirepass', (hash) => users.setDefaultPassword(hash));
  if (aclfile === null) return { users, aclFile: null };
  const aclFile = new AclFile(aclfile);
  try {
    await aclFile.load(users);
  } catch (error) {
    const problems = error instanceof AclFileError ? error.problems : [(error as Error).message];
    throw new ConfigError(problems.map((problem) => `aclfile: ${problem}`));
  }
  const { passwords } = users.default.rights;
  if (requirepass !== '' && !passwords.includes(requirepass)) {
    log.warn('requirepass has no effect: the aclfile describes the default user otherwise', { file: aclfile });
  }
  return { users, aclFile };
}
