/** A repository that is another database's until a restore takes it over, and ways back from that, whatever happened to it. */
import { renameSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { armFaultPoints } from '../../src/base/fault-points.js';
import { acquireFileLock } from '../../src/engine/index.js';
import { type Fixture, type FixtureOptions, openFixture } from '../support/backup-fixture.js';
import { objectKeys } from '../support/repository-files.js';
import { scratch } from '../support/scratch.js';
import { cannotMount, smallDisk } from '../support/small-disk.js';

async function fixture(t: Test, options: FixtureOptions = {}): Promise<Fixture> {
  const opened = await openFixture(scratch(t), { archive: () => true, ...options });
  t.teardown(() => opened.close());
  return opened;
}

/** A repository whose server is gone: a full at n = 1, commits up to n = 4. */
async function orphaned(t: Test): Promise<{ repository: string; sequences: number[] }> {
  const repository = scratch(t);
  const owner = await openFixture(scratch(t), { archive: () => true, repository });
  await owner.set('n', '1');
  await owner.create();
  const sequences: number[] = [];
  for (const value of ['2', '3', '4']) {
    await owner.set('n', value);
    sequences.push(owner.keyspace.position.sequence);
  }
  await owner.close();
  return { repository, sequences };
}

const NEWEST = { backup: 'LATEST', timeline: null, to: null, ifTimeline: null } as const;

const lines = async (f: Fixture) =>
  (await f.backup.window()).map(({ timeline, parent, current }) => [timeline, parent, current]);

function requireFree(t: Test, repository: string): void {
  t.doesNotThrow(() => acquireFileLock(join(repository, 'LOCK')).release(), 'nobody holds the repository');
}

t.test(
  'a takeover that failed lets go: the line of the repository is nobody’s, and a retry finds it as before',
  async (t) => {
    const { repository, sequences } = await orphaned(t);
    const f = await fixture(t, { repository });
    const target = { seq: sequences[1] as number };
    armFaultPoints('proven=throw:EIO:1');
    t.teardown(() => armFaultPoints(''));
    await t.rejects(f.restore({ target }), { code: 'RESTOREFAILED' });
    requireFree(t, repository);
    t.same(await lines(f), [[1, null, 0]], 'it is not this server’s line');
    t.match(await f.restore({ target }), { sequence: target.seq, timeline_new: 2 });
    t.equal(await f.get('n'), '3');
  },
);

t.test(
  'PREVIOUS after a takeover records no line there, and forth again goes on from the one that it left',
  async (t) => {
    const { repository, sequences } = await orphaned(t);
    const f = await fixture(t, { repository });
    await f.set('mine', '1');
    const target = { seq: sequences[2] as number };
    const planned = await f.backup.restoreDryRun({ ...NEWEST, target });
    t.equal(planned.commits_left_behind, null, 'the two databases are on no common line');
    t.match(await f.restore({ target }), { commits_left_behind: null });
    await f.set('n', 'on two');
    const onTwo = f.keyspace.position;
    const before = () => objectKeys(repository, 'timelines/');
    t.same(before(), ['timelines/1.json', 'timelines/2.json']);
    await f.restore({ backup: 'PREVIOUS' });
    t.equal(await f.get('mine'), '1');
    await f.set('mine', '2');
    t.same(before(), ['timelines/1.json', 'timelines/2.json'], 'what is served is no line of that repository');
    t.same(await lines(f), [
      [1, null, 0],
      [2, 1, 0],
    ]);
    requireFree(t, repository);
    await f.restore({ backup: 'PREVIOUS' });
    t.equal(await f.get('n'), 'on two');
    const now = f.directory.live?.timeline as number;
    t.same((await lines(f)).at(-1), [now, 2, 1], 'its parent is the line that was left');
    await f.set('n', 'further');
    await f.restore({ target: { seq: onTwo.sequence } });
    t.equal(await f.get('n'), 'on two', 'seen from the live line the moment is in its past');
    await f.restore({ target: { seq: sequences[0] as number } });
    t.equal(await f.get('n'), '2');
    await (await f.backup.verifyAll('FULL')).done;
  },
);

t.test('PREVIOUS works while the repository is lost, and archiving goes on when it is back', async (t) => {
  const repository = join(scratch(t), 'repository');
  const f = await fixture(t, { repository });
  await f.set('n', '1');
  await f.create();
  await f.set('n', '2');
  await f.restore({ backup: 'LATEST' });
  await f.set('n', '3');
  await f.backup.window();
  await f.set('n', '4');
  renameSync(repository, `${repository}.away`);
  await f.restore({ backup: 'PREVIOUS' });
  t.equal(await f.get('n'), '2');
  await f.restore({ backup: 'PREVIOUS' });
  t.equal(await f.get('n'), '4', 'and back');
  renameSync(`${repository}.away`, repository);
  const full = await f.create();
  t.match(await f.backup.info(full), { status: 'complete', timeline: f.directory.live?.timeline });
  await (await f.backup.verifyAll('FULL')).done;
});

t.test('PREVIOUS works while the repository is full', { skip: cannotMount }, async (t) => {
  const disk = smallDisk(t, 32);
  const f = await openFixture(scratch(t), { archive: () => true, repository: join(disk.path, 'repository') });
  await f.set('n', '1');
  await f.create();
  await f.set('n', '2');
  await f.restore({ backup: 'LATEST' });
  await f.backup.window();
  await f.set('n', '3');
  disk.fillUpTo(0);
  await f.restore({ backup: 'PREVIOUS' });
  t.equal(await f.get('n'), '2');
  disk.free();
  await f.set('n', '5');
  t.match(await f.backup.info(await f.create()), { status: 'complete' });
  await f.close();
});
