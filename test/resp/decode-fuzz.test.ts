/**
 * Hostile bytes through the decoder, in random pieces, against a plain reference over the whole input: the same requests,
 * the same error, whatever the cut; and what a length only claims takes no memory. Goes on by night.
 */
import t from 'tap';
import { oneLine } from '../../src/base/errors.js';
import { RequestDecoder } from '../../src/resp/decode.js';
import { Random } from '../property/support/random.js';
import { night } from '../support/night.js';
import { hostileBytes, inPieces } from './support/hostile-bytes.js';
import { parseWhole } from './support/reference.js';

const limits = { protoMaxBulkLen: 1024 * 1024 };
const again = (seed: number) => `CAIRN_SEED=${seed} node dist-test/test/resp/decode-fuzz.test.js`;

t.test('G1: hostile bytes give what the reference gives, however they are cut, and reserve little', async (t) => {
  const { seed: first, goesOn } = night(3);
  const found = { inputs: 0, requests: 0, failures: new Map<string, number>(), incomplete: 0 };
  for (let seed = first; goesOn(); seed++) {
    for (const restricted of [false, true]) {
      const wrong = check(seed, restricted, found);
      if (wrong !== null) {
        t.fail(`${wrong} — again: ${again(seed)}`);
        return;
      }
    }
    found.inputs++;
  }
  t.comment(`seed ${first}: ${found.inputs} inputs, ${found.requests} requests, ${found.incomplete} unfinished`);
  t.comment(JSON.stringify(Object.fromEntries(found.failures)));
  t.ok(found.requests > 0 && found.incomplete > 0 && found.failures.size > 5, 'all kinds of outcome were met');
});

/** null: as it should be. */
function check(
  seed: number,
  restricted: boolean,
  found: { requests: number; failures: Map<string, number>; incomplete: number },
): string | null {
  const random = new Random(seed);
  const bytes = hostileBytes(random, random.once(10) ? 20_000 : 40);
  const expected = parseWhole(bytes, { longestBulk: limits.protoMaxBulkLen, restricted });
  const decoder = new RequestDecoder(limits);
  decoder.restricted = restricted;
  const requests: Buffer[][] = [];
  let fed = 0;
  // What follows a request is held back where it lies: the test's pieces lie in a pool of that size.
  const least = restricted ? Buffer.poolSize : 512;
  for (const piece of inPieces(bytes, random)) {
    fed += piece.length;
    let more = decoder.feed(piece);
    for (; more.length > 0; more = decoder.more()) {
      if (restricted && more.length > 1) return 'a restricted decoder gave more than one request';
      requests.push(...more);
    }
    if (decoder.reservedBytes > Math.max(least, 8 * fed)) return `${decoder.reservedBytes} bytes reserved for ${fed}`;
  }
  const failure = expected.failure === null ? null : `ERR Protocol error: ${expected.failure}`;
  const got = decoder.failure?.line ?? null;
  // A line on the wire has no control bytes, whatever the bytes were.
  if (got !== (failure === null ? null : oneLine(failure))) return `failed with ${got}, not ${failure}`;
  if (!same(requests, expected.requests)) return `${shown(requests)} instead of ${shown(expected.requests)}`;
  if (got === null && decoder.bufferedBytes !== bytes.length - expected.rest) return 'another rest was kept';
  found.requests += requests.length;
  if (expected.failure !== null) {
    const kind = expected.failure.replace(/got .*/s, 'got …');
    found.failures.set(kind, (found.failures.get(kind) ?? 0) + 1);
  } else if (expected.rest < bytes.length) found.incomplete++;
  return null;
}

function same(requests: Buffer[][], others: Buffer[][]): boolean {
  return (
    requests.length === others.length &&
    requests.every((request, nth) => {
      const other = others[nth] as Buffer[];
      return request.length === other.length && request.every((word, at) => word.equals(other[at] as Buffer));
    })
  );
}

function shown(requests: Buffer[][]): string {
  return JSON.stringify(requests.map((request) => request.map((word) => word.toString('latin1'))));
}
