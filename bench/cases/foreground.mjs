/**
 * What clients notice of full backups: SET and GET through redis-benchmark with the archive on, while nothing else runs and while one
 * full backup after the other does (each deleted when it is done, so that the next copies everything), in turns.
 */
import { join } from 'node:path';
import { liveDirectory, makeData, withRepository } from '../backups.mjs';
import { untilCompacted } from '../data.mjs';
import { fields, redisBenchmark, settle, startCairn } from '../peers.mjs';
import { goal, median, ratio } from '../report.mjs';

const load = { clients: 50, pipeline: 1, keySpace: 1_000_000, valueBytes: 100 };

export async function run({ dir, sizeBytes, rounds, requests, cold }) {
  const data = join(dir, 'cairn');
  await makeData(data, sizeBytes, join(dir, 'unused'));
  const server = await startCairn(data, withRepository(join(dir, 'repository'), 'yes'));
  const admin = await server.client();
  await redisBenchmark(server.port, { ...load, requests });
  const measured = [];
  for (let round = 0; round < rounds; round += 1) {
    for (const mode of round % 2 === 0 ? ['idle', 'backup'] : ['backup', 'idle']) {
      process.stderr.write(`bench: foreground: round ${round + 1} of ${rounds}, ${mode}\n`);
      await untilCompacted(liveDirectory(data));
      settle(cold);
      const backups = mode === 'backup' ? backUp(admin) : null;
      const results = await redisBenchmark(server.port, { ...load, requests });
      const made = backups === null ? 0 : await backups.stop();
      for (const result of results) measured.push({ round, mode, backups: made, ...result });
    }
  }
  admin.disconnect();
  await server.stop();
  return report(measured, { sizeBytes, rounds, requests, cold, ...load });
}

/** One full after the other until told to stop; answers how many. */
function backUp(admin) {
  let over = false;
  const running = (async () => {
    let made = 0;
    while (!over) {
      const { id } = fields(await admin.call('ADMIN.BACKUP', 'CREATE', 'FULL'));
      await admin.call('ADMIN.BACKUP', 'DELETE', String(id), 'FORCE');
      made += 1;
    }
    return made;
  })();
  running.catch(() => {});
  return {
    stop: () => {
      over = true;
      return running;
    },
  };
}

function report(measured, parameters) {
  const of = (test, mode, field) =>
    median(measured.filter((one) => one.test === test && one.mode === mode).map((one) => one[field]));
  const one = (test, mode, round) =>
    measured.find((each) => each.test === test && each.mode === mode && each.round === round);
  // Of each round by itself: its two halves follow each other, and a shared machine is another one a minute later.
  const times = (test, field) =>
    median(
      Array.from(
        { length: parameters.rounds },
        (_, round) => one(test, 'backup', round)[field] / one(test, 'idle', round)[field],
      ),
    );
  const rows = ['SET', 'GET'].map((test) => [
    test,
    Math.round(of(test, 'idle', 'per_second')).toLocaleString('en'),
    Math.round(of(test, 'backup', 'per_second')).toLocaleString('en'),
    ratio(times(test, 'per_second'), 1),
    `${of(test, 'idle', 'p99_ms').toFixed(2)} ms`,
    `${of(test, 'backup', 'p99_ms').toFixed(2)} ms`,
    ratio(times(test, 'p99_ms'), 1),
  ]);
  return {
    title: 'SET and GET while full backups run',
    parameters,
    columns: ['per second', 'idle', 'during backups', 'ratio', 'p99 idle', 'p99 during', 'ratio'],
    rows,
    notes: [
      `Medians of ${parameters.rounds}, in turns, ratios of each round; ${parameters.clients} connections, pipeline ${parameters.pipeline}; ` +
        `${Math.round(parameters.sizeBytes / 2 ** 20)} MB of data, the archive on; the load comes from the same two cores.`,
    ],
    goals: ['SET', 'GET'].flatMap((test) => [
      goal(`${test} during full backups: rate to idle`, times(test, 'per_second'), 0.85, 'more'),
      goal(`${test} during full backups: p99 to idle`, times(test, 'p99_ms'), 2, 'less'),
    ]),
    measured,
  };
}
