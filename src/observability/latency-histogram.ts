/**
 * How long things took, in microseconds: counts in buckets that are exact up to 64 and at most 3 % wide above, in
 * 7 KB whatever was recorded. Every bucket ends at a value that it includes; each power of two ends one.
 *
 *   value   1 … 64        one bucket each
 *           65 … 128      32 buckets of 2
 *           129 … 256     32 buckets of 4      … up to 2^31 µs, 36 minutes; what took longer counts as that
 */
const EXACT = 64;
const PER_DOUBLING = 32;
const LONGEST = 2 ** 31;
const BUCKETS = EXACT + 25 * PER_DOUBLING;

export class LatencyHistogram {
  private readonly counts = new Float64Array(BUCKETS);
  count = 0;

  record(us: number): void {
    const bucket = bucketOf(us);
    this.counts[bucket] = (this.counts[bucket] as number) + 1;
    this.count++;
  }

  /** The value that so many percent of all did not pass; 0 where nothing was recorded. */
  percentile(percent: number): number {
    const wanted = Math.max(1, Math.ceil((this.count * percent) / 100));
    let seen = 0;
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      seen += this.counts[bucket] as number;
      if (seen >= wanted) return endOf(bucket);
    }
    return 0;
  }

  /** For each power of two between which and the one before something was recorded: how many took no longer. */
  cumulative(): [us: number, count: number][] {
    const result: [number, number][] = [];
    let seen = 0;
    let shown = 0;
    let end = 1;
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      seen += this.counts[bucket] as number;
      if (endOf(bucket) !== end) continue;
      if (seen > shown) result.push([end, seen]);
      shown = seen;
      end *= 2;
    }
    return result;
  }
}

function bucketOf(us: number): number {
  const value = Math.min(Math.max(Math.ceil(us), 1), LONGEST) - 1;
  if (value < EXACT) return value;
  const exponent = 31 - Math.clz32(value);
  return EXACT + (exponent - 6) * PER_DOUBLING + ((value >>> (exponent - 5)) & (PER_DOUBLING - 1));
}

/** The largest value of a bucket. */
function endOf(bucket: number): number {
  if (bucket < EXACT) return bucket + 1;
  const exponent = 6 + Math.floor((bucket - EXACT) / PER_DOUBLING);
  const within = (bucket - EXACT) % PER_DOUBLING;
  return (PER_DOUBLING + within + 1) * 2 ** (exponent - 5);
}
