/** However the bytes of a request arrive, its command is the same: every command, cut at every byte. */
import t, { type Test } from 'tap';
import { lookup } from '../../src/commands/spec.js';
import { Random } from '../property/support/random.js';
import { night } from '../support/night.js';
import { multibulk, type Wire } from '../support/resp.js';
import { type RawClient, startTestServer, type TestServer } from '../support/server.js';
import { callable, rightCall, shownCall, type Word } from './support/calls.js';

/** They end the connection or the server, or what is open on it; or (RESETSTAT) the count of bytes that this test goes by. */
const elsewhere = new Set([
  ...['quit', 'shutdown', 'reset', 'monitor', 'client|kill', 'client|pause', 'client|reply'],
  'config|resetstat',
]);
/** They wait for a disk, or for what does not come: not at every byte. */
const slow = (name: string) =>
  /^(admin\.backup\|(create|restore|verify|delete|prune|tag|untag|wait)|save|bgsave)$/.test(name);

interface Step {
  name: string;
  words: Word[];
}

/** A valid call of every command, with options or without or both, on keys that are there. */
function script(without: (name: string) => boolean, options: boolean[]): Step[] {
  const random = new Random(7);
  const steps = ['k', 'n', 'other', 'k:1', 'bits'].map((key) => ({ name: 'set', words: ['SET', key, '12'] as Word[] }));
  for (const spec of callable()) {
    if (elsewhere.has(spec.name) || without(spec.name)) continue;
    for (const withOptions of options) {
      const words = rightCall(spec, random, withOptions);
      // What it asks for is not there, and it waits for it no longer than that.
      if (spec.name === 'admin.backup|wait') words.splice(2, words.length, '1', '1ms');
      steps.push({ name: spec.name, words });
      // Each call finds the connection as the first one did.
      if (spec.name === 'multi') steps.push({ name: 'discard', words: ['DISCARD'] });
      if (spec.name === 'select') steps.push({ name: 'select', words: ['SELECT', '0'] });
      if (spec.name === 'admin.readonly') steps.push({ name: 'admin.readonly', words: ['ADMIN.READONLY', 'OFF'] });
    }
  }
  return steps;
}

async function fresh(server: TestServer, protocol: string): Promise<RawClient> {
  const client = await server.open();
  await client.ask('HELLO', protocol);
  await client.ask('FLUSHALL');
  return client;
}

/** Sends pieces so that the server sees each as a chunk of its own. */
async function inChunks(server: TestServer, client: RawClient, pieces: Buffer[]): Promise<void> {
  const { counters } = server.server;
  for (const piece of pieces) {
    const before = counters.inputBytes;
    client.send(piece);
    while (counters.inputBytes < before + piece.length) await new Promise((resolve) => setImmediate(resolve));
  }
}

type Cut = (bytes: Buffer) => Buffer[];

async function run(server: TestServer, steps: readonly Step[], cut: Cut, protocol = '2'): Promise<(Wire | null)[]> {
  const client = await fresh(server, protocol);
  const replies: (Wire | null)[] = [];
  for (const { words } of steps) {
    await inChunks(
      server,
      client,
      cut(multibulk(...words)).filter(({ length }) => length > 0),
    );
    replies.push(await client.next());
  }
  client.close();
  return replies;
}

const whole: Cut = (bytes) => [bytes];

/** What the commands about backups find depends on how far an operation has come that was begun with ASYNC. */
const changing = (name: string) =>
  name.startsWith('admin.backup|') ||
  slow(name) ||
  /ttl|time$|^lastsave$/.test(name) ||
  (lookup(name)?.tips.includes('nondeterministic_output') ?? false);

/** Replies that are not the same twice (times, sizes, ids) are only awaited. */
async function expectations(server: TestServer, steps: readonly Step[]): Promise<(string | null)[]> {
  const [first, second] = [await run(server, steps, whole), await run(server, steps, whole)];
  return first.map((reply, nth) => {
    const text = JSON.stringify(reply);
    return text === JSON.stringify(second[nth]) && !changing(steps[nth]?.name ?? '') ? text : null;
  });
}

function compare(t: Test, steps: readonly Step[], expected: (string | null)[], replies: (Wire | null)[], what: string) {
  for (const [nth, { words }] of steps.entries()) {
    const got = JSON.stringify(replies[nth]);
    const wanted = expected[nth];
    if (wanted === null ? replies[nth] === null : got !== wanted) {
      t.fail(`${shownCall(words)} ${what}: ${got?.slice(0, 300)} instead of ${wanted?.slice(0, 300)}`);
    }
  }
}

t.test('G1: every command but those that wait for a disk, cut at every byte', async (t) => {
  const server = await startTestServer(t);
  const steps = script(slow, [false]);
  const expected = await expectations(server, steps);
  const longest = Math.max(...steps.map(({ words }) => multibulk(...words).length));
  for (let at = 1; at < longest; at++) {
    const cut: Cut = (bytes) => [
      bytes.subarray(0, Math.min(at, bytes.length - 1)),
      bytes.subarray(Math.min(at, bytes.length - 1)),
    ];
    compare(t, steps, expected, await run(server, steps, cut), `cut at ${at}`);
  }
  const names = new Set(steps.map(({ name }) => name));
  t.comment(`${names.size} commands, ${steps.length} calls, ${longest - 1} places to cut at`);
  const refused = expected.filter((reply) => reply !== null && /wrong number of arguments|unknown|syntax/.test(reply));
  t.ok(refused.length < steps.length / 20, `${refused.length} of ${steps.length} calls were none`);
});

t.test('G1: every command, byte by byte, in RESP2 and RESP3', async (t) => {
  const server = await startTestServer(t);
  const steps = script(() => false, [false, true]);
  const bytewise: Cut = (bytes) => [...bytes].map((byte) => Buffer.of(byte));
  compare(t, steps, await expectations(server, steps), await run(server, steps, bytewise), 'byte by byte');
  const three = (await run(server, steps, bytewise, '3')).filter((reply) => reply?.type === 'map');
  t.ok(three.length > 5, 'RESP3 was spoken');
});

t.test('G1: 10^5 requests, inline and multibulk, in pieces cut anywhere: replies in order', async (t) => {
  const server = await startTestServer(t);
  const { seed } = night(0);
  const random = new Random(seed);
  const count = 100_000;
  const parts: Buffer[] = [];
  const expected: string[] = [];
  for (let nth = 0; nth < count; nth++) {
    const text = `nonce:${nth}`;
    switch (random.int(4)) {
      case 0:
        parts.push(Buffer.from(`ECHO ${text}\r\n`));
        break;
      case 1:
        parts.push(Buffer.from(`  echo\t"\\x6eonce:${nth}"\n`));
        break;
      case 2:
        parts.push(Buffer.from('\r\n*0\r\n'), multibulk('PING', text));
        break;
      default:
        parts.push(multibulk('ECHO', text));
    }
    expected.push(`$${text.length}\r\n${text}\r\n`);
  }
  const bytes = Buffer.concat(parts);
  const client = await server.open();
  const { socket } = client;
  socket.removeAllListeners('data');
  const chunks: Buffer[] = [];
  let received = 0;
  const wanted = expected.join('');
  const all = new Promise<void>((resolve) => {
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      received += chunk.length;
      if (received >= wanted.length) resolve();
    });
  });
  for (let at = 0; at < bytes.length; ) {
    const size = 1 + random.int(random.pick([20, 3000, 100_000]));
    socket.write(bytes.subarray(at, at + size));
    at += size;
    if (random.once(4)) await new Promise((resolve) => setImmediate(resolve));
  }
  await all;
  t.ok(Buffer.concat(chunks).toString() === wanted, `every reply in its place — seed ${seed}`);
});
