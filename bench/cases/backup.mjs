/**
 * A full backup and a restore of it: Cairn, RocksDB's BackupEngine through `ldb backup` and `ldb restore`, and `cp -r` with
 * a sync, on the same RocksDB directory, in turns. Cairn's part runs through a client against the running server, the way it
 * is used; the others need the database closed. All of them end with the copy on the disk.
 *
 * What each does beyond copying: Cairn hashes every byte (SHA-256) and, restoring, proves the result by opening it; ldb
 * checksums every file (crc32c); cp does nothing.
 */
import { cpSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fill, untilCompacted } from '../data.mjs';
import {
  fields,
  peakMemory,
  requireProgram,
  resetPeakMemory,
  settle,
  startCairn,
  timeCommand,
  timed,
} from '../peers.mjs';
import { median, ratio, seconds } from '../report.mjs';

export async function run({ dir, sizeBytes, rounds, cold }) {
  requireProgram('ldb', 'rocksdb-tools');
  const cairnDir = join(dir, 'cairn');
  const filling = await startCairn(cairnDir, withRepository(join(dir, 'unused')));
  const client = await filling.client();
  const keys = await fill(client, sizeBytes);
  await untilCompacted(liveDirectory(cairnDir));
  client.disconnect();
  await filling.stop();
  rmSync(join(dir, 'unused'), { recursive: true, force: true });
  const reference = join(dir, 'reference');
  cpSync(liveDirectory(cairnDir), reference, { recursive: true });

  const measured = { cairn: [], ldb: [], cp: [] };
  for (let round = 0; round < rounds; round += 1) {
    process.stderr.write(`bench: backup: round ${round + 1} of ${rounds}\n`);
    measured.cairn.push(await measureCairn(dir, cairnDir, keys, cold));
    measured.ldb.push(await measureLdb(dir, reference, cold));
    measured.cp.push(await measureCp(dir, reference, cold));
  }
  return report(measured, { sizeBytes, keys, rounds, cold });
}

function withRepository(path) {
  return ['--backup-dir', path, '--set', 'backup.wal.archive=no'];
}

function liveDirectory(dir) {
  // The highest number is the live one: every restore in place makes the next.
  const name = readdirSync(dir)
    .filter((entry) => /^db-\d+$/.test(entry))
    .sort()
    .at(-1);
  if (name === undefined) throw new Error(`${dir} has no db-* directory`);
  return join(dir, name);
}

async function measureCairn(dir, cairnDir, keys, cold) {
  const repository = join(dir, 'repository');
  const restores = join(dir, 'restores');
  const server = await startCairn(cairnDir, [...withRepository(repository), '--set', `backup.restore_dir=${restores}`]);
  const client = await server.client();
  await untilCompacted(liveDirectory(cairnDir));
  settle(cold);
  const memoryBefore = resetPeakMemory(server.pid);
  const create = await timed(() => client.call('ADMIN.BACKUP', 'CREATE', 'FULL'));
  const memoryBytes = peakMemory(server.pid) - memoryBefore;
  const second = await timed(() => client.call('ADMIN.BACKUP', 'CREATE', 'FULL'));
  settle(cold);
  const id = String(fields(create.value).id);
  const restoreTo = await timed(() => client.call('ADMIN.BACKUP', 'RESTORE', id, 'TO', 'bench'));
  rmSync(restores, { recursive: true, force: true });
  settle(cold);
  const inPlace = await timed(() => client.call('ADMIN.BACKUP', 'RESTORE', id));
  const counted = await client.dbsize();
  if (counted !== keys) throw new Error(`${counted} keys after the restore, ${keys} before`);
  client.disconnect();
  await server.stop();
  rmSync(repository, { recursive: true, force: true });
  return {
    backup_ms: create.ms,
    second_backup_ms: second.ms,
    second_stored_bytes: Number(fields(second.value).stored_size),
    restore_ms: restoreTo.ms,
    restore_in_place_ms: inPlace.ms,
    downtime_ms: Number(fields(inPlace.value).downtime_ms),
    memory_bytes: memoryBytes,
  };
}

async function measureLdb(dir, reference, cold) {
  const repository = join(dir, 'ldb-backup');
  const restored = join(dir, 'ldb-restored');
  mkdirSync(repository);
  settle(cold);
  const backup = await timeCommand('ldb', `--db=${reference}`, 'backup', `--backup_dir=${repository}`);
  const second = await timeCommand('ldb', `--db=${reference}`, 'backup', `--backup_dir=${repository}`);
  settle(cold);
  const restore = await timeCommand('ldb', `--db=${restored}`, 'restore', `--backup_dir=${repository}`);
  rmSync(repository, { recursive: true, force: true });
  rmSync(restored, { recursive: true, force: true });
  return { backup_ms: backup.ms, second_backup_ms: second.ms, restore_ms: restore.ms };
}

async function measureCp(dir, reference, cold) {
  const copy = join(dir, 'cp-backup');
  const restored = join(dir, 'cp-restored');
  const copySynced = (from, to) => timeCommand('sh', '-c', 'cp -r "$1" "$2" && sync -f "$2"', 'sh', from, to);
  settle(cold);
  const backup = await copySynced(reference, copy);
  settle(cold);
  const restore = await copySynced(copy, restored);
  rmSync(copy, { recursive: true, force: true });
  rmSync(restored, { recursive: true, force: true });
  return { backup_ms: backup.ms, restore_ms: restore.ms };
}

function report(measured, parameters) {
  const of = (peer, field) => median(measured[peer].map((round) => round[field]));
  const rows = [
    ['full backup', 'backup_ms'],
    ['second full, nothing changed', 'second_backup_ms'],
    ['restore to a directory', 'restore_ms'],
  ].map(([what, field]) => {
    const [cairn, ldb, cp] = ['cairn', 'ldb', 'cp'].map((peer) => of(peer, field));
    const copied = Number.isNaN(cp) || cp === undefined;
    return [
      what,
      seconds(cairn),
      seconds(ldb),
      copied ? '—' : seconds(cp),
      ratio(cairn, ldb),
      copied ? '—' : ratio(cairn, cp),
    ];
  });
  rows.push(['restore in place', seconds(of('cairn', 'restore_in_place_ms')), '—', '—', '—', '—']);
  const sizeMb = Math.round(parameters.sizeBytes / 2 ** 20);
  const memoryMb = Math.round(Math.max(...measured.cairn.map((round) => round.memory_bytes)) / 2 ** 20);
  return {
    title: `Full backup and restore of ${sizeMb} MB`,
    parameters,
    columns: ['', 'Cairn', 'ldb', 'cp -r, sync', 'Cairn / ldb', 'Cairn / cp'],
    rows,
    notes: [
      `Medians of ${parameters.rounds}, in turns; page cache ${parameters.cold ? 'dropped before each' : 'warm'}; random 4 KiB values.`,
      `During a restore in place clients saw LOADING for ${of('cairn', 'downtime_ms')} ms.`,
      `Memory of the server during the first full: at most ${memoryMb} MB more than before.`,
      `The second full stored ${of('cairn', 'second_stored_bytes')} bytes.`,
    ],
    measured,
  };
}
