/** Random choices that a seed repeats (mulberry32). */
export class Random {
  #state: number;

  constructor(readonly seed: number) {
    this.#state = seed >>> 0;
  }

  /** 0 ≤ n < below. */
  int(below: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let x = this.#state;
    x = Math.imul(x ^ (x >>> 15), x | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return Math.floor((((x ^ (x >>> 14)) >>> 0) / 4_294_967_296) * below);
  }

  /** True once in `times` on average. */
  once(times: number): boolean {
    return this.int(times) === 0;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.int(items.length)] as T;
  }
}

/** The seeds of this run: CAIRN_SEED begins it, or the clock; CAIRN_RUNS says how many. */
export function seeds(): { first: number; runs: number | null } {
  const { CAIRN_SEED: seed, CAIRN_RUNS: runs } = process.env;
  return {
    first: seed === undefined ? Date.now() % 1_000_000_000 : Number(seed),
    runs: runs === undefined ? (seed === undefined ? null : 1) : Number(runs),
  };
}

/** The command that does the same again. */
export function again(file: string, seed: number): string {
  return `CAIRN_SEED=${seed} CAIRN_RUNS=1 node dist-test/test/property/${file}.js`;
}

/** Bytes that a seed repeats. */
export function randomBytes(length: number, seed: number): Buffer {
  const random = new Random(seed);
  return Buffer.from(Uint8Array.from({ length }, () => random.int(256)));
}
