/** Keys of any type: DEL UNLINK EXISTS TYPE RENAME. */
import { CairnError } from '../base/errors.js';
import { OK, type Reply, Simple } from '../resp/reply.js';
import type { DataCommand } from './command.js';

/** UNLINK frees memory in the background in Redis; here both are a record in the log. */
const removal = (name: string): DataCommand => ({
  name,
  kind: 'data',
  run: (tx, args, { database }) => count(args, (key) => tx.delete(database, key)),
});

const exists: DataCommand = {
  name: 'exists',
  kind: 'data',
  run: (tx, args, { database }) => count(args, (key) => tx.get(database, key) !== undefined),
};

const type: DataCommand = {
  name: 'type',
  kind: 'data',
  run: (tx, args, { database }) => new Simple(tx.get(database, args[0] as Buffer)?.type ?? 'none'),
};

const rename: DataCommand = {
  name: 'rename',
  kind: 'data',
  run(tx, args, { database }): Reply {
    const [source, target] = args as [Buffer, Buffer];
    const value = tx.get(database, source);
    if (value === undefined) throw new CairnError('ERR', 'no such key');
    if (source.equals(target)) return OK;
    tx.delete(database, source);
    tx.put(database, target, value);
    return OK;
  },
};

function count(keys: readonly Buffer[], is: (key: Buffer) => boolean): number {
  let n = 0;
  for (const key of keys) if (is(key)) n += 1;
  return n;
}

export const keyCommands: readonly DataCommand[] = [removal('del'), removal('unlink'), exists, type, rename];
