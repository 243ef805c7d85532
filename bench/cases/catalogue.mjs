/**
 * Many backups: how long LIST, STATUS and PRUNE DRYRUN take, and the start of a server on them. The first are made by CREATE, and that
 * is timed; the others are written as the format says while no server runs, each with a manifest, a state and a file list of its own.
 */
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inProject } from '../../scripts/setup/root.mjs';
import { withRepository } from '../backups.mjs';
import { residentMemory, settle, startCairn, timed, timedBytes } from '../peers.mjs';
import { goal, median } from '../report.mjs';

/** More would take minutes and tell nothing else. */
const MOST_CREATED = 500;
const MORE_CALLS = 10;
const asked = [['LIST', 'LIMIT', '100'], ['STATUS'], ['PRUNE', 'MAXCOUNT', '100', 'DRYRUN']];

export async function run({ dir, rounds, backups }) {
  const data = join(dir, 'cairn');
  const repository = join(dir, 'repository');
  const args = withRepository(repository);
  const created = Math.min(backups, MOST_CREATED);
  const empty = await startCairn(data, args);
  const idleBytes = residentMemory(empty.pid);
  const first = await empty.client();
  await first.set('key', 'value');
  const making = await timed(async () => {
    for (let made = 0; made < created; made += 1) await first.call('ADMIN.BACKUP', 'CREATE');
  });
  first.disconnect();
  await empty.stop();
  await writeMore(repository, created, backups);
  const measured = { start_ms: [], create_ms: [] };
  for (let round = 0; round < rounds; round += 1) {
    settle(false);
    const start = await timed(() => startCairn(data, args));
    const client = await start.value.client();
    // The first LIST may read what the start left to it: it counts as part of the start.
    const read = await timed(() => client.call('ADMIN.BACKUP', 'LIST', 'LIMIT', '1'));
    measured.start_ms.push(start.ms + read.ms);
    for (const words of asked) {
      const command = words.join(' ');
      measured[command] ??= { first_ms: [], ms: [], bytes_ms: [] };
      // The first call after a start runs code that is not compiled yet.
      measured[command].first_ms.push((await timed(() => client.call('ADMIN.BACKUP', ...words))).ms);
      for (let n = 0; n < MORE_CALLS; n += 1) {
        measured[command].ms.push((await timed(() => client.call('ADMIN.BACKUP', ...words))).ms);
        measured[command].bytes_ms.push(await timedBytes(start.value.port, 'ADMIN.BACKUP', ...words));
      }
    }
    measured.create_ms.push((await timed(() => client.call('ADMIN.BACKUP', 'CREATE'))).ms);
    client.disconnect();
    await start.value.stop();
  }
  const shown = (list) => `${median(list).toFixed(0)} ms`;
  const idleMb = idleBytes / 2 ** 20;
  const title = `A catalogue of ${backups.toLocaleString('en')} backups`;
  return {
    title,
    parameters: { backups, created, rounds },
    columns: ['', 'first after a start', 'later', 'all bytes of the reply'],
    rows: [
      ['start, and a first LIST', shown(measured.start_ms), '', ''],
      ...asked.map((words) => {
        const { first_ms: first, ms, bytes_ms: bytes } = measured[words.join(' ')];
        return [words.join(' '), shown(first), shown(ms), shown(bytes)];
      }),
      ['CREATE of one more', shown(measured.create_ms), '', ''],
      [`making the first ${created}, each on average`, `${(making.ms / created).toFixed(0)} ms`, '', ''],
    ],
    notes: [
      `Medians of ${rounds} starts; later: of ${MORE_CALLS} more calls after each, through ioredis on the same cores, which parses the reply ` +
        'meanwhile. All bytes: the same on a socket whose reader parses nothing; the goals are about these. ' +
        `A server that is empty and idle has ${idleMb.toFixed(0)} MB resident.`,
      `The first ${created} backups are made by CREATE; the others, as like them as backups of unchanged data are but each with a file list of its own, are written by the project's own format functions before the server starts.`,
    ],
    goals: [
      ...asked.map((words) =>
        goal(
          `${title}: ${words.join(' ')}, all bytes, later calls: ms`,
          median(measured[words.join(' ')].bytes_ms),
          50,
          'less',
        ),
      ),
      goal(`${title}: start, ms`, median(measured.start_ms), 3000, 'less'),
      goal('resident when idle and empty: MB', idleMb, 120, 'less'),
    ],
    measured: { ...measured, making_ms: making.ms, idle_bytes: idleBytes },
  };
}

/** Backups `from` + 1 to `to`, like the last one that CREATE made. */
async function writeMore(repository, from, to) {
  const format = await import(inProject('dist', 'format', 'index.js'));
  const { formatTime, parseTime } = await import(inProject('dist', 'base', 'time.js'));
  const path = (key) => join(repository, key);
  const write = (key, bytes) => writeFileSync(path(key), bytes, { mode: 0o600 });
  const manifest = format.decodeManifest(readFileSync(path(format.manifestKey(from))), from);
  const state = format.decodeState(readFileSync(path(format.stateKey(from))), from);
  const { files } = format.decodeFileList(readFileSync(path(format.listKey(manifest.list.sha256))));
  const { us } = parseTime(manifest.finished_at);
  for (let id = from + 1; id <= to; id += 1) {
    // Another name of the last file, as a write-ahead log has another one each time.
    const last = { ...files.at(-1), name: `${String(id).padStart(9, '0')}.log` };
    const list = format.encodeFileList({
      files: [...files.slice(0, -1), last].sort((a, b) => (a.name < b.name ? -1 : 1)),
    });
    const at = formatTime(us + (id - from) * 100);
    const times = { timestamp: at, started_at: at, finished_at: at };
    const own = { ...manifest, ...times, id, list: { ...manifest.list, sha256: sha256(list) } };
    const bytes = format.encodeManifest(own);
    write(format.listKey(own.list.sha256), list);
    write(
      format.stateKey(id),
      format.encodeState({ ...state, id, manifest_sha256: sha256(bytes), list_sha256: own.list.sha256 }),
    );
    write(format.manifestKey(id), bytes);
  }
  write('next_id', format.formatNumber(to + 1));
}

function sha256(bytes) {
  return createHash('sha256').update(bytes).digest('hex');
}
