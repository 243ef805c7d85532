/** Documents and segments that somebody lost: what rests on them stays, VERIFY ALL says what is missing, and what is brought back heals. */
import { renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { type Fixture, openFixture } from '../support/backup-fixture.js';
import { capturingLog } from '../support/log.js';
import { flipBit, manifestPath, objectKeys, statePath } from '../support/repository-files.js';
import { scratch } from '../support/scratch.js';

const verifyAll = async (f: Fixture) => (await f.backup.verifyAll('FULL')).done;

function reopening(t: Test) {
  const dir = scratch(t);
  let open: Fixture | null = null;
  const close = async (): Promise<void> => {
    await open?.close();
    open = null;
  };
  t.teardown(close);
  const { log, records } = capturingLog();
  const start = async (): Promise<Fixture> => {
    await close();
    open = await openFixture(dir, { archive: () => true, log });
    return open;
  };
  return { start, close, said: (text: string) => records.some((record) => JSON.stringify(record).includes(text)) };
}

t.test(
  'one lost manifest is named, a restart takes nothing of what it names, and bringing it back heals',
  async (t) => {
    const { start, close } = reopening(t);
    const first = await start();
    await first.set('a', '1');
    await first.create();
    await first.set('a', '2');
    await first.keyspace.database?.flush();
    const lost = await first.create();
    await first.set('a', '3');
    await first.create();
    const path = manifestPath(first.repository, lost);
    await close();
    const files = objectKeys(first.repository, 'files/');
    renameSync(path, `${path}.away`);

    const second = await start();
    await t.rejects(verifyAll(second), {
      code: 'BACKUPMANIFEST',
      message: 'the manifest backups/00000002.json is missing, its state is there',
    });
    await second.backup.delete(3, true);
    const left = new Set(objectKeys(second.repository, 'files/'));
    t.ok(files.filter((key) => left.has(key)).length >= files.length - 2, 'only what backup 3 alone had is gone');
    renameSync(`${path}.away`, path);
    t.equal((await verifyAll(second)).length, 2);
    await (await second.backup.verify(lost, 'DEEP')).done;
    await second.restore({ backup: lost });
    t.equal(await second.get('a'), '2');
  },
);

t.test(
  'a state without a manifest that a crash accounts for goes; one that was lost for good goes with its state',
  async (t) => {
    const { start, close } = reopening(t);
    const first = await start();
    await first.create();
    await first.set('a', '1');
    await first.create();
    await close();
    rmSync(manifestPath(first.repository, 2));
    const second = await start();
    await t.rejects(verifyAll(second), { code: 'BACKUPMANIFEST' });
    rmSync(statePath(first.repository, 2));
    t.equal((await verifyAll(second)).length, 1);
    const third = await start();
    t.equal(await third.create(), 3, 'no id is given twice');
  },
);

t.test(
  'the record of the live timeline is lost: its moments stay reachable, and the start says what is not',
  async (t) => {
    const { start, close, said } = reopening(t);
    const first = await start();
    const moment = async (value: string): Promise<string> => {
      await first.set('n', value);
      await first.backup.window();
      return String(first.keyspace.position.lastCommitUs);
    };
    await first.create();
    const fork = await moment('1');
    await moment('2');
    await first.restore({ target: { at: fork } });
    const before = await moment('3');
    await first.create();
    const after = await moment('4');
    await close();
    rmSync(join(first.repository, 'timelines', '2.json'));
    const second = await start();
    t.ok(said('the record of the live timeline is lost'));
    t.equal((await verifyAll(second)).length, 2);
    await second.restore({ target: { at: after } });
    t.equal(await second.get('n'), '4');
    await t.rejects(second.restore({ target: { at: before }, timeline: 2 }), { code: /^(PITRRANGE|WALGAP)$/ });
  },
);

t.test('a damaged segment stays until its commits are in others, and then goes', async (t) => {
  const { start } = reopening(t);
  const f = await start();
  await f.create();
  for (const value of ['1', '2', '3']) {
    await f.set('n', value);
    await f.backup.window();
  }
  const [key] = objectKeys(f.repository, 'wal/').slice(-1);
  flipBit(join(f.repository, String(key)), -60);
  await t.rejects(verifyAll(f), { code: 'BACKUPCORRUPT', message: new RegExp(String(key)) });
  await f.backup.tidyArchive();
  t.ok(objectKeys(f.repository, 'wal/').includes(String(key)), 'nothing else has its commits: it stays');
  // A start finds that the archive ends before it, and captures its commits once more.
  const again = await start();
  await again.set('n', '4');
  await again.backup.window();
  await again.backup.tidyArchive();
  t.notOk(objectKeys(f.repository, 'wal/').includes(String(key)), 'it went');
  t.equal((await verifyAll(again)).length, 1);
});

t.test(
  'a segment that is lost at the beginning, in the middle or at the end of a line is missed by VERIFY ALL',
  async (t) => {
    const { start } = reopening(t);
    const f = await start();
    await f.create();
    for (const value of ['1', '2', '3', '4']) {
      await f.set('n', value);
      await f.backup.window();
    }
    const keys = objectKeys(f.repository, 'wal/');
    t.equal(keys.length, 4);
    for (const [at, key] of keys.entries()) {
      const path = join(f.repository, key);
      renameSync(path, `${path}.away`);
      await t.rejects(
        verifyAll(f),
        { code: 'BACKUPINCOMPLETE', message: /^no segment in wal\/ has the sequences \d+ to \d+ of timeline 1$/ },
        `${at}`,
      );
      renameSync(`${path}.away`, path);
      t.equal((await verifyAll(f)).length, 1);
    }
  },
);
