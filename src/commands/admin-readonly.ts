/** ADMIN.READONLY: stops writes, resumes them after a check, tells how it stands. */
import { OK, record } from '../resp/reply.js';
import { adminCommand } from './admin-call.js';
import type { ServerCommand } from './command.js';

const readonly = adminCommand('admin.readonly', async (values, { services }) => {
  const { keyspace } = services;
  const mode = values.word('action');
  if (mode === 'ON' || mode === 'OFF') {
    await keyspace.setReadOnly(mode === 'ON');
    return OK;
  }
  const refused = keyspace.writesRefused ?? keyspace.unavailable;
  const reason = refused === null ? null : refused.code === 'READONLY' ? 'command' : refused.line;
  return record({ readonly: refused === null ? 0 : 1, reason });
});

export const readonlyCommands: readonly ServerCommand[] = [readonly];
