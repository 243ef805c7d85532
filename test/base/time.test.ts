/** Times in and out: every accepted form, every refused one, and the round trip. */
import fc from 'fast-check';
import t from 'tap';
import { CairnError } from '../../src/base/errors.js';
import { formatTime, isFormattedTime, parseTime } from '../../src/base/time.js';

const moment = Date.UTC(2026, 0, 28, 10, 30, 4) * 1000;

t.test('every accepted form names the same microsecond', async (t) => {
  const forms: [string, number][] = [
    ['2026-01-28T10:30:04.123456Z', moment + 123456],
    ['2026-01-28T10:30:04.5Z', moment + 500000],
    ['2026-01-28T10:30:04Z', moment],
    ['2026-01-28t10:30:04z', moment],
    ['2026-01-28T12:30:04+02:00', moment],
    ['2026-01-28T05:00:04-05:30', moment],
    ['2026-01-28T10:30:04-00:00', moment],
    ['2026-01-28 10:30:04', moment],
    ['2026-01-28 10:30:04.000001', moment + 1],
    ['2026-01-28 12:30:04+02:00', moment],
    ['1769596204', moment],
    ['1769596204123', moment + 123000],
    ['1769596204123456', moment + 123456],
    ['1969-12-31T23:59:59.999999Z', -1],
    ['2024-02-29T00:00:00Z', Date.UTC(2024, 1, 29) * 1000],
  ];
  for (const [text, us] of forms) t.same(parseTime(text), { us, bareDate: false }, text);
  t.same(parseTime('2026-01-28'), { us: Date.UTC(2026, 0, 28) * 1000, bareDate: true });
});

t.test('what is not exactly a time is refused and the accepted forms are named', async (t) => {
  const refused = [
    '',
    'yesterday',
    '-1',
    '+1769596204',
    '1.5',
    '17695962',
    '17695962041',
    '9223372036854775808',
    '9999999999999999',
    '2026-02-30',
    '2025-02-29T00:00:00Z',
    '1900-02-29',
    '2026-13-01',
    '2026-00-10',
    '2026-01-00',
    '2026-01-28T24:00:00Z',
    '2026-01-28T10:60:00Z',
    '2016-12-31T23:59:60Z',
    '2026-01-28T10:30:04',
    '2026-01-28T10:30Z',
    '2026-01-28T10:30:04.1234567Z',
    '2026-01-28T10:30:04.Z',
    '2026-01-28T10:30:04+24:00',
    '2026-01-28T10:30:04+02:60',
    '2026-01-28T10:30:04+0200',
    '2026-1-28',
    '26-01-28',
    '0000-01-01',
    '9999-12-31',
    ' 2026-01-28',
    '2026-01-28\n',
    '٢٠٢٦-01-28',
  ];
  for (const text of refused) {
    const error = thrownBy(() => parseTime(text));
    t.ok(error instanceof CairnError && error.code === 'ERR', JSON.stringify(text));
    t.match((error as CairnError).hint, '2026-01-28T10:30:04.123456Z', JSON.stringify(text));
  }
});

t.test('a refused text cannot flood or break the reply', async (t) => {
  const error = thrownBy(() => parseTime(`\r\n${'x'.repeat(100_000)}`)) as CairnError;
  t.ok(error.line.length < 500);
  t.notMatch(error.line, /[\r\n]/);
});

t.test('what formatTime prints parses back to the same microsecond', async (t) => {
  fc.assert(
    fc.property(fc.maxSafeInteger(), (us) => {
      const text = formatTime(us);
      return text.length === 27 && isFormattedTime(text) && parseTime(text).us === us;
    }),
  );
  t.equal(formatTime(moment + 123456), '2026-01-28T10:30:04.123456Z');
  t.equal(formatTime(-1), '1969-12-31T23:59:59.999999Z');
  t.throws(() => formatTime(1.5), RangeError);
});

t.test('only the printed form counts as formatted', async (t) => {
  t.ok(isFormattedTime('2026-01-28T10:30:04.123456Z'));
  for (const text of ['2026-01-28T10:30:04Z', '2026-02-30T10:30:04.123456Z', '2026-01-28T10:30:04.123456+00:00', '']) {
    t.notOk(isFormattedTime(text), text);
  }
});

function thrownBy(body: () => unknown): unknown {
  try {
    body();
  } catch (error) {
    return error;
  }
  return undefined;
}

t.test('of texts that look printed, those are moments that the calendar has', async () => {
  const two = (most: number) => fc.integer({ min: 0, max: most }).map((value) => String(value).padStart(2, '0'));
  const year = fc.oneof(
    fc.constantFrom(1600, 1683, 1684, 1685, 1700, 1900, 2000, 2024, 2100, 2254, 2255, 2256, 9999, 0),
    fc.integer({ min: 0, max: 9999 }),
  );
  const looks = fc
    .tuple(year, two(13), two(32), two(24), two(60), two(60), fc.integer({ min: 0, max: 999_999 }))
    .map(
      ([y, mo, d, h, mi, s, us]) =>
        `${String(y).padStart(4, '0')}-${mo}-${d}T${h}:${mi}:${s}.${String(us).padStart(6, '0')}Z`,
    );
  const spoiled = fc
    .tuple(looks, fc.integer({ min: 0, max: 26 }), fc.constantFrom('x', ' ', '/', ':', 'z', '٣', '-'))
    .map(([text, at, character]) => text.slice(0, at) + character + text.slice(at + 1));
  fc.assert(
    fc.property(fc.oneof(looks, spoiled), (text) => {
      const ms = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/.test(text)
        ? Date.parse(`${text.slice(0, 23)}Z`)
        : Number.NaN;
      const us = ms * 1000 + Number(text.slice(23, 26));
      const isMoment = Number.isSafeInteger(us) && new Date(ms).toISOString().slice(0, 23) === text.slice(0, 23);
      if (isFormattedTime(text) !== isMoment) return false;
      return !isMoment || (parseTime(text).us === us && formatTime(us) === text);
    }),
    { numRuns: 5000 },
  );
});
