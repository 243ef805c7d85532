/**
 * SET and GET on a data set larger than the block cache: what is read is mostly not in the cache, and has to be found in tables.
 * Beside it the same server with a cache that holds everything. The operating system's own cache is left alone.
 */
import { join } from 'node:path';
import { liveDirectory, withRepository } from '../backups.mjs';
import { untilCompacted } from '../data.mjs';
import { redisBenchmark, settle, startCairn } from '../peers.mjs';
import { median, ratio } from '../report.mjs';

const load = { clients: 50, keySpace: 1_000_000, valueBytes: 1000 };

export async function run({ dir, rounds, requests }) {
  const data = join(dir, 'cairn');
  const repository = withRepository(join(dir, 'repository'));
  const filling = await startCairn(data, repository);
  await redisBenchmark(filling.port, { ...load, tests: 'set', pipeline: 16, requests: 2 * load.keySpace });
  await untilCompacted(liveDirectory(data));
  await filling.stop();
  const measured = [];
  for (let round = 0; round < rounds; round += 1) {
    for (const cache of ['64mb', '2gb']) {
      const server = await startCairn(data, [...repository, '--set', `cache_size=${cache}`]);
      for (const pipeline of [1, 16]) {
        process.stderr.write(`bench: cold: round ${round + 1} of ${rounds}, cache ${cache}, pipeline ${pipeline}\n`);
        await redisBenchmark(server.port, { ...load, tests: 'get', pipeline: 16, requests: 2 * load.keySpace });
        settle(false);
        for (const result of await redisBenchmark(server.port, { ...load, pipeline, requests })) {
          measured.push({ round, cache, pipeline, ...result });
        }
      }
      await server.stop();
    }
  }
  return report(measured, { rounds, requests, ...load });
}

function report(measured, parameters) {
  const rows = [];
  for (const pipeline of [1, 16]) {
    for (const test of ['SET', 'GET']) {
      const of = (cache) =>
        median(
          measured
            .filter((one) => one.cache === cache && one.pipeline === pipeline && one.test === test)
            .map((one) => one.per_second),
        );
      const rate = (cache) => Math.round(of(cache)).toLocaleString('en');
      rows.push([`${test}, pipeline ${pipeline}`, rate('64mb'), rate('2gb'), ratio(of('64mb'), of('2gb'))]);
    }
  }
  return {
    title: 'SET and GET on a data set larger than the cache',
    parameters,
    columns: ['requests per second', '1 GB, cache of 64 MB', '1 GB, cache of 2 GB', 'ratio'],
    rows,
    notes: [
      `Medians of ${parameters.rounds}, in turns; a million keys of 1,000-byte values; ${parameters.clients} connections.`,
    ],
    measured,
  };
}
