/**
 * What took at least latency_monitor_threshold milliseconds, by kind of event: the last 160 samples of each, one a second
 * (the longest of it), as Redis keeps them. The kinds are Redis's: `command`, and `fast-command` for commands that should
 * never take long.
 */
const SAMPLES = 160;

export interface LatencySample {
  readonly timeSeconds: number;
  readonly ms: number;
}

export interface LatencyEvent {
  readonly name: string;
  readonly samples: LatencySample[];
  /** Of all times since RESET. */
  longestMs: number;
}

export class LatencyEvents {
  private readonly events = new Map<string, LatencyEvent>();

  add(name: string, ms: number, nowMs: number): void {
    let event = this.events.get(name);
    if (event === undefined) {
      event = { name, samples: [], longestMs: 0 };
      this.events.set(name, event);
    }
    event.longestMs = Math.max(event.longestMs, ms);
    const timeSeconds = Math.floor(nowMs / 1000);
    const last = event.samples.at(-1);
    if (last?.timeSeconds === timeSeconds) {
      if (ms > last.ms) event.samples[event.samples.length - 1] = { timeSeconds, ms };
      return;
    }
    event.samples.push({ timeSeconds, ms });
    if (event.samples.length > SAMPLES) event.samples.shift();
  }

  get(name: string): LatencyEvent | undefined {
    return this.events.get(name);
  }

  all(): LatencyEvent[] {
    return [...this.events.values()];
  }

  /** Of these kinds, or of all; how many there were. */
  reset(names: readonly string[]): number {
    const chosen = names.length === 0 ? [...this.events.keys()] : names;
    return chosen.filter((name) => this.events.delete(name)).length;
  }
}
