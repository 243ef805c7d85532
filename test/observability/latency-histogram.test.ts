import fc from 'fast-check';
import t from 'tap';
import { LatencyHistogram } from '../../src/observability/latency-histogram.js';

t.test('a percentile is at most 3 % above the value that was recorded, and never below', async (t) => {
  const values = fc.array(fc.integer({ min: 0, max: 2 ** 31 }), { minLength: 1, maxLength: 200 });
  fc.assert(
    fc.property(values, fc.constantFrom(0, 50, 99, 99.9, 100), (values, percent) => {
      const histogram = new LatencyHistogram();
      for (const value of values) histogram.record(value);
      const sorted = values.map((value) => Math.max(value, 1)).sort((a, b) => a - b);
      const exact = sorted[Math.max(1, Math.ceil((sorted.length * percent) / 100)) - 1] as number;
      const found = histogram.percentile(percent);
      return found >= exact && found <= exact * 1.0313 + 1;
    }),
  );
  t.pass();
});

t.test('the counts by powers of two are exact', async (t) => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 2 ** 31 }), { maxLength: 100 }), (values) => {
      const histogram = new LatencyHistogram();
      for (const value of values) histogram.record(value);
      return histogram.cumulative().every(([end, count]) => values.filter((value) => value <= end).length === count);
    }),
  );
  const histogram = new LatencyHistogram();
  for (const us of [1, 2, 3, 4, 100, 128, 129]) histogram.record(us);
  t.same(histogram.cumulative(), [
    [1, 1],
    [2, 2],
    [4, 4],
    [128, 6],
    [256, 7],
  ]);
});
