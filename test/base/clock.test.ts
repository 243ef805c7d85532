/** The system's clock: digits from the monotonic clock, steps from the wall clock. */
import t from 'tap';
import { systemClock } from '../../src/base/clock.js';

/** A world in which real time passes, and somebody sets the system's clock. Microseconds. */
class World {
  private realUs = 1_770_000_000_000_000;
  private setByUs = 0;
  private readonly startUs = this.realUs - 5_000_000;

  readonly sources = {
    wallMs: () => Math.floor((this.realUs + this.setByUs) / 1000),
    monotonicMs: () => (this.realUs - this.startUs) / 1000,
  };

  get wallUs(): number {
    return this.realUs + this.setByUs;
  }

  pass(us: number): void {
    this.realUs += us;
  }

  step(us: number): void {
    this.setByUs += us;
  }
}

t.test('microseconds pass one by one, and never lag by a millisecond', async (t) => {
  const world = new World();
  world.pass(437);
  const clock = systemClock(world.sources);
  let before = clock.nowUs();
  for (let i = 0; i < 5000; i += 1) {
    world.pass(7);
    const now = clock.nowUs();
    if (now <= before || now > world.wallUs || world.wallUs - now >= 1000) t.fail(`${before}, then ${now}`);
    before = now;
  }
  // A millisecond began under its eyes: from then on the digits are the real ones, to the step between two readings.
  t.ok(world.wallUs - before <= 7);
});

t.test('it follows when the system clock is set, back and forward, and keeps its digits', async (t) => {
  const world = new World();
  const clock = systemClock(world.sources);
  clock.nowUs();
  for (const stepUs of [-3_600_000_000, 86_400_000_000, -5_000, 4_000, 250_000, -250_000]) {
    world.step(stepUs);
    world.pass(10_123);
    const now = clock.nowUs();
    t.ok(Math.abs(world.wallUs - now) < 1000, `after a step of ${stepUs} µs`);
    world.pass(123);
    t.ok(Math.abs(clock.nowUs() - now - 123) <= 1);
  }
});

t.test('a step back of less than it can see is no error that grows', async (t) => {
  const world = new World();
  const clock = systemClock(world.sources);
  for (let i = 0; i < 50; i += 1) {
    world.step(-900);
    world.pass(333);
    t.ok(Math.abs(clock.nowUs() - world.wallUs) <= 4000);
  }
});

t.test('being held up between its two readings spoils one reading at most', async (t) => {
  const world = new World();
  let heldUpUs = 0;
  const clock = systemClock({
    wallMs: () => {
      const wallMs = world.sources.wallMs();
      world.pass(heldUpUs);
      return wallMs;
    },
    monotonicMs: world.sources.monotonicMs,
  });
  clock.nowUs();
  heldUpUs = 40_000;
  clock.nowUs();
  heldUpUs = 0;
  world.pass(1000);
  t.ok(Math.abs(clock.nowUs() - world.wallUs) < 1000);
});

t.test('the real one agrees with Date.now()', async (t) => {
  const clock = systemClock();
  for (let i = 0; i < 100; i += 1) {
    const from = Date.now();
    const nowUs = clock.nowUs();
    const to = Date.now();
    t.ok(Number.isSafeInteger(nowUs) && nowUs >= from * 1000 && nowUs < (to + 5) * 1000);
  }
});
