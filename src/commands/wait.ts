/** WAIT: how many replicas have what was written. There are none, so the answer is known at once. */
import { CairnError } from '../base/errors.js';
import type { ServerCommand } from './command.js';
import { integer, readInteger } from './integers.js';

export const waitCommands: readonly ServerCommand[] = [
  {
    name: 'wait',
    kind: 'server',
    run({ args }) {
      const [replicas, timeoutText] = args as [Buffer, Buffer];
      integer(replicas);
      const timeout = readInteger(timeoutText);
      if (timeout === null) throw new CairnError('ERR', 'timeout is not an integer or out of range');
      if (timeout < 0) throw new CairnError('ERR', 'timeout is negative');
      return 0;
    },
  },
];
