/**
 * A short crash soak with the machinery of `npm run soak`: some lives of one server under random load and operation, each ended by a
 * kill, a fault point, a power cut or a stop. CAIRN_SEED repeats its decisions, CAIRN_RUNS says how many lives, CAIRN_MINUTES how long.
 */
import t from 'tap';
import { seeds } from '../property/support/random.js';
import { night } from '../support/night.js';
import { scratch } from '../support/scratch.js';
import { Soak } from '../support/soak/soak.js';

const LIVES = 6;
const LONGEST_LOAD_MS = 900;

t.setTimeout(0);

t.test(
  'A1, A9, B8, C2, D6: whatever ends the server, nothing that it answered is lost and no state is half',
  async (t) => {
    const { first: seed, runs } = seeds();
    const lives = process.env.CAIRN_RUNS === undefined ? LIVES : (runs ?? LIVES);
    const { goesOn, long } = night(0);
    const soak = new Soak({
      ...{ seed, durability: null, dir: scratch(t) },
      ...(long ? {} : { longestLoadMs: LONGEST_LOAD_MS }),
      isOver: (done) => (long ? !goesOn() : done >= lives),
      say: () => undefined,
    });
    try {
      await soak.run();
    } catch (error) {
      t.comment(soak.lately.join('\n'));
      t.comment(`again: CAIRN_SEED=${seed} CAIRN_RUNS=${lives} node dist-test/test/fault/soak.test.js`);
      throw error;
    }
    t.comment(soak.report.table());
    const { starts, commitsAcknowledged, liveStatesCompared, losses } = soak.report.finish();
    t.ok(starts >= (long ? 1 : lives) && commitsAcknowledged > 0 && liveStatesCompared > 0, `seed ${seed}`);
    t.equal(losses, 0);
  },
);
