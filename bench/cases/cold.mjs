/**
 * SET and GET on a data set larger than the block cache: what is read is mostly not in the cache, and has to be found in tables. The
 * operating system's own cache is left alone. Beside it: the same server with a cache that holds everything; a bare Node server that
 * answers from a Map; and one that reads from a RocksDB with a cache as small, which is the least that any Node server does.
 */
import { join } from 'node:path';
import { liveDirectory, withRepository } from '../backups.mjs';
import { untilCompacted } from '../data.mjs';
import { redisBenchmark, settle, startBare, startCairn } from '../peers.mjs';
import { goal, median, ratio } from '../report.mjs';

const load = { clients: 50, keySpace: 1_000_000, valueBytes: 1000 };
const SMALL = 64 * 2 ** 20;
const pipelines = [1, 16];
const fill = { ...load, tests: 'set', pipeline: 16, requests: 2 * load.keySpace };

export async function run({ dir, rounds, requests }) {
  const data = join(dir, 'cairn');
  const tables = join(dir, 'bare');
  const repository = withRepository(join(dir, 'repository'));
  const cairn = (cache) => () => startCairn(data, [...repository, '--set', `cache_size=${cache}`]);
  const filling = await cairn('64mb')();
  await redisBenchmark(filling.port, fill);
  await untilCompacted(liveDirectory(data));
  await filling.stop();
  const reading = await startBare(tables, SMALL);
  await redisBenchmark(reading.port, fill);
  await untilCompacted(tables);
  await reading.stop();
  const peers = {
    small: cairn('64mb'),
    large: cairn('2gb'),
    reading: () => startBare(tables, SMALL),
    bare: () => startBare(),
  };
  const measured = [];
  for (let round = 0; round < rounds; round += 1) {
    for (const [peer, start] of turned(Object.entries(peers), round)) {
      const server = await start();
      if (peer === 'bare') await redisBenchmark(server.port, fill);
      else await redisBenchmark(server.port, { ...fill, tests: 'get' });
      for (const pipeline of pipelines) {
        process.stderr.write(`bench: cold: round ${round + 1} of ${rounds}, ${peer}, pipeline ${pipeline}\n`);
        settle(false);
        // SET last: what it makes RocksDB rearrange is not GET's to pay.
        for (const test of ['get', 'set']) {
          const [result] = await redisBenchmark(server.port, { ...load, tests: test, pipeline, requests });
          measured.push({ round, peer, pipeline, ...result });
        }
      }
      await server.stop();
    }
  }
  return report(measured, { rounds, requests, ...load });
}

function turned(list, by) {
  return [...list.slice(by % list.length), ...list.slice(0, by % list.length)];
}

function report(measured, parameters) {
  const rows = [];
  const goals = [];
  for (const pipeline of pipelines) {
    for (const test of ['SET', 'GET']) {
      const of = (peer) =>
        median(
          measured
            .filter((one) => one.peer === peer && one.pipeline === pipeline && one.test === test)
            .map((one) => one.per_second),
        );
      const [small, large, reading, bare] = ['small', 'large', 'reading', 'bare'].map(of);
      const rate = (value) => Math.round(value).toLocaleString('en');
      rows.push([
        `${test}, pipeline ${pipeline}`,
        ...[small, large, bare, reading].map(rate),
        ratio(small, large),
        ratio(small, bare),
        ratio(small, reading),
      ]);
      goals.push(
        goal(`larger than the cache: ${test}, pipeline ${pipeline}, to a bare Node server`, small / bare, 0.85, 'more'),
      );
    }
  }
  return {
    title: 'SET and GET on a data set larger than the cache',
    parameters,
    columns: [
      'requests per second',
      '1 GB, cache of 64 MB',
      'cache of 2 GB',
      'bare Node',
      'and RocksDB, 64 MB',
      'to 2 GB',
      'to bare Node',
      'to that with RocksDB',
    ],
    rows,
    notes: [
      `Medians of ${parameters.rounds}, in turns; a million keys of 1,000-byte values; ${parameters.clients} connections. "and RocksDB": ` +
        'bare-server.mjs with a database and a cache of 64 MB instead of its Map, which reads all that a pass of the event loop asks for together.',
    ],
    goals,
    measured,
  };
}
