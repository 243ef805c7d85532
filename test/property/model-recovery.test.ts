/**
 * Recovery against a model: whatever happened to a database, its clock and its repository, every recovery is exactly the
 * state that the model has there, or is refused where that is allowed. CAIRN_SEED, CAIRN_RUNS and CAIRN_MINUTES repeat and
 * lengthen it.
 */
import t from 'tap';
import { night } from '../support/night.js';
import { scratch } from '../support/scratch.js';
import { again, Random, seeds } from './support/random.js';
import { RecoveryHistory } from './support/recovery-history.js';

const STEPS = 18;
const SECONDS = 18;

// CAIRN_RUNS says when it is over, not a clock.
t.setTimeout(0);

t.test('every recovery of a random history is exactly what the model has there', async (t) => {
  t.setTimeout(0);
  const { first, runs } = seeds();
  const { goesOn, long } = night(SECONDS);
  let done = 0;
  while (runs === null || long ? goesOn() : done < runs) {
    const seed = first + done;
    const said: string[] = [];
    const history = new RecoveryHistory(new Random(seed), scratch(t), (what) => said.push(what));
    try {
      await history.run(STEPS);
    } catch (error) {
      t.comment(said.join('\n'));
      t.comment(again('model-recovery.test', seed));
      throw error;
    } finally {
      await history.abandon();
    }
    done += 1;
  }
  t.pass(`${done} histories from seed ${first}`);
});
