/** Many backups: how long LIST, STATUS and PRUNE DRYRUN take, and the start of a server on them. */
import { join } from 'node:path';
import { withRepository } from '../backups.mjs';
import { residentMemory, settle, startCairn, timed } from '../peers.mjs';
import { goal, median } from '../report.mjs';

export async function run({ dir, rounds, backups }) {
  const data = join(dir, 'cairn');
  const args = withRepository(join(dir, 'repository'));
  const empty = await startCairn(data, args);
  const idleBytes = residentMemory(empty.pid);
  const first = await empty.client();
  await first.set('key', 'value');
  const making = await timed(async () => {
    for (let made = 0; made < backups; made += 1) {
      if (made % 1000 === 0) process.stderr.write(`bench: catalogue: ${made} of ${backups} backups\n`);
      await first.call('ADMIN.BACKUP', 'CREATE');
    }
  });
  first.disconnect();
  await empty.stop();
  const measured = { start_ms: [], list_ms: [], status_ms: [], prune_ms: [], create_ms: [] };
  for (let round = 0; round < rounds; round += 1) {
    settle(false);
    const start = await timed(() => startCairn(data, args));
    const client = await start.value.client();
    // The first LIST may read what the start left to it: it counts as part of the start.
    const read = await timed(() => client.call('ADMIN.BACKUP', 'LIST', 'LIMIT', '1'));
    measured.start_ms.push(start.ms + read.ms);
    measured.list_ms.push((await timed(() => client.call('ADMIN.BACKUP', 'LIST', 'LIMIT', '100'))).ms);
    measured.status_ms.push((await timed(() => client.call('ADMIN.BACKUP', 'STATUS'))).ms);
    measured.prune_ms.push((await timed(() => client.call('ADMIN.BACKUP', 'PRUNE', 'MAXCOUNT', '100', 'DRYRUN'))).ms);
    measured.create_ms.push((await timed(() => client.call('ADMIN.BACKUP', 'CREATE'))).ms);
    client.disconnect();
    await start.value.stop();
  }
  const of = (field) => median(measured[field]);
  const shown = (field) => `${of(field).toFixed(0)} ms`;
  const idleMb = idleBytes / 2 ** 20;
  const title = `A catalogue of ${backups.toLocaleString('en')} backups`;
  return {
    title,
    parameters: { backups, rounds },
    columns: ['', 'time'],
    rows: [
      ['start, and a first LIST', shown('start_ms')],
      ['LIST LIMIT 100', shown('list_ms')],
      ['STATUS', shown('status_ms')],
      ['PRUNE MAXCOUNT 100 DRYRUN', shown('prune_ms')],
      ['CREATE of one more', shown('create_ms')],
      ['making one, on average', `${(making.ms / backups).toFixed(0)} ms`],
    ],
    notes: [`Medians of ${rounds} starts. A server that is empty and idle has ${idleMb.toFixed(0)} MB resident.`],
    goals: [
      goal(`${title}: LIST, ms`, of('list_ms'), 50, 'less'),
      goal(`${title}: STATUS, ms`, of('status_ms'), 50, 'less'),
      goal(`${title}: PRUNE DRYRUN, ms`, of('prune_ms'), 50, 'less'),
      goal(`${title}: start, ms`, of('start_ms'), 3000, 'less'),
      goal('resident when idle and empty: MB', idleMb, 120, 'less'),
    ],
    measured: { ...measured, making_ms: making.ms, idle_bytes: idleBytes },
  };
}
