/** ADMIN.BACKUP commands that look: LIST, INFO, STATUS, WAIT, and CANCEL beside them. */

import type { BackupStatus } from '../backup/records.js';
import type { BackupReference, ListFilter } from '../backup/service.js';
import { CairnError } from '../base/errors.js';
import { globMatch } from '../base/glob.js';
import { DAY_US, parseTime } from '../base/time.js';
import { parseDuration } from '../config/units.js';
import { adminCommand, replyOf, required, type Values } from './admin-call.js';
import type { ServerCommand } from './command.js';

/** A bare date means its first microsecond for SINCE, its last for UNTIL and BEFORE. */
function bound(values: Values, name: string, end: boolean): number | undefined {
  const text = values.word(name);
  if (text === null) return undefined;
  const { us, bareDate } = parseTime(text);
  return end && bareDate ? us + DAY_US - 1 : us;
}

function filterOf(values: Values): ListFilter {
  const filter: ListFilter = {};
  const type = values.word('type');
  if (type !== null) filter.type = type.toLowerCase();
  const status = values.word('status');
  if (status !== null) filter.status = status.toLowerCase() as BackupStatus | 'all';
  const glob = values.word('label');
  if (glob !== null) {
    const pattern = Buffer.from(glob);
    filter.label = (label) => globMatch(pattern, Buffer.from(label));
  }
  const since = bound(values, 'since', false);
  if (since !== undefined) filter.sinceUs = since;
  const ends = [bound(values, 'until', true), bound(values, 'before', true)].filter((us) => us !== undefined);
  if (ends.length > 0) filter.untilUs = Math.min(...ends);
  filter.offset = values.number('offset') ?? 0;
  const limit = values.number('limit');
  // 0 means no limit, everywhere.
  if (limit !== null && limit > 0) filter.limit = limit;
  return filter;
}

const list = adminCommand('admin.backup|list', async (values, { services }, json) => {
  const found = await services.backup.list(filterOf(values));
  return replyOf(json ? found : found.backups);
});

const info = adminCommand('admin.backup|info', async (values, { services }) =>
  replyOf(await services.backup.info(required(values.either('id'), 'id') as BackupReference)),
);

const status = adminCommand('admin.backup|status', async (values, { services }) =>
  replyOf(await services.backup.status(values.number('id'))),
);

/** A timeout is a duration with a unit; a bare number counts seconds, as in Redis's blocking commands. 0: for ever. */
function timeoutMs(text: string | null): number {
  if (text === null) return 0;
  if (/^\d{1,12}$/.test(text)) return Math.min(Number(text) * 1000, 2 ** 31 - 1);
  try {
    return Math.min(parseDuration(text), 2 ** 31 - 1);
  } catch (error) {
    throw new CairnError('ERR', `timeout '${text}' is not a time: ${(error as Error).message}`, {
      hint: 'Use seconds, or a duration such as 30s; 0 waits for ever.',
    });
  }
}

const wait = adminCommand('admin.backup|wait', async (values, { services, session }) => {
  const ms = timeoutMs(values.word('timeout'));
  const stop = new AbortController();
  session.waiting = { unblock: (error) => stop.abort(error) };
  try {
    return replyOf(await services.backup.wait(required(values.number('id'), 'id'), ms, stop.signal));
  } finally {
    session.waiting = null;
  }
});

const cancel = adminCommand('admin.backup|cancel', async (values, { services }) =>
  replyOf(await services.backup.cancel(values.number('id'))),
);

export const backupLookCommands: readonly ServerCommand[] = [list, info, status, wait, cancel];
