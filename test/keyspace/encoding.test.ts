/** The bytes of docs/keyspace.md. */
import fc from 'fast-check';
import t from 'tap';
import { decodeCommitMark, encodeCommitMark } from '../../src/keyspace/commit-mark.js';
import { DatabaseMap } from '../../src/keyspace/database-map.js';
import { DATABASES_KEY, nativeLayout, STATE_KEY, successor } from '../../src/keyspace/layout.js';
import { ScanCursors } from '../../src/keyspace/scan-cursors.js';
import { decodeState, encodeState } from '../../src/keyspace/state-record.js';
import { decodeValue, encodeValue, expiryOf, typeOf } from '../../src/keyspace/value.js';
import { bytes } from './harness.js';

const hex = (buffer: Buffer | undefined) => buffer?.toString('hex');

t.test('keys', async (t) => {
  t.equal(hex(STATE_KEY), '00636169726e2e7374617465');
  t.equal(hex(nativeLayout.mainKey(3, bytes('ab'))), '01036162');
  t.equal(hex(nativeLayout.expiryIndex?.key(3, 1_700_000_000_123, bytes('ab'))), '02030000018bcfe5687b6162');
  t.same(nativeLayout.expiryIndex?.parse(Buffer.from('02030000018bcfe5687b6162', 'hex')), {
    slot: 3,
    expiresAtMs: 1_700_000_000_123,
    key: bytes('ab'),
  });
  const all = nativeLayout.range(0, Buffer.alloc(0));
  t.same([hex(all.gte), hex(all.lt)], ['0100', '0101']);
  const prefix = nativeLayout.range(0, bytes('a\xff'));
  t.same([hex(prefix.gte), hex(prefix.lt)], ['010061ff', '010062']);
  t.equal(successor(bytes('\xff\xff')), null);
});

t.test('which database is in which slot', async (t) => {
  t.equal(hex(DATABASES_KEY), '00636169726e2e646174616261736573');
  const plain = DatabaseMap.plain(16);
  t.equal(plain.encode(), null, 'no record while each is in its own');
  const swapped = plain.swapped(0, 1);
  const record = swapped.encode() as Buffer;
  t.equal(hex(record), '01010002030405060708090a0b0c0d0e0f');
  t.same(DatabaseMap.decode(record, 16), swapped);
  t.same([swapped.slotOf(0), swapped.slotOf(1), swapped.databaseIn(0), swapped.slotOf(2)], [1, 0, 1, 2]);
  t.equal(swapped.swapped(1, 0).encode(), null);
  const cycle = swapped.swapped(0, 2);
  t.same(
    [0, 1, 2].map((database) => cycle.slotOf(database)),
    [2, 0, 1],
  );
  t.same(
    [0, 1, 2].map((slot) => cycle.databaseIn(slot)),
    [1, 2, 0],
  );
  for (const damaged of [
    '',
    '02000102030405060708090a0b0c0d0e0f',
    '0100',
    '01000102030405060708090a0b0c0d0e0e',
    '01000102030405060708090a0b0c0d0e10',
  ]) {
    t.throws(() => DatabaseMap.decode(Buffer.from(damaged, 'hex'), 16), { code: 'MISCONF' }, `refuses ${damaged}`);
  }
});

t.test('values', async (t) => {
  const plain = { type: 'string', bytes: bytes('hi'), expiresAtMs: null } as const;
  t.equal(hex(encodeValue(plain)), '006869');
  const expiring = { ...plain, expiresAtMs: 1_700_000_000_123 };
  t.equal(hex(encodeValue(expiring)), '100000018bcfe5687b6869');
  t.same(decodeValue(encodeValue(expiring)), expiring);
  t.equal(expiryOf(encodeValue(expiring)), 1_700_000_000_123);
  t.equal(expiryOf(encodeValue(plain)), null);
  t.same(
    ['00', '01', '12', '03', '04'].map((type) => typeOf(Buffer.from(`${type}0000000000000000`, 'hex'))),
    ['string', 'hash', 'list', 'set', 'zset'],
  );
  for (const damaged of ['', '10', '05', '20', 'ff', '1000000000']) {
    t.throws(() => decodeValue(Buffer.from(damaged, 'hex')), { code: 'ERR' }, `refuses ${damaged}`);
  }
});

t.test('a commit mark', async (t) => {
  const mark = encodeCommitMark(1_700_000_000_123_456, 7);
  t.equal(hex(mark), 'ca0100060a241820224000000007');
  t.same(decodeCommitMark(mark), { timeUs: 1_700_000_000_123_456, timeline: 7 });
  t.equal(decodeCommitMark(mark.subarray(1)), null);
  t.equal(decodeCommitMark(Buffer.from(`cb${mark.toString('hex').slice(2)}`, 'hex')), null);
});

t.test('a state record', async (t) => {
  const none = new Array<number>(13).fill(0);
  const keyCounts = [5, 0, 2, ...none];
  const older = { lastCommitUs: 1_700_000_000_123_456, timeline: 2, commitCount: 9, keyCounts, expiryCounts: null };
  const uncounted = encodeState(older);
  const counts = '0000000000000005' + '0000000000000000' + '0000000000000002';
  t.equal(hex(uncounted), `0100060a241820224000000002000000000000000903${counts}`, 'as the first version wrote it');
  t.same(decodeState(uncounted, 16), older, 'nobody counted the keys with an expiry');
  const uncountedSwapped = encodeState(older, true);
  t.equal(hex(uncountedSwapped), `02${hex(uncounted)?.slice(2)}`, 'while databases are swapped');
  t.same(decodeState(uncountedSwapped, 16), older);

  const state = { ...older, expiryCounts: [3, 0, 1, ...none] };
  const record = encodeState(state);
  const expiring = '0000000000000003' + '0000000000000000' + '0000000000000001';
  t.equal(hex(record), `0300060a241820224000000002000000000000000903${counts}${expiring}`);
  t.same(decodeState(record, 16), state);
  const swapped = encodeState(state, true);
  t.equal(hex(swapped), `04${hex(record)?.slice(2)}`, 'while databases are swapped');
  t.same(decodeState(swapped, 16), state);

  const as = (version: number, bytes: Buffer): Buffer => Buffer.concat([Buffer.of(version), bytes.subarray(1)]);
  const counting = (bytes: Buffer, n: number): Buffer => {
    const changed = Buffer.from(bytes);
    changed[21] = n;
    return changed;
  };
  for (const sound of [uncounted, uncountedSwapped, record, swapped]) {
    for (let length = 0; length < sound.length; length += 1) {
      t.throws(() => decodeState(sound.subarray(0, length), 16), { code: 'MISCONF' }, `the first ${length} bytes`);
    }
    for (const damaged of [
      sound.subarray(1),
      Buffer.concat([sound, Buffer.of(0)]),
      Buffer.concat([sound, Buffer.alloc(8)]),
      ...[0, 5, 255].map((version) => as(version, sound)),
      ...[0, 1, 2, 4, 5, 17, 255].map((n) => counting(sound, n)),
    ]) {
      t.throws(() => decodeState(damaged, 16), { code: 'MISCONF' }, `${damaged.subarray(0, 22).toString('hex')} …`);
    }
  }
  t.throws(() => decodeState(as(3, uncounted), 16), { code: 'MISCONF' }, 'the newer form without its counts');
  t.throws(() => decodeState(as(1, record), 16), { code: 'MISCONF' }, 'the older form with more than its counts');
  t.throws(() => decodeState(record, 2), { code: 'MISCONF' }, 'more databases than there are');
  const count = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
  const any = fc.record({
    lastCommitUs: count,
    timeline: fc.integer({ min: 0, max: 0xffffffff }),
    commitCount: count,
    keyCounts: fc.array(count, { minLength: 16, maxLength: 16 }),
    expiryCounts: fc.option(fc.array(count, { minLength: 16, maxLength: 16 })),
  });
  fc.assert(
    fc.property(any, (each) => {
      t.same(decodeState(encodeState(each), 16), each);
    }),
    { numRuns: 50 },
  );
});

t.test('scan cursors are kept by number and by bytes, the newest longest', async (t) => {
  const few = new ScanCursors(3, 1000);
  const cursors = ['a', 'b', 'c', 'd'].map((key) => few.add(0, bytes(key)));
  t.equal(few.find(cursors[0] as number), undefined);
  t.same(
    cursors.slice(1).map((cursor) => few.find(cursor)?.after.toString()),
    ['b', 'c', 'd'],
  );
  const small = new ScanCursors(100, 10);
  const [first, second] = [small.add(1, Buffer.alloc(8)), small.add(1, Buffer.alloc(80))];
  t.equal(small.find(first as number), undefined);
  t.equal(small.find(second as number)?.after.length, 80, 'the last one stays, whatever its size');
});
