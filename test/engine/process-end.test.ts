import { join } from 'node:path';
import t from 'tap';
import { scratch } from '../support/scratch.js';
import { commits, reopen } from './support/databases.js';
import { program } from './support/start.js';

for (const how of ['exit', 'throw', 'end', 'close-and-exit', 'open-and-exit', 'worker-and-exit']) {
  t.test(`a process that ends with work in flight (${how}) ends in time, without a crash`, async (t) => {
    const path = join(scratch(t), 'db');
    for (let round = 0; round < 2; round++) {
      const { ended } = program(t, how, path);
      const { code, signal, errors } = await ended;
      t.equal(signal, null, errors);
      t.equal(code, { throw: 1, end: 0 }[how] ?? 7, errors);
      if (how === 'throw') t.match(errors, /thrown on purpose/);
    }
    const db = await reopen(t, path, { createIfMissing: true });
    await db.verifyChecksums();
    await commits(db, 0, 1);
  });
}
