/**
 * SORT and SORT_RO. They sort lists, sets and sorted sets, which do not exist: a key that is there is of the wrong type,
 * and one that is not sorts to nothing. The options are read as Redis reads them, for its errors.
 */

import { CairnError } from '../base/errors.js';
import type { Transaction } from '../keyspace/transaction.js';
import type { Reply } from '../resp/reply.js';
import type { DataCommand } from './command.js';
import { integer } from './integers.js';
import { syntaxError, word } from './words.js';

const sort = (name: string, mayStore: boolean): DataCommand => ({
  name,
  kind: 'data',
  run(tx, args, { database }): Reply {
    const [key, ...words] = args as [Buffer, ...Buffer[]];
    const target = parseTarget(words, mayStore);
    if (tx.get(database, key) !== undefined) {
      throw new CairnError('WRONGTYPE', 'Operation against a key holding the wrong kind of value');
    }
    return target === null ? [] : storeNothing(tx, database, target);
  },
});

/** An empty result is no key. */
function storeNothing(tx: Transaction, database: number, target: Buffer): number {
  tx.delete(database, target);
  return 0;
}

/** What STORE names; null without it. */
function parseTarget(words: readonly Buffer[], mayStore: boolean): Buffer | null {
  let target: Buffer | null = null;
  for (let at = 0; at < words.length; at += 1) {
    const option = word(words[at] as Buffer);
    const [first, second] = [words[at + 1], words[at + 2]];
    if (option === 'ASC' || option === 'DESC' || option === 'ALPHA') continue;
    if (option === 'LIMIT' && first !== undefined && second !== undefined) {
      integer(first);
      integer(second);
      at += 2;
    } else if ((option === 'BY' || option === 'GET') && first !== undefined) {
      at += 1;
    } else if (option === 'STORE' && mayStore && first !== undefined) {
      target = first;
      at += 1;
    } else throw syntaxError();
  }
  return target;
}

export const sortCommands: readonly DataCommand[] = [sort('sort', true), sort('sort_ro', false)];
