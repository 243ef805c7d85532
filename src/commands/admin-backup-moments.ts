/** ADMIN.BACKUP commands about moments between backups: TAG, TAGS, UNTAG, WINDOW. */
import { CairnError } from '../base/errors.js';
import { isLabel, MAX_LABEL_BYTES } from '../format/index.js';
import { OK } from '../resp/reply.js';
import { adminCommand, replyOf, required, type Values } from './admin-call.js';
import type { ServerCommand } from './command.js';

function tagName(values: Values): string {
  const name = required(values.word('name'), 'name');
  if (name !== '' && isLabel(name)) return name;
  throw new CairnError(
    'ERR',
    `a tag has 1 to ${MAX_LABEL_BYTES} bytes and no control characters, this one has ${Buffer.byteLength(name)} bytes`,
    { hint: 'Choose a short, printable name.' },
  );
}

const tag = adminCommand('admin.backup|tag', async (values, { services }) =>
  replyOf(await services.backup.tag(tagName(values))),
);

const tags = adminCommand('admin.backup|tags', async (_values, { services }) => replyOf(await services.backup.tags()));

const untag = adminCommand('admin.backup|untag', async (values, { services }) => {
  await services.backup.untag(required(values.word('name'), 'name'));
  return OK;
});

const window = adminCommand('admin.backup|window', async (_values, { services }, json) => {
  const windows = await services.backup.window();
  return replyOf(json ? { windows } : windows);
});

export const backupMomentCommands: readonly ServerCommand[] = [tag, tags, untag, window];
