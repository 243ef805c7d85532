/**
 * What the foreground notices: one client sends PING, and another SET, one after the other, before and while a full backup
 * of the data runs. The client does nothing else meanwhile; what it measures is the server's event loop and the machine.
 */
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fill, untilCompacted } from '../data.mjs';
import { fields, settle, startCairn } from '../peers.mjs';
import { percentile } from '../report.mjs';

const pauseMs = 1;
const quietMs = 5_000;

export async function run({ dir, sizeBytes, rounds, cold }) {
  const server = await startCairn(join(dir, 'cairn'));
  const [admin, pinger, setter] = [await server.client(), await server.client(), await server.client()];
  await fill(admin, sizeBytes);
  await untilCompacted(join(dir, 'cairn', 'db-000001'));

  const samples = { quiet: { ping: [], set: [] }, backup: { ping: [], set: [] } };
  const probes = {
    ping: () => pinger.call('PING'),
    set: () => setter.set('bench:probe', String(performance.now())),
  };
  const backups = [];
  for (let round = 0; round < rounds; round += 1) {
    settle(cold);
    await probeWhile(delay(quietMs), probes, samples.quiet);
    const startedMs = performance.now();
    const creating = admin.call('ADMIN.BACKUP', 'CREATE', 'FULL');
    await probeWhile(creating, probes, samples.backup);
    const { id, stored_size: storedSize } = fields(await creating);
    backups.push({ ms: performance.now() - startedMs, stored_bytes: Number(storedSize) });
    // Deleted, so that the next round copies everything again.
    await admin.call('ADMIN.BACKUP', 'DELETE', String(id), 'FORCE');
  }
  for (const client of [admin, pinger, setter]) client.disconnect();
  await server.stop();
  return report(samples, backups, { sizeBytes, rounds, cold });
}

/** Sends each probe again and again until `ending` is settled; notes every answer's time in ms. */
async function probeWhile(ending, probes, into) {
  let over = false;
  const finished = Promise.resolve(ending).finally(() => {
    over = true;
  });
  const loops = Object.entries(probes).map(async ([name, probe]) => {
    while (!over) {
      const startedMs = performance.now();
      await probe();
      into[name].push(performance.now() - startedMs);
      await delay(pauseMs);
    }
  });
  await Promise.all([finished, ...loops]);
}

function report(samples, backups, parameters) {
  const row = (what, times) => {
    const at = [0.5, 0.99, 0.999].map((part) => percentile(times, part));
    return [what, ...[...at, Math.max(...times)].map((ms) => `${ms.toFixed(2)} ms`), times.length];
  };
  const summary = (times) => ({
    count: times.length,
    p50_ms: percentile(times, 0.5),
    p99_ms: percentile(times, 0.99),
    p999_ms: percentile(times, 0.999),
    max_ms: Math.max(...times),
  });
  const sizeMb = Math.round(parameters.sizeBytes / 2 ** 20);
  return {
    title: `Latency while a full backup of ${sizeMb} MB runs`,
    parameters,
    columns: ['', 'p50', 'p99', 'p99.9', 'max', 'samples'],
    rows: [
      row('PING, nothing else runs', samples.quiet.ping),
      row('PING, during the backup', samples.backup.ping),
      row('SET, nothing else runs', samples.quiet.set),
      row('SET, during the backup', samples.backup.set),
    ],
    notes: [
      `${parameters.rounds} backups, of which each took ${backups.map(({ ms }) => `${(ms / 1000).toFixed(1)} s`).join(', ')}; ` +
        'random 4 KiB values; the client runs on the same machine.',
    ],
    measured: {
      quiet: { ping: summary(samples.quiet.ping), set: summary(samples.quiet.set) },
      backup: { ping: summary(samples.backup.ping), set: summary(samples.backup.set) },
      backups,
    },
  };
}
