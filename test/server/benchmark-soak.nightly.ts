/**
 * redis-benchmark for long, over strings, with 50, 500 and 5,000 connections: no request fails, no connection is left
 * behind, and memory stays flat. Each number of connections has a server of its own and a third of the time. Keys are of a
 * fixed number, so that what may grow has grown after the first quarter: the last quarter is compared with the second.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import t, { type Test } from 'tap';
import { startServer } from '../support/built-server.js';
import { isInstalled } from '../support/processes.js';
import { waitFor } from '../support/wait.js';

const commands = 'ping_mbulk,set,get,incr,mset';
const connections = [50, 500, 5000];
const LEAST_ROUNDS = 4;
const minutes = Number(process.env.CAIRN_MINUTES ?? 1);
/** What garbage that was not collected yet, memtables and caches in another phase may differ by. */
const ALLOWED_FACTOR = 1.2;
const ALLOWED_BYTES = 64 * 2 ** 20;

interface Sample {
  atMs: number;
  residentBytes: number;
}

function residentBytes(pid: number): number {
  const line = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(line?.[1]) * 1024;
}

/** One run over all commands; what it said that is no result. */
async function benchmark(port: number, clients: number): Promise<{ code: number; rates: string[]; strange: string[] }> {
  const options = ['-p', port, '-c', clients, '-n', Math.max(50_000, clients * 20), '-r', 100_000, '-d', 100];
  const child = spawn('redis-benchmark', [...options.map(String), '-P', '4', '-t', commands, '--csv']);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text: Buffer) => (output += text));
  const [code] = (await once(child, 'close')) as [number];
  const lines = output.split('\n').filter((line) => line !== '' && !line.startsWith('"test"'));
  const result = /^"([^"]+)","([\d.]+)"/;
  return {
    code,
    rates: lines.flatMap((line) => (result.test(line) ? [line.replace(result, '$1=$2').split(',')[0] as string] : [])),
    strange: lines.filter((line) => !result.test(line)),
  };
}

function median(samples: readonly Sample[]): number {
  const sorted = samples.map(({ residentBytes }) => residentBytes).sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

async function soak(t: Test, clients: number, forMs: number): Promise<void> {
  const server = await startServer(t, { args: ['--set', `maxclients=${clients + 100}`] });
  const client = await server.client();
  const samples: Sample[] = [];
  const begun = performance.now();
  const timer = setInterval(() => {
    samples.push({ atMs: performance.now() - begun, residentBytes: residentBytes(server.pid) });
  }, 250);
  t.teardown(() => clearInterval(timer));
  let rounds = 0;
  let rates: string[] = [];
  // With fewer rounds the quarters would be of different commands.
  while (rounds < LEAST_ROUNDS || performance.now() - begun < forMs) {
    const round = await benchmark(server.port, clients);
    t.equal(round.code, 0, `round ${rounds} of ${clients} connections`);
    t.same(round.strange, [], 'it reports results alone');
    rates = round.rates;
    rounds++;
  }
  clearInterval(timer);
  await waitFor(async () => /connected_clients:1\r/.test(await client.info('clients')), {
    what: 'connections to close',
  });
  const stats = await client.info('stats');
  t.match(stats, /rejected_connections:0\r/);
  t.match(stats, /total_error_replies:0\r/);
  const lastMs = samples.at(-1)?.atMs ?? 0;
  const quarter = (nth: number) =>
    samples.filter(({ atMs }) => atMs >= (lastMs * nth) / 4 && atMs < (lastMs * (nth + 1)) / 4);
  const [second, last] = [median(quarter(1)), median(quarter(3))];
  const megabytes = (bytes: number) => Math.round(bytes / 2 ** 20);
  const peak = Math.max(...samples.map(({ residentBytes }) => residentBytes));
  const told = `${clients} connections, ${rounds} rounds: resident ${megabytes(second)} MB in the second quarter, ${megabytes(last)} MB in the last, peak ${megabytes(peak)} MB; ${rates.join(' ')}`;
  t.comment(told);
  t.ok(last <= second * ALLOWED_FACTOR + ALLOWED_BYTES, told);
  t.equal((await server.stop()).code, 0);
}

const skip = isInstalled('redis-benchmark') ? false : 'redis-benchmark is not installed';
for (const clients of connections) {
  t.test(`${clients} connections`, { skip, timeout: (minutes + 15) * 60_000 }, (t) =>
    soak(t, clients, (minutes * 60_000) / connections.length),
  );
}
