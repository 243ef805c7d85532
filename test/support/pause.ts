/**
 * A fault point of the built server that a test holds: the operation stops there until it is released.
 *
 *   const pause = pauseAt(t, 'checkpoint-made');
 *   const server = await startServer(t, { env: pause.env });
 */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import type { FaultPointName } from '../../src/base/fault-points.js';
import { scratch } from './scratch.js';
import { waitFor } from './wait.js';

export interface Pause {
  env: Record<string, string>;
  /** Resolves when an operation stands there. */
  reached(): Promise<void>;
  /** Lets it go on, and every later one pass. */
  release(): void;
}

/** `more`: further fault points, e.g. 'old-kept=delay:100ms'. Released when the test ends. */
export function pauseAt(t: Test, point: FaultPointName, more = ''): Pause {
  const gate = join(scratch(t), 'gate');
  const release = (): void => writeFileSync(gate, '');
  t.teardown(release);
  return {
    env: { CAIRN_FAULT_POINTS: `${point}=pause:${gate}${more === '' ? '' : `,${more}`}` },
    reached: async () => {
      await waitFor(() => existsSync(`${gate}.reached`), { what: `an operation to reach ${point}` });
    },
    release,
  };
}
