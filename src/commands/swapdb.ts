/** SWAPDB: two databases exchange their names. No key moves, so it costs the same for any number of them. */
import { CairnError } from '../base/errors.js';
import { OK } from '../resp/reply.js';
import type { DataCommand } from './command.js';
import { readInteger } from './integers.js';

const swapdb: DataCommand = {
  name: 'swapdb',
  kind: 'data',
  run(tx, args, { databases }) {
    const [first, second] = [indexOf(args[0] as Buffer, 'first'), indexOf(args[1] as Buffer, 'second')];
    if ([first, second].some((index) => index < 0 || index >= databases)) {
      throw new CairnError('ERR', 'DB index is out of range');
    }
    tx.swap(first, second);
    return OK;
  },
};

function indexOf(text: Buffer, which: string): number {
  const index = readInteger(text);
  if (index === null || index < -(2 ** 31) || index >= 2 ** 31)
    throw new CairnError('ERR', `invalid ${which} DB index`);
  return Number(index);
}

export const swapdbCommands: readonly DataCommand[] = [swapdb];
