/** What a seed decides: about a directory's lives, how each ends, and what its roles draw. */
import { faultPointNames } from '../../../src/base/fault-points.js';
import { Random } from '../../property/support/random.js';

export interface SoakOptions {
  seed: number;
  /** null: turned while it runs. */
  durability: 'always' | 'everysec' | 'no' | null;
  /** An empty directory of its own. */
  dir: string;
  /** True when it is enough. */
  isOver: (lives: number) => boolean;
  say: (line: string) => void;
  /** Of one life; default: some seconds, and now and then some more. */
  longestLoadMs?: number;
  /** Every life is as long as this. */
  loadMs?: number;
}

export type End =
  | 'kill'
  | 'kill while starting'
  | 'kill while stopping'
  | 'kill at a fault point'
  | 'power cut'
  | 'stop';

export interface LifePlan {
  end: End;
  /** Of load, before the end. */
  loadMs: number;
  /** A fault point that ends the life, fails what reaches it, or holds it up for a while. */
  armed: { name: string; does: 'kill' | 'throw' | 'delay'; spec: string } | null;
  checksClaims: boolean;
}

const ENDS: End[] = [
  ...Array<End>(8).fill('kill'),
  ...Array<End>(7).fill('kill at a fault point'),
  ...Array<End>(5).fill('power cut'),
  ...Array<End>(3).fill('stop'),
  'kill while starting',
  'kill while stopping',
];

/** A role's own stream: what others draw, and when, does not change it. */
export function stream(seed: number, ...parts: (string | number)[]): Random {
  let hash = 0x811c9dc5 ^ seed;
  for (const byte of Buffer.from(parts.join(' '))) hash = Math.imul(hash ^ byte, 0x01000193);
  return new Random(hash >>> 0);
}

export function planLife(random: Random, { longestLoadMs, loadMs: always }: SoakOptions): LifePlan {
  const end = random.pick(ENDS);
  const isLong = random.once(12) && longestLoadMs === undefined;
  const drawnMs = isLong ? 8000 + random.int(12_000) : 200 + random.int(longestLoadMs ?? 3500);
  const does = end === 'kill at a fault point' ? 'kill' : random.pick([null, null, null, 'throw', 'delay'] as const);
  const checksClaims = random.once(3);
  return { end, loadMs: always ?? drawnMs, armed: does === null ? null : armedPoint(random, does), checksClaims };
}

/** Where nothing is left that could fail, after the swap, or where failing means not to start: these only kill. */
const BEYOND_FAILURE: readonly string[] = ['interrupted-found', 'reopened', 'old-kept'];

function armedPoint(random: Random, does: 'kill' | 'throw' | 'delay'): LifePlan['armed'] {
  const name = random.pick(
    does === 'throw' ? faultPointNames.filter((one) => !BEYOND_FAILURE.includes(one)) : faultPointNames,
  );
  const nth = 1 + random.int(random.pick([1, 1, 4, 12]));
  const times = nth === 1 ? '' : `:${nth}`;
  const action = {
    kill: `kill${times}`,
    throw: `throw${random.once(2) ? ':ENOSPC' : ''}${random.once(3) ? times : ''}`,
    delay: `delay:${20 + random.int(300)}ms`,
  }[does];
  return { name, does, spec: `${name}=${action}` };
}
