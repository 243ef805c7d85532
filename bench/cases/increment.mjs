/**
 * An increment after 1 % of the keys changed, beside the full that it rests on: time and bytes. With the continuous archive on: once it
 * has caught up, which takes it a second, and at once; and with it off, where the increment captures all of its delta.
 */
import { randomFillSync } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fill, keyOf } from '../data.mjs';
import { fields, settle, startCairn, timed } from '../peers.mjs';
import { goal, median, megabytes, ratio } from '../report.mjs';

const valueBytes = 4096;
const modes = [
  { name: 'archive on', archive: 'yes', waits: true },
  { name: 'archive on, at once', archive: 'yes', waits: false },
  { name: 'archive off', archive: 'no', waits: false },
];

export async function run({ dir, sizeBytes, rounds }) {
  const measured = {};
  for (const { name, archive, waits } of modes) {
    const server = await startCairn(join(dir, name.replaceAll(/\W/g, '-')), ['--set', `backup.wal.archive=${archive}`]);
    const client = await server.client();
    const keys = await fill(client, sizeBytes);
    await caughtUp(client);
    measured[name] = [];
    for (let round = 0; round < rounds; round += 1) {
      process.stderr.write(`bench: increment: ${name}, round ${round + 1} of ${rounds}\n`);
      settle(false);
      const full = await timed(() => client.call('ADMIN.BACKUP', 'CREATE', 'FULL'));
      await change(client, keys, round);
      if (waits) await caughtUp(client);
      settle(false);
      const increment = await timed(() => client.call('ADMIN.BACKUP', 'CREATE', 'INCREMENTAL', 'STRICT'));
      const nothing = await timed(() => client.call('ADMIN.BACKUP', 'CREATE', 'INCREMENTAL', 'STRICT'));
      measured[name].push({
        full_ms: full.ms,
        // Later fulls store what changed since the one before; an increment is held against the whole.
        full_bytes: Number(fields(full.value).size),
        full_stored_bytes: Number(fields(full.value).stored_size),
        increment_ms: increment.ms,
        increment_bytes: Number(fields(increment.value).stored_size),
        nothing_ms: nothing.ms,
      });
    }
    client.disconnect();
    await server.stop();
  }
  return report(measured, { sizeBytes, rounds });
}

/** New values for every hundredth key. */
async function change(client, keys, round) {
  const pipeline = client.pipeline();
  for (let index = round; index < keys; index += 100) {
    pipeline.set(keyOf(index), randomFillSync(Buffer.allocUnsafe(valueBytes)));
  }
  const outcomes = await pipeline.exec();
  const failed = outcomes.find(([error]) => error !== null);
  if (failed !== undefined) throw failed[0];
}

async function caughtUp(client) {
  for (;;) {
    const { archive_lag_commits: lag } = fields(await client.call('ADMIN.BACKUP', 'STATUS'));
    if (lag === null || Number(lag) === 0) return;
    await delay(100);
  }
}

function report(measured, parameters) {
  const rows = [];
  for (const { name } of modes) {
    // The first full has everything to copy; that is what an increment saves.
    const [first] = measured[name];
    const of = (field) => median(measured[name].map((round) => round[field]));
    rows.push([
      name,
      `${Math.round(first.full_ms)} ms`,
      `${of('increment_ms').toFixed(1)} ms`,
      ratio(of('increment_ms'), first.full_ms),
      megabytes(first.full_bytes),
      megabytes(of('increment_bytes')),
      ratio(of('increment_bytes'), first.full_bytes),
      `${of('nothing_ms').toFixed(1)} ms`,
    ]);
  }
  return {
    title: 'An increment after 1 % changed',
    parameters,
    columns: ['', 'full', 'increment', 'time', 'full', 'increment', 'bytes', 'nothing changed'],
    rows,
    notes: [
      `Full: the first one, which copies everything. Increments: medians of ${parameters.rounds}. Random 4 KiB values, ` +
        `${Math.round(parameters.sizeBytes / 2 ** 20)} MB.`,
    ],
    goals: modes.flatMap(({ name }) => {
      const [first] = measured[name];
      const of = (field) => median(measured[name].map((round) => round[field]));
      return [
        goal(`increment after 1 %, ${name}: time to the full`, of('increment_ms') / first.full_ms, 0.05, 'less'),
        goal(`increment after 1 %, ${name}: bytes`, of('increment_bytes') / first.full_bytes, 0.05, 'less'),
      ];
    }),
    measured,
  };
}
