/** Recovery at the edges of lines: clocks that lag, ends that nobody archived, copies that are older than they say. */
import t, { type Test } from 'tap';
import { type Fixture, type FixtureOptions, openFixture } from '../support/backup-fixture.js';
import { scratch } from '../support/scratch.js';

const HOUR_US = 3_600_000_000;

async function fixture(t: Test, options: FixtureOptions = {}): Promise<Fixture> {
  const opened = await openFixture(scratch(t), { archive: () => true, ...options });
  t.teardown(() => opened.close());
  return opened;
}

function movableClock() {
  let us = 1_772_000_000_000_000;
  return {
    nowUs: () => (us += 100),
    move(by: number) {
      us += by;
    },
  };
}

t.test(
  'PREVIOUS: the way back forks after the last commit of the kept line, whatever the wall clock said',
  async (t) => {
    const clock = movableClock();
    const f = await fixture(t, { clock });
    await f.set('n', '1');
    const full = await f.create();
    clock.move(-HOUR_US);
    await f.set('n', '2');
    const us = f.keyspace.position.lastCommitUs;
    await f.set('n', '3');
    const lastUs = f.keyspace.position.lastCommitUs;
    await f.restore({ backup: full });
    const back = await f.restore({ backup: 'PREVIOUS' });
    t.ok(
      (back.last_commit_at ?? '') <= (back.timestamp ?? ''),
      `${back.last_commit_at} is not after ${back.timestamp}`,
    );
    await f.restore({ target: { at: String(lastUs) }, to: 'last' });
    await f.restore({ target: { at: String(us) } });
    t.equal(await f.get('n'), '2', 'what the live database has in its past is there');
  },
);
