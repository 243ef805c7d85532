/** ADMIN.BACKUP commands that decide what stays: DELETE, PRUNE, PIN, UNPIN, ADOPTREPO. */
import type { RetentionPolicy } from '../backup/retention.js';
import { CairnError } from '../base/errors.js';
import { parseDuration } from '../config/units.js';
import { OK } from '../resp/reply.js';
import { adminCommand, replyOf, required } from './admin-call.js';
import type { ServerCommand } from './command.js';

const remove = adminCommand('admin.backup|delete', async (values, { services }) =>
  replyOf(await services.backup.delete(required(values.number('id'), 'id'), values.flag('force'))),
);

function maxAgeUs(text: string): number {
  try {
    return parseDuration(text) * 1000;
  } catch (error) {
    throw new CairnError('ERR', `MAXAGE '${text}' is not a duration: ${(error as Error).message}`, {
      hint: 'Write it with a unit, such as 90d or 12h; 0 is no limit.',
    });
  }
}

const prune = adminCommand('admin.backup|prune', async (values, { services }) => {
  const policy: Partial<RetentionPolicy> = {};
  const maxCount = values.number('maxcount');
  if (maxCount !== null) policy.maxCount = maxCount;
  const maxAge = values.word('maxage');
  if (maxAge !== null) policy.maxAgeUs = maxAgeUs(maxAge);
  return replyOf(await services.backup.prune(policy, values.flag('dryrun')));
});

const pin = adminCommand('admin.backup|pin', async (values, { services }) => {
  await services.backup.setPinned(required(values.number('id'), 'id'), true);
  return OK;
});

const unpin = adminCommand('admin.backup|unpin', async (values, { services }) => {
  await services.backup.setPinned(required(values.number('id'), 'id'), false);
  return OK;
});

const adoptrepo = adminCommand('admin.backup|adoptrepo', async (values, { services }) => {
  await services.backup.adoptRepository(required(values.word('repository-id'), 'repository-id'));
  return OK;
});

export const backupKeepCommands: readonly ServerCommand[] = [remove, prune, pin, unpin, adoptrepo];
