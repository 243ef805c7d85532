/** However requests are cut into chunks, the same requests come out. */
import fc from 'fast-check';
import t from 'tap';
import { RequestDecoder } from '../../src/resp/decode.js';
import { multibulk } from '../support/resp.js';

const limits = { protoMaxBulkLen: 1024 * 1024 };
const argument = fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes));
const binaryRequest = fc.array(argument, { minLength: 1, maxLength: 6 });
/** Words that inline requests can carry as they are. */
const inlineRequest = fc.array(fc.stringMatching(/^[a-zA-Z0-9:._-]{1,12}$/), { minLength: 1, maxLength: 5 });

/** What is sent, and what must come out of it. */
const sent = fc.oneof(
  { weight: 4, arbitrary: binaryRequest.map((words) => ({ bytes: multibulk(...words), request: words })) },
  {
    weight: 2,
    arbitrary: fc.tuple(inlineRequest, fc.constantFrom('\r\n', '\n')).map(([words, end]) => ({
      bytes: Buffer.from(words.join(' ') + end),
      request: words.map((word) => Buffer.from(word)),
    })),
  },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom('*0\r\n', '*-1\r\n', '\r\n', '  \r\n')
      .map((nothing) => ({ bytes: Buffer.from(nothing), request: null })),
  },
);

t.test('requests split at every byte come out as they went in', async (t) => {
  const requests = [['SET', 'k', 'v\r\n'], ['PING'], ['ECHO', ''], ['x', '*1', '$3', 'a b']];
  const bytes = Buffer.concat([
    multibulk(...(requests[0] as string[])),
    Buffer.from('PING\r\n*0\r\n'),
    multibulk(...(requests[2] as string[])),
    Buffer.from("x *1 $3 'a b'\n"),
  ]);
  for (let cut = 0; cut <= bytes.length; cut++) {
    for (const chunks of [
      [bytes.subarray(0, cut), bytes.subarray(cut)],
      [bytes.subarray(0, cut), bytes.subarray(cut, cut + 1), bytes.subarray(cut + 1)],
    ]) {
      const decoder = new RequestDecoder(limits);
      const out = chunks.flatMap((chunk) => decoder.feed(chunk)).map((request) => request.map(String));
      t.same(out, requests, `cut at ${cut}`);
    }
  }
  const decoder = new RequestDecoder(limits);
  const out = [...bytes].flatMap((byte) => decoder.feed(Buffer.of(byte))).map((request) => request.map(String));
  t.same(out, requests, 'byte by byte');
  t.equal(decoder.bufferedBytes, 0);
});

t.test('any requests in any chunks', async () => {
  fc.assert(
    fc.property(
      fc.array(sent, { maxLength: 12 }),
      fc.array(fc.integer({ min: 1, max: 60 })),
      fc.boolean(),
      (all, sizes, restricted) => {
        const bytes = Buffer.concat(all.map(({ bytes }) => bytes));
        const decoder = new RequestDecoder(limits);
        decoder.restricted = restricted;
        const out: Buffer[][] = [];
        for (let at = 0, nth = 0; at < bytes.length; nth++) {
          const size = sizes.length === 0 ? bytes.length : (sizes[nth % sizes.length] as number);
          let requests = decoder.feed(Buffer.from(bytes.subarray(at, at + size)));
          for (; requests.length > 0; requests = decoder.more()) {
            if (restricted && requests.length !== 1) throw new Error('a restricted decoder gave more than one request');
            out.push(...requests);
          }
          at += size;
        }
        const expected = all.map(({ request }) => request).filter((request) => request !== null);
        const same =
          out.length === expected.length &&
          out.every((request, nth) => {
            const other = expected[nth] as Buffer[];
            return request.length === other.length && request.every((word, at) => word.equals(other[at] as Buffer));
          });
        if (!same) throw new Error(`${out.length} requests came out of ${expected.length}`);
        if (decoder.failure !== null) throw decoder.failure;
        if (decoder.bufferedBytes !== 0) throw new Error('something was kept');
      },
    ),
    { numRuns: 1500 },
  );
});

t.test(
  'any bytes in any chunks: requests or a protocol error, never an exception, and the same however cut',
  async () => {
    const hostile = fc
      .array(
        fc.oneof(
          fc.constantFrom(
            '*',
            '$',
            '\r\n',
            '\n',
            '"',
            "'",
            '-',
            '0',
            '1',
            '2',
            '3',
            '10',
            ' ',
            'GET',
            '*2\r\n$1\r\na\r\n',
          ),
          fc.string({ maxLength: 3, unit: 'binary' }),
        ),
        { maxLength: 40 },
      )
      .map((parts) => Buffer.from(parts.join(''), 'latin1'));
    fc.assert(
      fc.property(hostile, fc.integer({ min: 1, max: 7 }), (bytes, size) => {
        const whole = new RequestDecoder(limits);
        const atOnce = whole.feed(Buffer.from(bytes));
        const pieces = new RequestDecoder(limits);
        const inPieces: Buffer[][] = [];
        for (let at = 0; at < bytes.length; at += size) {
          inPieces.push(...pieces.feed(Buffer.from(bytes.subarray(at, at + size))));
        }
        const shown = (requests: Buffer[][]) =>
          JSON.stringify(requests.map((request) => request.map((w) => w.toString('hex'))));
        if (shown(atOnce) !== shown(inPieces)) throw new Error(`${shown(atOnce)} and ${shown(inPieces)}`);
        if (whole.failure?.line !== pieces.failure?.line)
          throw new Error(`${whole.failure?.line}, ${pieces.failure?.line}`);
      }),
      { numRuns: 3000 },
    );
  },
);
