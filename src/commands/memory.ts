/**
 * MEMORY. USAGE tells what a key takes where Cairn keeps it, in the database; STATS tells what the process takes. The
 * allocator is the system's: PURGE and MALLOC-STATS answer what Redis answers with one.
 */
import { CairnError } from '../base/errors.js';
import { Double, OK, type Reply, record } from '../resp/reply.js';
import type { Call, Command, DataCommand, ServerCommand } from './command.js';
import { integer } from './integers.js';
import { syntaxError, word } from './words.js';

const usage: DataCommand = {
  name: 'memory|usage',
  kind: 'data',
  run(tx, args, { database }) {
    const [key, ...options] = args as [Buffer, ...Buffer[]];
    for (let at = 0; at < options.length; at += 2) {
      const count = options[at + 1];
      if (word(options[at] as Buffer) !== 'SAMPLES' || count === undefined) throw syntaxError();
      if (integer(count) < 0) throw syntaxError();
    }
    return tx.storedBytes(database, key) ?? null;
  },
};

const stats: ServerCommand = {
  name: 'memory|stats',
  kind: 'server',
  run({ services: { keyspace, server } }: Call): Reply {
    const { rss, heapTotal, heapUsed, external } = process.memoryUsage();
    let clients = 0;
    for (const session of server.sessions()) clients += session.pendingInputBytes + session.pendingOutputBytes;
    const { database } = keyspace;
    const rocks = (name: string): number =>
      database === null || database.closed ? 0 : Number(database.property(`rocksdb.${name}`) ?? 0);
    return record({
      'total.allocated': rss,
      'clients.normal': clients,
      'keys.count': keyspace.unavailable === null ? keysOf(keyspace.position.keyCounts) : 0,
      'heap.total': heapTotal,
      'heap.used': heapUsed,
      'heap.percentage': new Double((100 * heapUsed) / heapTotal),
      'buffers.allocated': external,
      'rocksdb.block-cache': rocks('block-cache-usage'),
      'rocksdb.memtables': rocks('cur-size-all-mem-tables'),
      'rocksdb.table-readers': rocks('estimate-table-readers-mem'),
    });
  },
};

function keysOf(counts: readonly number[]): number {
  return counts.reduce((sum, count) => sum + count, 0);
}

export const memoryCommands: readonly Command[] = [
  usage,
  stats,
  { name: 'memory|purge', kind: 'server', run: () => OK },
  { name: 'memory|malloc-stats', kind: 'server', run: () => 'Stats not supported for the current allocator' },
  {
    name: 'memory|doctor',
    kind: 'server',
    run() {
      throw new CairnError('ERR', 'MEMORY DOCTOR is not available; INFO memory and MEMORY STATS have the numbers');
    },
  },
];
