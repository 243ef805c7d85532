/**
 * OBJECT: how Redis would keep a value. Cairn keeps bytes and no history, so it answers by the bytes alone: where Redis
 * says `raw` of a short string because it was changed in place, Cairn says what the same bytes are when they are set.
 */
import { CairnError } from '../base/errors.js';
import type { StringValue, Transaction } from '../keyspace/transaction.js';
import type { Reply } from '../resp/reply.js';
import type { DataCommand } from './command.js';
import { readInteger } from './integers.js';

/** Redis puts a string up to here into one allocation with its header. */
const EMBEDDED_BYTES = 44;
/** The integers below are made once, and every key that holds one points to it. */
const SHARED_INTEGERS = 10_000;
/** What Redis answers for an object that is never freed. */
const SHARED_REFCOUNT = 2 ** 31 - 1;

const look = (word: string, answer: (value: StringValue) => Reply): DataCommand => ({
  name: `object|${word}`,
  kind: 'data',
  run(tx: Transaction, args, { database }) {
    const value = tx.get(database, args[0] as Buffer);
    return value === undefined ? null : answer(value);
  },
});

function encodingOf({ bytes }: StringValue): string {
  if (readInteger(bytes) !== null) return 'int';
  return bytes.length <= EMBEDDED_BYTES ? 'embstr' : 'raw';
}

function refcountOf({ bytes }: StringValue): number {
  const value = readInteger(bytes);
  return value !== null && value >= 0 && value < SHARED_INTEGERS ? SHARED_REFCOUNT : 1;
}

export const objectCommands: readonly DataCommand[] = [
  look('encoding', encodingOf),
  look('refcount', refcountOf),
  look('freq', () => {
    throw new CairnError(
      'ERR',
      'An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between ' +
        'policies at runtime LRU and LFU data will take some time to adjust.',
    );
  }),
  look('idletime', () => {
    throw new CairnError('ERR', 'access times are not kept, so the idle time is not known');
  }),
];
