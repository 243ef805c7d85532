/**
 * What the continuous archive costs whoever writes: SETs per second through redis-benchmark with the archive on, beside
 * the same server with it off, in turns. A full is taken first, so that the archive has something to rest on.
 */
import { join } from 'node:path';
import { requireProgram, settle, startCairn, timeCommand } from '../peers.mjs';
import { median, ratio } from '../report.mjs';

const clients = 50;
const keySpace = 1_000_000;
const valueBytes = 100;

export async function run({ dir, rounds, requests }) {
  requireProgram('redis-benchmark', 'redis-tools');
  const server = await startCairn(join(dir, 'cairn'));
  const client = await server.client();
  await client.call('ADMIN.BACKUP', 'CREATE');
  const measured = [];
  for (let round = 0; round < rounds; round += 1) {
    for (const pipeline of [1, 16]) {
      const modes = round % 2 === 0 ? ['yes', 'no'] : ['no', 'yes'];
      for (const archive of modes) {
        process.stderr.write(
          `bench: capture: round ${round + 1} of ${rounds}, pipeline ${pipeline}, archive ${archive}\n`,
        );
        await client.call('CONFIG', 'SET', 'backup.wal.archive', archive);
        // What the other mode left is archived, or its logs are gone, before anything is measured.
        await client.call('ADMIN.BACKUP', 'WINDOW');
        settle(false);
        const load = ['-c', clients, '-P', pipeline, '-n', requests, '-r', keySpace, '-d', valueBytes];
        const args = ['-p', server.port, '-t', 'set', '--csv', ...load].map(String);
        const { output } = await timeCommand('redis-benchmark', ...args);
        const cells = (output.trim().split('\n').at(-1) ?? '').split(',').map((cell) => cell.replaceAll('"', ''));
        measured.push({ round, pipeline, archive, per_second: Number(cells[1]), p99_ms: Number(cells[6]) });
      }
    }
  }
  client.disconnect();
  await server.stop();
  return report(measured, { rounds, requests, clients, value_bytes: valueBytes });
}

function report(measured, parameters) {
  const rows = [1, 16].map((pipeline) => {
    const of = (archive, field) =>
      median(measured.filter((one) => one.pipeline === pipeline && one.archive === archive).map((one) => one[field]));
    const rate = (archive) => Math.round(of(archive, 'per_second')).toLocaleString('en');
    const pairs = measured
      .filter((one) => one.pipeline === pipeline && one.archive === 'yes')
      .map((on) => {
        const off = measured.find((one) => one.pipeline === pipeline && one.round === on.round && one.archive === 'no');
        return on.per_second / off.per_second;
      });
    return [
      `SET, pipeline ${pipeline}`,
      rate('yes'),
      rate('no'),
      ratio(median(pairs), 1),
      `${of('yes', 'p99_ms').toFixed(2)} ms`,
      `${of('no', 'p99_ms').toFixed(2)} ms`,
    ];
  });
  return {
    title: 'What the continuous archive costs SETs',
    parameters,
    columns: ['per second', 'archive on', 'archive off', 'on / off', 'p99 on', 'p99 off'],
    rows,
    notes: [
      `Medians of ${parameters.rounds} pairs, in turns on one server; ${clients} connections, ${parameters.requests} requests, ` +
        `${valueBytes}-byte values; the load comes from the same machine, interval 1 s.`,
    ],
    measured,
  };
}
