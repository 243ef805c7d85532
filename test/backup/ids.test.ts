/** A backup's id is kept before anything bears it: where it cannot be, there is no backup. */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { openFixture } from '../support/backup-fixture.js';
import { scratch } from '../support/scratch.js';

for (const kind of ['full', 'incremental'] as const) {
  t.test(`an id that cannot be kept makes no ${kind} backup, and is given to the next one`, async (t) => {
    const f = await openFixture(scratch(t));
    t.teardown(() => f.close());
    await f.set('a', '0');
    const first = await f.create();
    await f.set('a', '1');
    const nextId = join(f.repository, 'next_id');
    t.equal(readFileSync(nextId, 'utf8').trim(), String(first + 1));
    // A file that has no place: its name is a directory's, which is not empty.
    const blocked = join(f.repository, 'next_id.away');
    const before = {
      manifests: readdirSync(join(f.repository, 'backups')),
      states: readdirSync(join(f.repository, 'states')),
    };
    renameSync(nextId, blocked);
    mkdirSync(join(nextId, 'in-the-way'), { recursive: true });
    const request = {
      ...{ type: kind, parent: null, strict: false, label: null, verify: false, pin: false },
      trigger: { command: 'CREATE', user: null, address: null },
    };
    const started = f.backup.create(request);
    await t.rejects(started.begun, { code: 'BACKUPFAILED' }, 'nobody is told an id');
    await t.rejects(started.done, { code: 'BACKUPFAILED' });
    t.same(
      { manifests: readdirSync(join(f.repository, 'backups')), states: readdirSync(join(f.repository, 'states')) },
      before,
      'nothing bears it',
    );
    rmdirSync(join(nextId, 'in-the-way'));
    rmdirSync(nextId);
    renameSync(blocked, nextId);
    t.equal(await f.create(), first + 1);
  });
}
