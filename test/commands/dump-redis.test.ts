/** DUMP and RESTORE with a real redis-server on the other side: the same bytes, taken by both, in both directions. */
import fc from 'fast-check';
import t from 'tap';
import { crc64 } from '../../src/rdb/crc64.js';
import { decodeDump } from '../../src/rdb/dump-payload.js';
import { startPair } from '../support/differential.js';
import { propertyRuns } from '../support/property-runs.js';
import { multibulk } from '../support/resp.js';
import { RawClient } from '../support/server.js';

const pair = await startPair(t);
const options = { skip: pair.redis === null ? 'no redis-server is installed' : false };

const word = (text: string): Buffer => Buffer.from(text, 'latin1');
const command = (...words: (string | Buffer)[]): Buffer[] =>
  words.map((part) => (typeof part === 'string' ? word(part) : part));

function sealed(body: string, version = 10): Buffer {
  const bytes = Buffer.from(body.replaceAll(' ', ''), 'hex');
  const payload = Buffer.concat([bytes, Buffer.alloc(10)]);
  payload.writeUInt16LE(version, bytes.length);
  payload.writeBigUInt64LE(crc64(payload, bytes.length + 2), bytes.length + 2);
  return payload;
}

const values = [
  '',
  '0',
  '-1',
  '127',
  '128',
  '-128',
  '-129',
  '32767',
  '32768',
  '-32768',
  '-32769',
  '2147483647',
  '2147483648',
  '-2147483648',
  '-2147483649',
  '9223372036854775807',
  '-0',
  '01',
  '+1',
  ' 1',
  '1.5',
  'hello',
  'a'.repeat(20),
  'a'.repeat(21),
  'abcdefghijklmnopqrstuvwxyz',
  'ab'.repeat(50),
  'x'.repeat(63),
  Array.from({ length: 64 }, (_, at) => String.fromCharCode(at)).join(''),
  'hello world, '.repeat(2000),
  JSON.stringify(
    Array.from({ length: 300 }, (_, id) => ({ id, name: `user ${id}`, tags: ['a', 'b'], ok: id % 3 === 0 })),
  ),
  '\0'.repeat(100_000),
];

await pair.same(
  t,
  'DUMP gives the bytes of Redis',
  values.flatMap((value, at) => [command('SET', `k${at}`, value), command('DUMP', `k${at}`)]),
);
t.test('nothing of that needed a difference', async (t) => t.same([...pair.met], []));

const hello = sealed('00 05 68656c6c6f');
await pair.same(t, 'RESTORE: options, times and what is wrong with them', [
  command('RESTORE', 'k', '0', hello),
  command('GET', 'k'),
  command('TTL', 'k'),
  command('RESTORE', 'k', '0', hello),
  command('RESTORE', 'k', 'x', 'garbage'),
  command('RESTORE', 'k', '100000', hello, 'REPLACE'),
  command('TTL', 'k'),
  command('RESTORE', 'k', '4102444800123', hello, 'replace', 'absttl'),
  command('PEXPIRETIME', 'k'),
  command('RESTORE', 'k', '1', hello, 'ABSTTL', 'REPLACE'),
  command('EXISTS', 'k'),
  command('RESTORE', 'k', '1', hello, 'ABSTTL'),
  command('EXISTS', 'k'),
  command('RESTORE', 'k', '-1', hello),
  command('RESTORE', 'k', 'x', hello),
  command('RESTORE', 'k', '1.5', hello),
  command('RESTORE', 'k', '', hello),
  command('RESTORE', 'k', '9223372036854775808', hello),
  command('RESTORE', 'k', '9223372036854775807', hello, 'ABSTTL'),
  command('GET', 'k'),
  command('DEL', 'k'),
  command('RESTORE', 'k', '0', hello, 'IDLETIME', '10'),
  command('RESTORE', 'k', '0', hello, 'FREQ', '10', 'REPLACE'),
  command('RESTORE', 'k', '0', hello, 'FREQ', '10', 'FREQ', '11', 'REPLACE'),
  command('RESTORE', 'k', '0', hello, 'FREQ', '256', 'REPLACE'),
  command('RESTORE', 'k', '0', hello, 'FREQ', '-1'),
  command('RESTORE', 'k', '0', hello, 'FREQ', 'x'),
  command('RESTORE', 'k', '0', hello, 'FREQ'),
  command('RESTORE', 'k', '0', hello, 'IDLETIME', '-1'),
  command('RESTORE', 'k', '0', hello, 'IDLETIME', 'x'),
  command('RESTORE', 'k', '0', hello, 'IDLETIME'),
  command('RESTORE', 'k', '0', hello, 'IDLETIME', '1', 'FREQ', '1'),
  command('RESTORE', 'k', '0', hello, 'FREQ', '1', 'IDLETIME', '1'),
  command('RESTORE', 'k', '0', hello, 'NOPE'),
  command('RESTORE', 'k', '0', hello, 'REPLACE', 'REPLACE', 'ABSTTL', 'ABSTTL'),
  command('RESTORE', 'k', '0'),
  command('RESTORE'),
  command('DUMP'),
  command('DUMP', 'none'),
  command('DUMP', 'k', 'x'),
  command('GET', 'k'),
  command('MULTI'),
  command('RESTORE', 'm', '0', hello),
  command('RESTORE', 'm', '0', hello),
  command('DUMP', 'm'),
  command('EXEC'),
]);

await pair.same(t, 'RESTORE: payloads that are wrong', [
  ...['', 'garbage', 'x'.repeat(10), 'x'.repeat(100)].map((payload) => command('RESTORE', 'k', '0', payload)),
  ...[11, 255, 65535].map((version) => command('RESTORE', 'k', '0', sealed('00 01 61', version))),
  ...[0, 1, 9].map((version) => command('RESTORE', `v${version}`, '0', sealed('00 01 61', version))),
  ...[
    '',
    '00',
    '00 80 0000',
    '00 80 7fffffff 00',
    '00 81 7fffffffffffffff 00',
    '00 81 8000000000000000 00',
    '00 c4 01',
    '00 82 00000001 61',
    'ff 00',
    '07 00',
    '00 c3 02 01 0061 61',
    '00 c3 02 05 0061',
    '00 c3 04 05 0061 2005',
    '00 c3 02 08 0761',
    '00 c3 03 05 0061 20',
    '00 c3 80 7fffffff 05 0061',
    '00 c3 02 80 7fffffff 0061',
  ].map((body) => command('RESTORE', 'k', '0', sealed(body))),
  command('EXISTS', 'k'),
  ...[
    '00 01 61 ffff',
    '00 80 00000001 61',
    '00 81 0000000000000001 61',
    '00 c0 80',
    '00 c1 0080',
    '00 c2 00000080',
  ].flatMap((body, at) => [
    command('RESTORE', `odd${at}`, '0', sealed(body)),
    command('GET', `odd${at}`),
    command('DUMP', `odd${at}`),
  ]),
]);

await pair.same(t, 'RESTORE: what Redis takes and Cairn refuses', [
  command('RESTORE', 'hash', '0', sealed('04 01 0161 0162')),
  command('RESTORE', 'list', '0', sealed('01 01 0161')),
  command('RESTORE', 'set', '0', sealed('02 01 0161')),
  command('RESTORE', 'footer', '0', sealed('00 06 68656c6c6f')),
  command('RESTORE', 'empty', '0', sealed('00 c3 01 00 0061')),
]);

/** Parts of some length that come again: what LZF has choices in. */
const part = fc.oneof(
  fc.constantFrom('abc', 'hello ', '0000', '{"id":1,"name":"', '\0\0\0', 'x').map((text) => Buffer.from(text)),
  fc.uint8Array({ minLength: 1, maxLength: 40, size: 'max' }).map((bytes) => Buffer.from(bytes)),
  fc.uint8Array({ minLength: 1, maxLength: 400, max: 2, size: 'max' }).map((bytes) => Buffer.from(bytes)),
);
const text = fc
  .tuple(fc.array(part, { minLength: 1, maxLength: 8 }), fc.array(fc.nat(7), { maxLength: 200, size: 'max' }))
  .map(([parts, order]) => Buffer.concat(order.map((nth) => parts[nth % parts.length] as Buffer)));
const value = fc.oneof(
  text,
  fc.uint8Array({ maxLength: 9000, max: 7, size: 'max' }).map((bytes) => Buffer.from(bytes)),
  fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  fc.integer().map((number) => Buffer.from(String(number))),
);

t.test('a dump of either is restored by the other, for every value', options, async (t) => {
  const server = await RawClient.connect(pair.redis?.port as number);
  const ours = await RawClient.connect(pair.port);
  const bulk = async (client: RawClient, ...words: (string | Buffer)[]): Promise<Buffer> => {
    client.send(multibulk(...words));
    const reply = await client.next();
    if (reply === null || !('text' in reply) || reply.type === 'error') throw new Error(JSON.stringify(reply));
    return word(reply.text);
  };
  let equal = 0;
  let compressed = 0;
  const property = fc.asyncProperty(value, async (input) => {
    await bulk(server, 'SET', 'k', input);
    await bulk(ours, 'SET', 'k', input);
    const [theirDump, ourDump] = [await bulk(server, 'DUMP', 'k'), await bulk(ours, 'DUMP', 'k')];
    await bulk(server, 'RESTORE', 'r', '0', ourDump, 'REPLACE');
    await bulk(ours, 'RESTORE', 'r', '0', theirDump, 'REPLACE');
    if (ourDump.equals(theirDump)) equal++;
    // Where Redis compressed otherwise it still is the same value, and no shorter by more than the odd match.
    else if (!(decodeDump(theirDump, 1 << 20) as Buffer).equals(input)) return false;
    if (ourDump[1] === 0xc3) compressed++;
    return (await bulk(server, 'GET', 'r')).equals(input) && (await bulk(ours, 'GET', 'r')).equals(input);
  });
  const { numRuns = 0, ...rest } = propertyRuns(400);
  await fc.assert(property, { ...rest, numRuns });
  t.ok(compressed > numRuns / 10, `${compressed} of ${numRuns} were compressed`);
  t.ok(equal >= numRuns * 0.98, `${equal} of ${numRuns} had the same bytes`);
  t.comment(`${equal} of ${numRuns} dumps had the same bytes, ${compressed} were compressed`);
  server.close();
  ours.close();
});
