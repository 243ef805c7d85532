/** An archive that counts other than the database: what rested on it would not restore, and must not be listed. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { encodeSegment, verifySegment } from '../../src/format/index.js';
import { type Fixture, openFixture } from '../support/backup-fixture.js';
import { objectKeys } from '../support/repository-files.js';
import { scratch } from '../support/scratch.js';

/** Makes every segment count from so many commits more: whole, well-formed, and wrong. */
function miscount(repository: string, more: number): void {
  for (const key of objectKeys(repository, 'wal/')) {
    const path = join(repository, key);
    const content = verifySegment(readFileSync(path));
    writeFileSync(path, encodeSegment({ ...content, commitsBefore: content.commitsBefore + more }));
  }
}

async function miscounted(t: Test, archive: boolean): Promise<Fixture> {
  const dir = scratch(t);
  const first = await openFixture(dir, { archive: () => archive });
  await first.create();
  await first.set('a', '1');
  await first.create({ type: 'incremental', strict: true });
  await first.close();
  miscount(first.repository, 500);
  const f = await openFixture(dir, { archive: () => archive });
  t.teardown(() => f.close());
  return f;
}

for (const archive of [true, false]) {
  t.test(
    `archiving ${archive ? 'on' : 'off'}: an increment becomes a full that says so, and all goes on`,
    async (t) => {
      const f = await miscounted(t, archive);
      await f.set('b', '1');
      await t.rejects(f.create({ type: 'incremental', strict: true }), {
        code: 'BACKUPTYPE',
        message: /archive counts 50/,
      });
      const trigger = { command: 'test', user: null, address: null };
      const asked = { parent: null, strict: false, label: null, verify: true, pin: false, trigger };
      t.match(await f.backup.create({ ...asked, type: 'incremental' }).done, {
        type: 'full',
        promoted: /the archive counts 50\d commits/,
      });
      await f.set('c', '1');
      const { lastCommitUs } = f.keyspace.position;
      const next = await f.create({ type: 'incremental', strict: true, verify: true });
      await (await f.backup.verify(next, 'DEEP')).done;
      await f.set('c', '2');
      await f.restore({ target: { at: String(lastCommitUs) } });
      t.equal(await f.get('c'), '1');
    },
  );
}

t.test('VERIFY finds segments that count other than the backup promises, though every difference fits', async (t) => {
  const f = await miscounted(t, true);
  await t.rejects((await f.backup.verify(2, 'FULL')).done, { code: 'BACKUPCORRUPT', message: /the commit count 50\d/ });
});
