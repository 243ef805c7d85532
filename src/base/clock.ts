/** The wall clock, handed in wherever time decides something, so that tests can move it. */
export interface WallClock {
  /** Unix time in microseconds, an integer. May step back. */
  nowUs(): number;
}

/** The system's clock. `Date.now()` has milliseconds; the monotonic clock supplies the digits below. */
export function systemClock(): WallClock {
  return { nowUs: () => Math.trunc((performance.timeOrigin + performance.now()) * 1000) };
}
