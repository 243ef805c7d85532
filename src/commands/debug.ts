/** DEBUG looks into Redis's memory, and can end it: refused, as Redis refuses it unless its configuration allows it. */
import { CairnError } from '../base/errors.js';
import type { ServerCommand } from './command.js';

const refusal = new CairnError(
  'ERR',
  'DEBUG command not allowed. If the enable-debug-command option is set to "local", you can run it from a local ' +
    'connection, otherwise you need to set this option in the configuration file, and then restart the server.',
);

export const debugCommands: readonly ServerCommand[] = [
  {
    name: 'debug',
    kind: 'server',
    refused: refusal,
    run() {
      throw refusal;
    },
  },
];
