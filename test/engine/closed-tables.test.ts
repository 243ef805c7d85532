/** Tables that RocksDB has not open (native/options.cc): a read from memory knows the value or says that it has to be fetched. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { start } from '../support/processes.js';
import { scratch } from '../support/scratch.js';

const reader = fileURLToPath(new URL('./closed-tables-reader.js', import.meta.url));
const FEW = 'ulimit -n 256 && exec "$0" "$@"';

t.test('a table that is opened in the middle of a read from memory makes no value empty', async (t) => {
  const running = start(t, ['bash', '-c', FEW, process.execPath, reader, join(scratch(t), 'db')]);
  t.same(await running.ended, { code: 0, signal: null }, running.stderr());
  const { opened, wrong } = JSON.parse(running.stdout()) as { opened: number; wrong: string[] };
  t.ok(opened > 50, `${opened} tables were opened meanwhile`);
  t.same(wrong, []);
});
