/**
 * E1 to E4, B3, B4: a server that starts on a damaged repository. In the suite one seeded damage of every kind of file, looked at
 * less closely; `npm run nightly` takes all of them, every byte of small files and random ones of large files.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { Random } from '../property/support/random.js';
import { type Damage, damages, flippedAt } from '../support/damage.js';
import { night } from '../support/night.js';
import { scratch } from '../support/scratch.js';
import { complaints, judgeAtStart, restorables } from './support/repository-sweep.js';
import { buildRich, kindsOfRepository } from './support/rich-repository.js';

const { seed, long, goesOn } = night(0);
const SMALL_BYTES = 1500;

t.setTimeout(0);
t.test(
  'E1, E2, E3, E4: a server that starts on a damaged repository serves, names it, and restores what is whole',
  async (t) => {
    t.setTimeout(0);
    t.comment(`CAIRN_SEED=${seed}`);
    const random = new Random(seed);
    const promised = await buildRich(join(scratch(t), 'data'));
    const kinds = kindsOfRepository(promised.repository, promised.liveTimeline);
    const count = restorables(promised).length;
    let judged = 0;
    const judge = async (kind: string, keys: readonly string[], key: string, damage: Damage, closely: boolean) => {
      const look = closely ? { create: true } : { restores: [random.int(count)], create: true };
      const verdict = await judgeAtStart(join(scratch(t), 'data'), promised, key, keys, damage, look);
      if (verdict === null) return;
      judged += 1;
      const found = complaints(kind, damage, verdict, true);
      // By night there are too many to print each.
      if (found.length > 0 || !long) t.same(found, [], `${key} (${kind}), ${damage.name}`);
    };
    const one = (keys: readonly string[]): string => random.pick(keys);
    if (!long) {
      for (const [kind, keys] of kinds) await judge(kind, keys, one(keys), random.pick(damages), false);
      return;
    }
    for (const [kind, keys] of kinds) {
      for (const damage of damages) for (const key of keys) if (goesOn()) await judge(kind, keys, key, damage, true);
    }
    const whole = [...kinds].flatMap(([kind, keys]) => keys.map((key) => ({ kind, keys, key })));
    const flips = whole.flatMap(({ kind, keys, key }) => {
      const { length } = readFileSync(join(promised.repository, key));
      const offsets = Array.from({ length: Math.min(length, SMALL_BYTES) }, (_, at) =>
        length <= SMALL_BYTES ? at : random.int(length),
      );
      return offsets.map((offset) => ({ kind, keys, key, offset }));
    });
    // In no order, so that every kind has its share of the night.
    for (let left = flips.length; left > 0 && goesOn(); left -= 1) {
      const at = random.int(left);
      const { kind, keys, key, offset } = flips[at] as (typeof flips)[number];
      flips[at] = flips[left - 1] as (typeof flips)[number];
      await judge(kind, keys, key, flippedAt(offset), false);
    }
    t.pass(`${judged} damages`);
  },
);
