/**
 * SET and GET through redis-benchmark against Cairn and redis-server, in turns, at pipeline 1 and 16. redis-server keeps an
 * append-only log synced every second: the promise that Cairn's default durability gives.
 */
import { join } from 'node:path';
import { requireProgram, settle, startCairn, startRedis, timeCommand } from '../peers.mjs';
import { median, ratio } from '../report.mjs';

const clients = 50;
const keySpace = 1_000_000;
const valueBytes = 64;

export async function run({ dir, rounds, requests }) {
  requireProgram('redis-server', 'redis-server');
  requireProgram('redis-benchmark', 'redis-tools');
  const servers = {
    cairn: await startCairn(join(dir, 'cairn')),
    redis: await startRedis(join(dir, 'redis')),
  };
  const measured = [];
  for (let round = 0; round < rounds; round += 1) {
    for (const pipeline of [1, 16]) {
      for (const [peer, server] of Object.entries(servers)) {
        process.stderr.write(`bench: resp: round ${round + 1} of ${rounds}, pipeline ${pipeline}, ${peer}\n`);
        settle(false);
        for (const result of await redisBenchmark(server.port, pipeline, requests)) {
          measured.push({ round, peer, pipeline, ...result });
        }
      }
    }
  }
  for (const server of Object.values(servers)) await server.stop();
  return report(measured, { rounds, requests, clients, key_space: keySpace, value_bytes: valueBytes });
}

async function redisBenchmark(port, pipeline, requests) {
  const load = ['-c', clients, '-P', pipeline, '-n', requests, '-r', keySpace, '-d', valueBytes];
  const args = ['-p', port, '-t', 'set,get', '--csv', ...load].map(String);
  const { output } = await timeCommand('redis-benchmark', ...args);
  const [head, ...lines] = output
    .trim()
    .split('\n')
    .filter((line) => line.startsWith('"'));
  const names = cells(head ?? '');
  const results = lines.map((line) => Object.fromEntries(cells(line).map((cell, index) => [names[index], cell])));
  if (results.length !== 2) throw new Error(`redis-benchmark said: ${output}`);
  return results.map((row) => ({
    test: row.test,
    per_second: Number(row.rps),
    p50_ms: Number(row.p50_latency_ms),
    p99_ms: Number(row.p99_latency_ms),
  }));
}

function cells(line) {
  return line.split(',').map((cell) => cell.replaceAll('"', '').trim());
}

function report(measured, parameters) {
  const rows = [];
  for (const pipeline of [1, 16]) {
    for (const test of ['SET', 'GET']) {
      const of = (peer, field) =>
        median(
          measured
            .filter((one) => one.peer === peer && one.pipeline === pipeline && one.test === test)
            .map((one) => one[field]),
        );
      const [cairn, redis] = ['cairn', 'redis'].map((peer) => of(peer, 'per_second'));
      const rate = (number) => Math.round(number).toLocaleString('en');
      const p99 = (peer) => `${of(peer, 'p99_ms').toFixed(2)} ms`;
      rows.push([
        `${test}, pipeline ${pipeline}`,
        rate(cairn),
        rate(redis),
        ratio(cairn, redis),
        p99('cairn'),
        p99('redis'),
      ]);
    }
  }
  return {
    title: 'SET and GET through redis-benchmark',
    parameters,
    columns: ['requests per second', 'Cairn', 'redis-server', 'Cairn / Redis', 'p99 Cairn', 'p99 Redis'],
    rows,
    notes: [
      `Medians of ${parameters.rounds}, in turns; ${clients} connections, ${parameters.requests} requests, ` +
        `${keySpace.toLocaleString('en')} keys, ${valueBytes}-byte values; the load comes from the same machine. ` +
        'redis-server with appendonly yes, appendfsync everysec; Cairn with durability everysec.',
    ],
    measured,
  };
}
