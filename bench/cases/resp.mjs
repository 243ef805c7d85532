/**
 * SET and GET through redis-benchmark against Cairn, a bare Node server and redis-server, in turns, at pipeline 1 and 16.
 * redis-server keeps an append-only log synced every second: the promise that Cairn's default durability gives. The bare
 * server is what the platform can do at most; the same one that answers a SET when RocksDB has it, what a server on RocksDB can. What
 * RocksDB alone takes for the same SETs (puts.cc) is measured beside them.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import {
  compilePeer,
  redisBenchmark,
  requireProgram,
  settle,
  startBare,
  startCairn,
  startRedis,
  timeCommand,
} from '../peers.mjs';
import { goal, median, ratio } from '../report.mjs';

const load = { clients: 50, keySpace: 1_000_000, valueBytes: 100 };

export async function run({ dir, rounds, requests }) {
  requireProgram('redis-server', 'redis-server');
  const puts = compilePeer('puts', dir);
  const servers = {
    cairn: await startCairn(join(dir, 'cairn')),
    bare: await startBare(),
    putting: await startBare(join(dir, 'bare')),
    redis: await startRedis(join(dir, 'redis')),
  };
  const measured = [];
  for (let round = 0; round < rounds; round += 1) {
    for (const pipeline of [1, 16]) {
      // Each in another place in each round: what one leaves to do runs beside the next.
      const order = Object.entries(servers);
      for (const [peer, server] of [...order.slice(round % order.length), ...order.slice(0, round % order.length)]) {
        process.stderr.write(`bench: resp: round ${round + 1} of ${rounds}, pipeline ${pipeline}, ${peer}\n`);
        settle(false);
        for (const result of await redisBenchmark(server.port, { ...load, pipeline, requests })) {
          measured.push({ round, peer, pipeline, ...result });
        }
      }
      settle(false);
      measured.push({
        round,
        peer: 'rocksdb',
        pipeline,
        test: 'SET',
        ...(await putAlone(puts, dir, pipeline, requests)),
      });
    }
  }
  for (const server of Object.values(servers)) await server.stop();
  return report(measured, { rounds, requests, ...load });
}

/** One thread of C++ that puts in batches, each as large as a write group of all clients. */
async function putAlone(program, dir, pipeline, requests) {
  const directory = join(dir, 'rocksdb');
  const numbers = [requests, load.clients * pipeline, load.keySpace, load.valueBytes];
  const { output } = await timeCommand(program, directory, ...numbers.map(String));
  rmSync(directory, { recursive: true });
  const [perSecond, processorUs] = output.trim().split(' ').map(Number);
  return { per_second: perSecond, processor_us: processorUs };
}

function report(measured, parameters) {
  const rows = [];
  const goals = [];
  const alone = [];
  for (const pipeline of [1, 16]) {
    for (const test of ['SET', 'GET']) {
      const of = (peer, field) =>
        median(
          measured
            .filter((one) => one.peer === peer && one.pipeline === pipeline && one.test === test)
            .map((one) => one[field]),
        );
      const [cairn, bare, putting, redis] = ['cairn', 'bare', 'putting', 'redis'].map((peer) => of(peer, 'per_second'));
      const rate = (number) => Math.round(number).toLocaleString('en');
      const p99 = (peer) => `${of(peer, 'p99_ms').toFixed(2)} ms`;
      rows.push([
        `${test}, pipeline ${pipeline}`,
        rate(cairn),
        rate(bare),
        test === 'SET' ? rate(putting) : '',
        rate(redis),
        ratio(cairn, bare),
        test === 'SET' ? ratio(cairn, putting) : '',
        ratio(cairn, redis),
        p99('cairn'),
        p99('redis'),
      ]);
      if (test === 'SET') {
        const us = of('rocksdb', 'processor_us').toFixed(1);
        const group = `groups of ${pipeline * parameters.clients}`;
        alone.push(`${rate(of('rocksdb', 'per_second'))} a second and ${us} µs of processor time each in ${group}`);
      }
      goals.push(goal(`${test}, pipeline ${pipeline}: rate to a bare Node server`, cairn / bare, 0.85, 'more'));
    }
  }
  return {
    title: 'SET and GET through redis-benchmark',
    parameters,
    columns: [
      'requests per second',
      'Cairn',
      'bare Node',
      'and RocksDB',
      'redis-server',
      'to Node',
      'to Node and RocksDB',
      'to Redis',
      'p99 Cairn',
      'p99 Redis',
    ],
    rows,
    notes: [
      `Medians of ${parameters.rounds}, in turns; ${parameters.clients} connections, ${parameters.requests} requests, ` +
        `${parameters.keySpace.toLocaleString('en')} keys, ${parameters.valueBytes}-byte values; the load comes from the same machine. ` +
        'redis-server with appendonly yes, appendfsync everysec; Cairn with durability everysec; the bare Node server ' +
        '(bare-server.mjs) parses with redis-parser, answers from a Map and keeps nothing; "and RocksDB" is the same one that writes what ' +
        'came together as one batch into the same librocksdb, through the same addon, and answers then; it syncs nothing, and keeps neither logs nor checksums.',
      `The SETs alone, by one thread of C++ into the same librocksdb and nothing else to do (puts.cc): ${alone.join('; ')}.`,
    ],
    goals,
    measured,
  };
}
