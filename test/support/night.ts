/**
 * Tests that go on for as long as they are told to: a few seconds in the suite, CAIRN_MINUTES by night
 * (scripts/nightly.mjs), with choices from CAIRN_SEED.
 */
export interface Night {
  readonly seed: number;
  /** false: a run of the suite. */
  readonly long: boolean;
  /** Whether there is time for another round. */
  goesOn(): boolean;
}

/** `secondsByDay`: how long it goes on in the suite. */
export function night(secondsByDay: number): Night {
  const { CAIRN_SEED: seed, CAIRN_MINUTES: minutes } = process.env;
  const limitMs = minutes === undefined ? secondsByDay * 1000 : Number(minutes) * 60_000;
  const begun = performance.now();
  return {
    seed: seed === undefined ? Date.now() % 1_000_000_000 : Number(seed),
    long: minutes !== undefined,
    goesOn: () => performance.now() - begun < limitMs,
  };
}
