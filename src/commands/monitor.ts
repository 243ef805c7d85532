/** MONITOR: this connection is shown every command that runs. */
import { CairnError } from '../base/errors.js';
import { NO_REPLY, OK } from '../resp/reply.js';
import type { Command } from './command.js';

export const monitorCommands: readonly Command[] = [
  {
    name: 'monitor',
    kind: 'server',
    run({ session, services }) {
      // As Redis: who monitors already is not answered.
      if (session.monitoring) return NO_REPLY;
      services.server.monitor(session);
      return OK;
    },
    runQueued() {
      throw new CairnError('ERR', "MONITOR isn't allowed for DENY BLOCKING client");
    },
  },
  { name: 'role', kind: 'server', run: () => ['master', 0, []] },
];
