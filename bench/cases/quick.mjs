/** VERIFY QUICK of one backup that has ten thousand files: what checking presence and sizes takes. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { inProject } from '../../scripts/setup/root.mjs';
import { withRepository } from '../backups.mjs';
import { compilePeer, fields, settle, startCairn, timeCommand, timed } from '../peers.mjs';
import { goal, median } from '../report.mjs';

const files = 10_000;
/** The first after a start also waits for the program itself: it is told apart. */
const perRound = 5;

export async function run({ dir, rounds, cold }) {
  const engine = compilePeer('backup-engine', dir);
  const foreign = join(dir, 'foreign');
  await timeCommand(engine, 'tables', foreign, String(files));
  const data = join(dir, 'cairn');
  await timeCommand(process.execPath, inProject('dist', 'cli', 'main.js'), 'adopt', foreign, '--dir', data);
  rmSync(foreign, { recursive: true });
  const server = await startCairn(data, [...withRepository(join(dir, 'repository')), '--set', 'keyspace=raw']);
  const client = await server.client();
  const create = await timed(() => client.call('ADMIN.BACKUP', 'CREATE'));
  const measured = { create_ms: create.ms, files: Number(fields(create.value).files), quick_ms: [], full_ms: [] };
  for (let round = 0; round < rounds; round += 1) {
    settle(cold);
    for (let nth = 0; nth < perRound; nth += 1) {
      measured.quick_ms.push((await timed(() => client.call('ADMIN.BACKUP', 'VERIFY', '1', 'QUICK'))).ms);
    }
    measured.full_ms.push((await timed(() => client.call('ADMIN.BACKUP', 'VERIFY', '1', 'FULL'))).ms);
  }
  client.disconnect();
  await server.stop();
  const quick = median(measured.quick_ms);
  return {
    title: `Verification of a backup of ${measured.files.toLocaleString('en')} files`,
    parameters: { files, rounds, cold },
    columns: ['', 'time'],
    rows: [
      ['VERIFY QUICK', `${quick.toFixed(0)} ms`],
      ['the first VERIFY QUICK after the start', `${measured.quick_ms[0].toFixed(0)} ms`],
      ['VERIFY FULL', `${median(measured.full_ms).toFixed(0)} ms`],
      ['the CREATE before', `${create.ms.toFixed(0)} ms`],
    ],
    notes: [
      `Medians of ${rounds} rounds, QUICK ${perRound} times in each; tables of a hundred bytes, adopted from a directory of another program.`,
    ],
    goals: [goal('VERIFY QUICK at 10,000 files: ms', quick, 50, 'less')],
    measured,
  };
}
