/** A14: after a restore RocksDB gives table names again that an older backup has with other content. They are never confused. */
import t from 'tap';
import { type Fixture, openFixture } from '../support/backup-fixture.js';

const tables = async (f: Fixture, id: number): Promise<Map<string, string>> => {
  const { files_list: files } = (await f.backup.info(id)) as { files_list: { name: string; sha256: string }[] };
  return new Map(files.filter(({ name }) => name.endsWith('.sst')).map(({ name, sha256 }) => [name, sha256]));
};

t.test(
  'A14: table names that come again after a restore stand for other content, and every backup restores its own',
  async (t) => {
    const f = await openFixture(t.testdir());
    t.teardown(() => f.close());
    const fill = async (value: string): Promise<void> => {
      for (let i = 0; i < 200; i += 1) await f.set(`key:${i}`, `${value}:${i}`);
      await f.keyspace.database?.flush();
    };
    await f.set('base', '1');
    const base = await f.create();
    const futures: [number, string][] = [];
    // The same base, three futures: each gives the same numbers to its tables.
    for (const value of ['first', 'second', 'third']) {
      await (await f.backup.restore({ backup: base, target: null, timeline: null, to: null, ifTimeline: null })).done;
      await fill(value);
      futures.push([await f.create(), value]);
    }
    const [one, two, three] = await Promise.all(futures.map(([id]) => tables(f, id)));
    const again = [...(one as Map<string, string>)].filter(([name]) => two?.has(name) && three?.has(name));
    t.ok(again.length > 0, `names that came again: ${again.map(([name]) => name).join(' ')}`);
    t.ok(
      again.some(([name, sha256]) => two?.get(name) !== sha256),
      'with other content',
    );
    await (await f.backup.verifyAll('DEEP')).done;
    for (const [id, value] of futures) {
      await (await f.backup.restore({ backup: id, target: null, timeline: null, to: null, ifTimeline: null })).done;
      t.equal(await f.get('key:0'), `${value}:0`);
      t.equal(await f.get('key:199'), `${value}:199`);
    }
  },
);
