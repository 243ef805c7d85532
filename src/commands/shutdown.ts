/**
 * SHUTDOWN [NOSAVE|SAVE] [NOW] [FORCE] [ABORT]. Every acknowledged write is in RocksDB already and stopping takes no
 * backup, so SAVE and NOSAVE are the same here; there is nothing to wait for that NOW or FORCE could cut short.
 */
import { CairnError } from '../base/errors.js';
import type { Command } from './command.js';
import { syntaxError } from './words.js';

const options = new Set(['nosave', 'save', 'now', 'force', 'abort']);

export const shutdownCommands: readonly Command[] = [
  {
    name: 'shutdown',
    kind: 'server',
    run({ args, services }) {
      const given = new Set(args.map((arg) => arg.toString('latin1').toLowerCase()));
      const unknown = [...given].some((word) => !options.has(word));
      const contradicting = (given.has('abort') && given.size > 1) || (given.has('save') && given.has('nosave'));
      if (unknown || contradicting) throw syntaxError();
      if (given.has('abort')) throw new CairnError('ERR', 'No shutdown in progress.');
      services.log.info('shutdown asked for by a client');
      services.server.shutdown();
      // The connection ends with the process: until then there is no answer, as with Redis.
      return new Promise(() => {});
    },
  },
];
