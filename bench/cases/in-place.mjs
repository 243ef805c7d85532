/**
 * How long a client is without answers during a restore in place: it sends GET every millisecond, over one connection, and notes
 * when each was answered with a value. The longest stretch between two values is what the restore cost it; the same on an idle
 * server is beside it.
 */
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { liveDirectory, makeData, withRepository } from '../backups.mjs';
import { untilCompacted } from '../data.mjs';
import { fields, settle, startCairn } from '../peers.mjs';
import { goal, median } from '../report.mjs';

const everyMs = 1;
const quietMs = 2_000;

export async function run({ dir, sizeBytes, rounds, cold }) {
  const data = join(dir, 'cairn');
  await makeData(data, sizeBytes, join(dir, 'unused'));
  const server = await startCairn(data, withRepository(join(dir, 'repository'), 'yes'));
  const [admin, asking] = [await server.client(), await server.client()];
  await admin.set('bench:probe', 'x');
  await admin.call('ADMIN.BACKUP', 'CREATE');
  const measured = [];
  for (let round = 0; round < rounds; round += 1) {
    process.stderr.write(`bench: in-place: round ${round + 1} of ${rounds}\n`);
    await untilCompacted(liveDirectory(data));
    settle(cold);
    const idle = await longestStretch(asking, delay(quietMs));
    const restoring = admin.call('ADMIN.BACKUP', 'RESTORE', 'LATEST');
    const during = await longestStretch(asking, restoring);
    measured.push({
      idle_ms: idle.longestMs,
      restore_ms: during.longestMs,
      loading: during.refused,
      downtime_ms: Number(fields(await restoring).downtime_ms),
    });
  }
  for (const client of [admin, asking]) client.disconnect();
  await server.stop();
  const of = (field) => median(measured.map((one) => one[field]));
  return {
    title: `A client during a restore in place of ${Math.round(sizeBytes / 2 ** 20)} MB`,
    parameters: { sizeBytes, rounds, cold },
    columns: ['', 'longest without an answer', 'LOADING answers'],
    rows: [
      ['idle', `${of('idle_ms').toFixed(1)} ms`, '0'],
      ['during the restore', `${of('restore_ms').toFixed(1)} ms`, String(of('loading'))],
    ],
    notes: [`Medians of ${rounds}; the server says ${of('downtime_ms')} ms of LOADING.`],
    goals: [goal('restore in place: ms that a client is without a value', of('restore_ms'), 100, 'less')],
    measured,
  };
}

/** Asks until `ending` is settled; the longest stretch between two values. */
async function longestStretch(client, ending) {
  let over = false;
  const ended = Promise.resolve(ending).finally(() => {
    over = true;
  });
  ended.catch(() => {});
  let last = performance.now();
  let longestMs = 0;
  let refused = 0;
  while (!over) {
    const value = await client.get('bench:probe').catch(() => null);
    const now = performance.now();
    if (value === null) refused += 1;
    else {
      longestMs = Math.max(longestMs, now - last);
      last = now;
    }
    await delay(everyMs);
  }
  await ended;
  return { longestMs, refused };
}
