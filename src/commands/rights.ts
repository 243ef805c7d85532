/** Whether a client may run a request, with Redis's words for a no, and its line in ACL LOG. */
import type { DeniedContext } from '../acl/denials.js';
import type { Denial } from '../acl/selector.js';
import { CairnError } from '../base/errors.js';
import { describeClient } from './client.js';
import type { Services } from './command.js';
import type { Session } from './session.js';
import type { CommandSpec } from './spec.js';

interface Asked {
  readonly spec: CommandSpec;
  readonly argv: readonly Buffer[];
}

/** Before a request runs, or is queued. Throws NOPERM. Ask only where `session.account.unrestricted` says no. */
export function requireRights(services: Services, session: Session, asked: Asked): void {
  const denial = session.account.rights.check(asked.spec, asked.argv);
  if (denial === null) return;
  noteDenial(services, session, asked, denial, session.transaction === null ? 'toplevel' : 'multi');
  throw new CairnError(
    'NOPERM',
    denial.reason === 'command'
      ? `this user has no permissions to run the '${asked.spec.name}' command`
      : 'this user has no permissions to access one of the keys used as arguments',
  );
}

/** When EXEC comes to a queued request: its rights may be others than when it was queued. */
export function rightsAtExec(services: Services, session: Session, asked: Asked, note: boolean): CairnError | null {
  if (session.account.unrestricted) return null;
  const denial = session.account.rights.check(asked.spec, asked.argv);
  if (denial === null) return null;
  if (note) noteDenial(services, session, asked, denial, 'multi');
  const reason =
    denial.reason === 'command'
      ? 'no permission to execute the command or subcommand'
      : 'no permission to touch the specified keys';
  return new CairnError(
    'NOPERM',
    'ACLs rules changed between the moment the transaction was accumulated and the EXEC call. ' +
      `This command is no longer allowed for the following reason: ${reason}`,
  );
}

function noteDenial(
  { users }: Services,
  session: Session,
  { spec, argv }: Asked,
  denial: Denial,
  context: DeniedContext,
): void {
  users.denials.add({
    reason: denial.reason,
    context,
    object: denial.reason === 'key' ? (argv[denial.at] as Buffer) : Buffer.from(spec.name),
    user: session.user,
    client: describeClient(session, Date.now()),
  });
}
