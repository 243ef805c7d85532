/** CANCEL and a stop while the archive has a long way to go: they wait for one segment at most, not for all. */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { armFaultPoints } from '../../src/base/fault-points.js';
import { type Fixture, openFixture } from '../support/backup-fixture.js';
import { objectKeys } from '../support/repository-files.js';
import { scratch } from '../support/scratch.js';
import { waitFor } from '../support/wait.js';

const BACKLOG = 5;
const trigger = { command: 'test', user: null, address: null };
const kind = { parent: null, strict: false, label: null, verify: false, pin: false, trigger };

/** A full, and a backlog of so many segments; the first of them stands until it is let go. */
async function behind(t: Test) {
  const f: Fixture = await openFixture(scratch(t), { archive: () => true });
  t.teardown(() => f.close());
  await f.create();
  await f.set('n', '0');
  await f.backup.window();
  const before = objectKeys(f.repository, 'wal/').length;
  for (let i = 0; i < BACKLOG; i += 1) await f.set(`big:${i}`, 'x'.repeat(9 << 20));
  const gate = join(scratch(t), 'gate');
  armFaultPoints(`segment-renamed=pause:${gate}`);
  const release = (): void => writeFileSync(gate, '');
  t.teardown(() => {
    release();
    armFaultPoints('');
  });
  return {
    f,
    release,
    reached: () => waitFor(() => existsSync(`${gate}.reached`), { what: 'the first segment' }),
    archived: () => objectKeys(f.repository, 'wal/').length - before,
  };
}

async function cancelled(t: Test, b: Awaited<ReturnType<typeof behind>>, done: Promise<unknown>): Promise<void> {
  const ended = t.rejects(done, { code: 'CANCELLED' });
  await b.reached();
  const asked = b.f.backup.cancel(null);
  b.release();
  await asked;
  await ended;
  t.ok(b.archived() <= 2, `${b.archived()} of ${BACKLOG} segments were archived`);
  armFaultPoints('');
  t.equal(await b.f.get('n'), '0');
  t.match(await b.f.backup.status(null), { archive_error: null }, 'a cancelled operation is no trouble of the archive');
  await b.f.backup.window();
  await (await b.f.backup.verifyAll('FULL')).done;
  t.equal((await b.f.backup.window())[0]?.gaps.length, 0, 'the archive goes on where it was');
}

for (const type of ['full', 'incremental'] as const) {
  t.test(`CANCEL of a ${type} that archives a backlog first`, async (t) => {
    const b = await behind(t);
    await cancelled(t, b, b.f.backup.create({ ...kind, type }).done);
  });
}

t.test('CANCEL of a restore that archives a backlog before its swap', async (t) => {
  const b = await behind(t);
  await cancelled(t, b, b.f.restore({ backup: 1 }));
  t.equal(b.f.directory.live?.timeline, 1);
});

t.test('CANCEL of a restore to a moment that archives a backlog first', async (t) => {
  const b = await behind(t);
  await cancelled(t, b, b.f.restore({ target: { seq: 1 } }));
});

t.test('CANCEL of a create that waits while something else archives the backlog', async (t) => {
  const b = await behind(t);
  const window = b.f.backup.window();
  await b.reached();
  const create = b.f.backup.create({ ...kind, type: 'full' });
  await create.begun;
  const ended = t.rejects(create.done, { code: 'CANCELLED' });
  t.match(await b.f.backup.cancel(null), { operation: 'create' }, 'while that still stands');
  await ended;
  b.release();
  await window;
  t.equal(b.archived(), BACKLOG);
  await b.f.create();
});
