/**
 * E1 to E3, A5, B9: every kind of file in a data directory, damaged in every way before a start. In the suite a seeded part of it,
 * `npm run nightly` takes all. A new kind of file fails here until it is classed in support/data-sweep.ts.
 */
import { join } from 'node:path';
import t from 'tap';
import { Random } from '../property/support/random.js';
import { admin } from '../support/admin.js';
import { startServer } from '../support/built-server.js';
import { damages, isSurplus } from '../support/damage.js';
import { night } from '../support/night.js';
import { scratch } from '../support/scratch.js';
import { type DataPromise, dataComplaints, harmlessData, judgeData, kindsOfData } from './support/data-sweep.js';
import { buildRich, contentIn, openRich } from './support/rich-repository.js';

const allKinds = [
  'LIVE',
  'kept CURRENT',
  'kept IDENTITY',
  'kept LOCK',
  'kept LOG',
  'kept MANIFEST',
  'kept OPTIONS',
  'kept archived log',
  'kept log',
  'kept table',
  'live CURRENT',
  'live IDENTITY',
  'live LOCK',
  'live LOG',
  'live MANIFEST',
  'live OPTIONS',
  'live archived log',
  'live log',
  'live table',
  'operations.jsonl',
  'repository.json',
];
/** What only a whole server makes beside them. */
const ofServers = ['LOCK', 'audit.jsonl', 'closed.json'];
const { seed, long, goesOn } = night(0);

async function build(dir: string): Promise<{ promised: DataPromise; live: string }> {
  const built = await buildRich(dir);
  const f = await openRich(dir);
  const content = new Map(built.live);
  for (let i = 0; i < 30; i += 1) {
    const value = 'x'.repeat(100 + i);
    await f.set(`live:${i}`, value);
    content.set(`live:${i}`, value);
    if (i === 10 || i === 20) await f.keyspace.database?.flush();
  }
  const { live } = f.directory;
  const previous = f.directory.previous?.name;
  await f.close();
  if (live === null || previous === undefined) throw new Error('it has no live or no kept database');
  return { promised: { ...built, live: content, previous: await contentIn(join(dir, previous)) }, live: live.live };
}

t.setTimeout(0);
t.test('E1, E2, E3, A5, B9: every kind of file of a data directory, damaged in every way', async (t) => {
  t.setTimeout(0);
  t.comment(`CAIRN_SEED=${seed}`);
  const random = new Random(seed);
  const { promised, live } = await build(join(scratch(t), 'data'));
  const kinds = kindsOfData(promised.dir, live);
  t.same([...kinds.keys()].sort(), allKinds, 'it has every kind of file');
  let judged = 0;
  for (const [kind, keys] of kinds) {
    const harms = damages.filter((damage) => !isSurplus(damage));
    // What RocksDB keeps matters most; of the rest one damage each.
    const some = harmlessData[kind]?.['*'] === undefined ? 3 : 1;
    const chosen = long ? damages : Array.from({ length: some }, () => random.pick(harms));
    for (const damage of chosen) {
      for (const key of long ? keys : [random.pick(keys)]) {
        if (long && !goesOn()) continue;
        const verdict = await judgeData(join(scratch(t), 'data'), promised, key, keys, damage);
        if (verdict === null) continue;
        judged += 1;
        t.same(dataComplaints(kind, damage, verdict), [], `${key} (${kind}), ${damage.name}`);
      }
    }
  }
  t.comment(`${judged} damages`);
});

t.test(
  'a directory that was served has no other kind of file, and is served all the same without what is harmless',
  async (t) => {
    const first = await startServer(t);
    await (await first.client()).set('a', '1');
    await admin(await first.client(), 'CREATE');
    await first.stop();
    const kinds = kindsOfData(first.dir, 'db-000001');
    const known = [...allKinds, ...ofServers];
    t.same(
      [...kinds.keys()].filter((kind) => !known.includes(kind)),
      [],
    );
    for (const name of ofServers) t.ok(kinds.has(name), name);
    for (const harm of ['missing', 'emptied', 'middle bit flipped', 'other bytes of the same size']) {
      const damage = damages.find((one) => one.name === harm);
      for (const name of [...ofServers, 'operations.jsonl', 'repository.json'])
        damage?.apply(join(first.dir, name), []);
      const again = await startServer(t, { dir: first.dir });
      const client = await again.client();
      t.equal(await client.get('a'), '1', harm);
      t.match(await admin(client, 'STATUS'), { state: 'idle' }, harm);
      t.match(await admin(client, 'CREATE', 'VERIFY'), { status: 'complete' }, harm);
      await again.stop();
    }
  },
);

t.test('what is said to be harmless is of a kind that there is', async (t) => {
  for (const kind of Object.keys(harmlessData)) t.ok([...allKinds, ...ofServers].includes(kind), kind);
});
