/**
 * Every command with every kind of argument, on the built server: each request gets exactly one well-formed reply, none
 * is an internal error, the connection stays in step, and others are answered meanwhile. Goes on by night.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { Random } from '../property/support/random.js';
import { type Server, startServer } from '../support/built-server.js';
import { night } from '../support/night.js';
import { multibulk, type Wire } from '../support/resp.js';
import { scratch } from '../support/scratch.js';
import { RawClient, startTestServer } from '../support/server.js';
import { waitFor } from '../support/wait.js';
import { anyCall, callable, shownCall, type Word } from './support/calls.js';

/** They answer more than once, or not, or end other connections than their own. SHUTDOWN has a test of its own. */
const elsewhere = new Set(['shutdown', 'monitor', 'client|kill', 'client|pause', 'client|reply']);
/** After these the connection may be another: its protocol, its rights. */
const changing = new Set(['hello', 'reset', 'auth', 'quit', 'exec']);
/** They wait for what may not come. */
const waiting = new Set(['admin.backup|wait']);
const again = (seed: number) => `CAIRN_SEED=${seed} node dist-test/test/server/command-fuzz.test.js`;

interface Case {
  name: string;
  words: Word[];
  inMulti: boolean;
  nonce: string;
  sent: Word[][];
}

const counts = { calls: 0, errors: 0, inMulti: 0, batches: 0, names: new Set<string>() };

t.test('G1, G2: any arguments: one well-formed reply each, in step, and others are answered', async (t) => {
  const { seed: first, goesOn } = night(6);
  const root = scratch(t, { 'cairn.yaml': 'log: { level: debug }\n' });
  const server = await startServer(t, { dir: join(root, 'data'), args: ['--config', join(root, 'cairn.yaml')] });
  const control = await RawClient.connect(server.port);
  t.teardown(() => control.close());
  for (let seed = first; goesOn(); seed++) {
    const wrong = await batch(server, control, seed);
    if (wrong !== null) {
      t.fail(`${wrong} — again: ${again(seed)}\n${server.stderr().slice(-2000)}`);
      return;
    }
    counts.batches++;
  }
  t.comment(
    `seed ${first}: ${counts.calls} calls of ${counts.names.size} commands, ${counts.inMulti} inside MULTI, ` +
      `${counts.errors} answered by an error, ${counts.batches} connections`,
  );
  t.ok(counts.calls > 200 && counts.errors < counts.calls, 'enough was asked, and not all of it refused');
  t.same(readdirSync(root).sort(), ['cairn.yaml', 'data'], 'nothing was written beside the data directory');
  t.same(await server.stop(), { code: 0, signal: null }, 'it stops as ever');
  t.notMatch(server.stderr(), /failed unexpectedly|uncaught|unhandled|assert/i);
  const strange = server
    .stderr()
    .split('\n')
    .filter(
      (line) =>
        line !== '' && !/^\d{4}-\d\d-\d\dT[\d:.]+Z (debug|info |warn |error) [ -~\u00a1-\u{10ffff}]*$/u.test(line),
    );
  t.same(strange.slice(0, 5), [], 'every line of the log is one event, printable');
});

/** null, or what was wrong. One connection, some forty calls in one pipeline. */
async function batch(server: Server, control: RawClient, seed: number): Promise<string | null> {
  const random = new Random(seed);
  const protocol = random.once(2) ? 2 : 3;
  const cases = Array.from({ length: 40 }, (_, nth) => oneCase(random, `${seed}-${nth}`));
  const client = await RawClient.connect(server.port);
  try {
    await client.ask('HELLO', String(protocol));
    client.send(Buffer.concat(cases.flatMap(({ sent }) => sent.map((words) => multibulk(...words)))));
    const ping = answered(control, seed);
    let strict = true;
    for (const each of cases) {
      if (changing.has(each.name)) strict = false;
      const wrong = await follow(client, each, strict ? protocol : null);
      if (wrong === 'closed' && each.name === 'quit') break;
      if (wrong !== null) return `${shownCall(each.words)}${each.inMulti ? ' inside MULTI' : ''}: ${wrong}`;
    }
    if (!(await ping)) return 'another connection got a wrong answer';
    // What one batch has set does not keep the next one from running.
    for (const words of [
      ['CONFIG', 'SET', 'requirepass', '', 'maxclients', '10000', 'timeout', '0', 'proto-max-bulk-len', '512mb'],
      ['ADMIN.READONLY', 'OFF'],
    ]) {
      const reply = await control.ask(...words);
      if (reply !== 'OK') return `${words.join(' ')}: ${JSON.stringify(reply)}`;
    }
    return null;
  } catch (error) {
    return `broken reply: ${(error as Error).message}`;
  } finally {
    client.close();
  }
}

function oneCase(random: Random, nonce: string): Case {
  const specs = callable().filter(({ name }) => !elsewhere.has(name) && !waiting.has(name));
  // Backups cost a hundred times what the others do.
  let spec = random.pick(specs);
  while (spec.name.startsWith('admin.backup|') && random.once(2)) spec = random.pick(specs);
  const words = anyCall(spec, random);
  const inMulti = random.once(4);
  counts.calls++;
  counts.names.add(spec.name);
  if (inMulti) counts.inMulti++;
  const sent: Word[][] = inMulti ? [['MULTI'], words, ['EXEC']] : [words];
  // Whatever state the call left: DISCARD ends it, and the nonce shows that replies and requests are in step.
  sent.push(['DISCARD'], ['ECHO', nonce]);
  return { name: spec.name, words, inMulti, nonce, sent };
}

/** Reads the replies to one case; null when all is well. `protocol` null: it may be either. */
async function follow(client: RawClient, each: Case, protocol: 2 | 3 | null): Promise<string | null> {
  const replies = await client.take(each.sent.length);
  const missing = replies.indexOf(null);
  if (missing !== -1) return 'closed';
  for (const reply of replies as Wire[]) {
    const wrong = malformed(reply, protocol);
    if (wrong !== null) return wrong;
  }
  const answer = replies[each.inMulti ? 2 : 0] as Wire;
  if (answer.type === 'error' || (answer.type === 'array' && answer.items.some(({ type }) => type === 'error'))) {
    counts.errors++;
  }
  const last = replies.at(-1) as Wire;
  const inStep =
    (last.type === 'bulk' && last.text === each.nonce) || (last.type === 'error' && /^NOAUTH /.test(last.text));
  return inStep ? null : `out of step: ${JSON.stringify(last)}`;
}

function malformed(reply: Wire, protocol: 2 | 3 | null): string | null {
  if ('items' in reply) {
    if (protocol === 2 && reply.type !== 'array') return `${reply.type} in RESP2`;
    for (const item of reply.items) {
      const wrong = malformed(item, protocol);
      if (wrong !== null) return wrong;
    }
    return null;
  }
  if (protocol === 2 && ['verbatim', 'double', 'boolean', 'null'].includes(reply.type)) return `${reply.type} in RESP2`;
  if (protocol === 3 && ['null bulk', 'null array'].includes(reply.type)) return `${reply.type} in RESP3`;
  if (reply.type !== 'error' && reply.type !== 'simple') return null;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  if (/[\u0000-\u001f\u007f]/.test(reply.text)) return `control bytes in ${JSON.stringify(reply.text)}`;
  if (reply.type === 'error' && !/^[A-Z]+ ./.test(reply.text)) return `no error code: ${JSON.stringify(reply.text)}`;
  return /internal error|failed assert/i.test(reply.text) ? reply.text : null;
}

async function answered(control: RawClient, seed: number): Promise<boolean> {
  for (let nth = 0; nth < 20; nth++) {
    const nonce = `ping-${seed}-${nth}`;
    if ((await control.ask('PING', nonce)) !== nonce) return false;
  }
  return true;
}

t.test(
  'G2: SHUTDOWN: what it does not understand is refused and ends nothing, every form of it ends the server once',
  async (t) => {
    const server = await startTestServer(t);
    const client = await server.open();
    const random = new Random(night(0).seed);
    const shutdown = callable().find(({ name }) => name === 'shutdown') as ReturnType<typeof callable>[number];
    const understood = new Set(['', 'nosave', 'save', 'now', 'force']);
    for (let nth = 0; nth < 300; nth++) {
      const words = anyCall(shutdown, random);
      const options = words.slice(1).map((word) =>
        Buffer.from(word as string)
          .toString('latin1')
          .toLowerCase(),
      );
      const ends =
        options.every((word) => understood.has(word)) && !(options.includes('save') && options.includes('nosave'));
      if (ends && !options.includes('')) continue;
      t.match(await client.ask(...words), /^-ERR /, shownCall(words));
      t.equal(await client.ask('ECHO', `nonce-${nth}`), `nonce-${nth}`);
    }
    t.equal(server.shutdowns, 0);
    for (const words of [['MULTI'], ['SHUTDOWN', 'NOSAVE']]) client.send(multibulk(...words));
    t.same(
      (await client.take(2)).map((reply) => reply?.type),
      ['simple', 'error'],
      'not inside MULTI',
    );
    for (const options of [[], ['NOSAVE'], ['save', 'Now', 'FORCE'], ['NOW', 'NOW']]) {
      const own = await startTestServer(t);
      for (const _ of [1, 2]) (await own.open()).send(multibulk('SHUTDOWN', ...options));
      await waitFor(() => own.shutdowns > 0, { what: `SHUTDOWN ${options.join(' ')}` });
      t.equal(await (await own.open()).ask('PING'), 'PONG', 'the test server is not stopped by it');
      t.equal(own.shutdowns, 1);
    }
  },
);
