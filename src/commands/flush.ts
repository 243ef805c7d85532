/** DBSIZE FLUSHDB FLUSHALL. A flush is one range deletion and one commit, so ASYNC and SYNC are the same. */
import { OK } from '../resp/reply.js';
import type { DataCommand } from './command.js';
import { syntaxError, word } from './words.js';

const dbsize: DataCommand = {
  name: 'dbsize',
  kind: 'data',
  run: (tx, _args, { database }) => tx.keyCount(database),
};

const flushdb: DataCommand = {
  name: 'flushdb',
  kind: 'data',
  run(tx, args, { database }) {
    checkMode(args);
    tx.flush(database);
    return OK;
  },
};

const flushall: DataCommand = {
  name: 'flushall',
  kind: 'data',
  run(tx, args) {
    checkMode(args);
    tx.flush('all');
    return OK;
  },
};

function checkMode(args: readonly Buffer[]): void {
  const mode = args[0];
  if (mode === undefined) return;
  if (args.length > 1 || !['ASYNC', 'SYNC'].includes(word(mode))) throw syntaxError();
}

export const flushCommands: readonly DataCommand[] = [dbsize, flushdb, flushall];
