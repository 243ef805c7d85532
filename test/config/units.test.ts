import fc from 'fast-check';
import t from 'tap';
import {
  largestSize,
  longestDurationMs,
  NotAValue,
  parseDuration,
  parseSize,
  printDuration,
  printSize,
} from '../../src/config/units.js';

const hostile = [
  '',
  ' ',
  '-1',
  '-1d',
  '+1d',
  '1.5h',
  '1e3',
  '1e3s',
  '0x10',
  '0x10s',
  'NaN',
  'Infinity',
  'nan',
  'null',
  'undefined',
  '1 d',
  ' 1d',
  '1d ',
  '1d\n',
  '\n',
  '1d1h',
  'd',
  'ms',
  '1w',
  '1y',
  '1us',
  '01d',
  '00',
  '1_000s',
  '1,000s',
  '٣s',
  '1d\0',
  '99999999999999999999',
  `${'9'.repeat(400)}d`,
  '9007199254740993tb',
  'all',
  'no',
  'none',
  '-0',
  '--1',
  '1dd',
  '[object Object]',
];

t.test('durations are read in each unit', async (t) => {
  const cases: [string, number][] = [
    ['500ms', 500],
    ['45s', 45_000],
    ['30m', 1_800_000],
    ['12h', 43_200_000],
    ['90d', 7_776_000_000],
    ['0', 0],
    ['0s', 0],
    ['0d', 0],
    ['1ms', 1],
    ['36500d', longestDurationMs],
  ];
  for (const [text, ms] of cases) t.equal(parseDuration(text), ms, text);
});

t.test('a number without a unit is no duration, and the refusal names the units', async (t) => {
  t.throws(() => parseDuration('10'), { message: 'argument must have a unit: ms, s, m, h or d' });
});

t.test('D5: hostile durations are refused, never read as zero or as something near', async (t) => {
  for (const text of [...hostile, '45S', '30M', '1kb', '10', '1000', '36501d', '9007199254740991ms']) {
    t.throws(() => parseDuration(text), NotAValue, JSON.stringify(text));
  }
});

t.test('sizes are read in powers of two, in either case', async (t) => {
  const cases: [string, number][] = [
    ['0', 0],
    ['4096', 4096],
    ['64kb', 65_536],
    ['100mb', 104_857_600],
    ['2gb', 2_147_483_648],
    ['1TB', 2 ** 40],
    ['7b', 7],
    ['1Kb', 1024],
    [String(largestSize), largestSize],
  ];
  for (const [text, bytes] of cases) t.equal(parseSize(text), bytes, text);
});

t.test('a decimal unit is refused with the form that was probably meant', async (t) => {
  t.throws(() => parseSize('64k'), { message: 'argument must be in bytes, or in powers of two such as 64kb' });
});

t.test('hostile sizes are refused', async (t) => {
  for (const text of [...hostile, '1k', '1m', '1g', '1kib', '1s', '9007199254740992', '8192tb']) {
    t.throws(() => parseSize(text), NotAValue, JSON.stringify(text));
  }
});

t.test('what is printed is read back as the same value', async () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: longestDurationMs }), (ms) => parseDuration(printDuration(ms)) === ms),
  );
  fc.assert(fc.property(fc.maxSafeNat(), (bytes) => parseSize(printSize(bytes)) === bytes));
  const unit = fc.constantFrom('ms', 's', 'm', 'h', 'd');
  fc.assert(
    fc.property(fc.nat({ max: 36_500 }), unit, (count, name) => {
      const ms = parseDuration(`${count}${name}`);
      return parseDuration(printDuration(ms)) === ms;
    }),
  );
});

t.test('whatever the text, the outcome is a safe value or a refusal', async () => {
  const text = fc.oneof(fc.string(), fc.stringMatching(/^-?\d{0,20}[a-z]{0,3}$/));
  for (const parse of [parseDuration, parseSize]) {
    fc.assert(
      fc.property(text, (given) => {
        try {
          const value = parse(given);
          return Number.isSafeInteger(value) && value >= 0;
        } catch (error) {
          return error instanceof NotAValue;
        }
      }),
    );
  }
});

t.test('values are printed in the largest unit that is exact', async (t) => {
  t.same([0, 1, 1000, 1500, 60_000, 86_400_000, 172_800_000].map(printDuration), [
    '0',
    '1ms',
    '1s',
    '1500ms',
    '1m',
    '24h',
    '2d',
  ]);
  t.same([0, 1, 1024, 1025, 2 ** 30, 3 * 2 ** 39].map(printSize), ['0', '1', '1kb', '1025', '1gb', '1536gb']);
});
