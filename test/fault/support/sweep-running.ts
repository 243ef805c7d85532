/**
 * E1 to E4, B3, B4: every kind of file in a repository, damaged in every way under a running server. What a kind is comes
 * from a walk over a repository that has them all: a new kind fails here until it is classed in rich-repository.ts.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { Random } from '../../property/support/random.js';
import { damages, mend } from '../../support/damage.js';
import { night } from '../../support/night.js';
import { scratch } from '../../support/scratch.js';
import { complaints, lookAt, openWatched, restorables } from './repository-sweep.js';
import { buildRich, kindsOfRepository, type Promised } from './rich-repository.js';

export const allKinds = [
  'LOCK',
  'REPOSITORY.json',
  'file list',
  'file: CURRENT',
  'file: MANIFEST',
  'file: OPTIONS',
  'file: log',
  'file: table',
  'last segment of the live line',
  'latest',
  'manifest of a backup that is differential',
  'manifest of a backup that is full',
  'manifest of a backup that is incremental',
  'merged segment',
  'next_id',
  'record of an older timeline',
  'record of the live timeline',
  'segment',
  'state',
  'state with verifications',
  'tags.json',
];

export async function sweep(t: Test, chosen: (kind: string) => boolean): Promise<void> {
  t.setTimeout(0);
  const promised: Promised = await buildRich(join(scratch(t), 'data'));
  const kinds = kindsOfRepository(promised.repository, promised.liveTimeline);
  t.same([...kinds.keys()].sort(), allKinds, 'the repository has every kind of file');
  const { seed } = night(0);
  const random = new Random(seed);
  t.comment(`CAIRN_SEED=${seed}`);
  const watched = await openWatched(promised.dir);
  t.teardown(() => watched.f.close());
  const count = restorables(promised).length;
  for (const [kind, keys] of [...kinds].filter(([name]) => chosen(name))) {
    for (const damage of damages) {
      // The lock is held: who removes its file lets another server in.
      if (kind === 'LOCK' && damage.name !== 'one byte longer') continue;
      const key = keys[kind === 'segment' ? keys.length >> 1 : random.int(keys.length)] as string;
      const path = join(promised.repository, key);
      const whole = readFileSync(path);
      const others = keys.map((other) => join(promised.repository, other));
      if (!damage.apply(path, others)) continue;
      watched.records.length = 0;
      const name = damage.name.startsWith('a surplus') ? `${key}.copy` : key;
      const verdict = await lookAt(watched, promised, name, {
        restores: random.once(2) ? [random.int(count)] : [],
        create: false,
      });
      mend(path, whole);
      t.same(complaints(kind, damage, verdict, false), [], `${key} (${kind}), ${damage.name}`);
    }
    await (await watched.f.backup.verifyAll('FULL')).done;
    t.pass(`${kind}: mended, all is well again`);
  }
}
