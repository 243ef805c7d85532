/** The wall clock, handed in wherever time decides something, so that tests can move it. */
export interface WallClock {
  /** Unix time in microseconds, an integer. May step back. */
  nowUs(): number;
}

export interface ClockSources {
  /** Unix time in whole milliseconds, as the system has it at this moment. */
  wallMs(): number;
  /** Milliseconds with a fraction since some moment; never steps. */
  monotonicMs(): number;
}

/** How far the two may be apart before the system's clock is taken to have been set back. */
const TOLERANCE_MS = 3;

const systemSources: ClockSources = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
};

/**
 * The system's clock, with the digits below the millisecond taken from the monotonic one. The distance between the two
 * is kept from call to call, and follows when somebody sets the system's clock, forward or back:
 *
 *   - never before the whole milliseconds that the system shows: they are read first, so that much has passed for sure
 *   - never more than TOLERANCE_MS after them: a process may be held up between the two readings
 */
export function systemClock(sources: ClockSources = systemSources): WallClock {
  let offsetMs = Number.NEGATIVE_INFINITY;
  return {
    nowUs() {
      const wallMs = sources.wallMs();
      const monotonicMs = sources.monotonicMs();
      const aheadMs = offsetMs + monotonicMs - wallMs;
      if (aheadMs < 0 || aheadMs > 1 + TOLERANCE_MS) offsetMs = wallMs - monotonicMs;
      return Math.round((offsetMs + monotonicMs) * 1000);
    },
  };
}
