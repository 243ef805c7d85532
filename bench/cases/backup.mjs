/**
 * A full backup, a verification and a restore: Cairn, RocksDB's BackupEngine with as many threads (backup-engine.cc), and `cp -r`
 * with a sync, on the same RocksDB directory, in turns. Cairn's part runs through a client against the running server, the way it
 * is used; the others need the database closed. All of them end with the copy on the disk.
 *
 * What each does beyond copying: Cairn hashes every byte (SHA-256) and, restoring, proves the result by opening it; the
 * BackupEngine checksums every file (crc32c); cp does nothing. Nobody who hashes passes the rate of SHA-256 itself.
 */
import { cpSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { liveDirectory, makeData, sizeOf, THREADS, withRepository } from '../backups.mjs';
import { untilCompacted } from '../data.mjs';
import {
  compilePeer,
  fields,
  peakMemory,
  peerMs,
  resetPeakMemory,
  settle,
  sha256Limit,
  startCairn,
  timeCommand,
  timed,
} from '../peers.mjs';
import { goal, median, ratio, seconds } from '../report.mjs';

export async function run({ dir, sizeBytes, rounds, cold }) {
  const engine = compilePeer('backup-engine', dir);
  const readHash = compilePeer('read-hash', dir);
  const cairnDir = join(dir, 'cairn');
  const keys = await makeData(cairnDir, sizeBytes, join(dir, 'unused'));
  rmSync(join(dir, 'unused'), { recursive: true, force: true });
  const reference = join(dir, 'reference');
  cpSync(liveDirectory(cairnDir), reference, { recursive: true });
  const bytes = sizeOf(reference);

  const measured = { cairn: [], engine: [], cp: [], sha256: [] };
  for (let round = 0; round < rounds; round += 1) {
    process.stderr.write(`bench: backup: round ${round + 1} of ${rounds}\n`);
    measured.cairn.push(await measureCairn(dir, cairnDir, keys, cold, readHash));
    measured.engine.push(await measureEngine(engine, dir, reference, cold));
    measured.cp.push(await measureCp(dir, reference, cold));
    measured.sha256.push({ hash_ms: (bytes / (await sha256Limit(THREADS))) * 1000 });
  }
  return report(measured, { sizeBytes, bytes, keys, rounds, cold, threads: THREADS });
}

async function measureCairn(dir, cairnDir, keys, cold, readHash) {
  const repository = join(dir, 'repository');
  const restores = join(dir, 'restores');
  const server = await startCairn(cairnDir, [...withRepository(repository), '--set', `backup.restore_dir=${restores}`]);
  const client = await server.client();
  await untilCompacted(liveDirectory(cairnDir));
  settle(cold);
  const memoryBefore = resetPeakMemory(server.pid);
  const create = await timed(() => client.call('ADMIN.BACKUP', 'CREATE', 'FULL'));
  const id = String(fields(create.value).id);
  const second = await timed(() => client.call('ADMIN.BACKUP', 'CREATE', 'FULL'));
  settle(cold);
  const verify = await timed(() => client.call('ADMIN.BACKUP', 'VERIFY', id));
  settle(cold);
  const readHashMs = await peerMs(readHash, join(repository, 'files'), String(THREADS));
  settle(cold);
  const restoreTo = await timed(() => client.call('ADMIN.BACKUP', 'RESTORE', id, 'TO', 'bench'));
  const memoryBytes = peakMemory(server.pid) - memoryBefore;
  rmSync(restores, { recursive: true, force: true });
  settle(cold);
  const inPlace = await timed(() => client.call('ADMIN.BACKUP', 'RESTORE', id));
  const counted = await client.dbsize();
  if (counted !== keys) throw new Error(`${counted} keys after the restore, ${keys} before`);
  client.disconnect();
  await server.stop();
  // A round begins without any: the server would take it for a disk that is not mounted.
  for (const path of [repository, join(cairnDir, 'repository.json')]) rmSync(path, { recursive: true, force: true });
  return {
    backup_ms: create.ms,
    second_backup_ms: second.ms,
    second_stored_bytes: Number(fields(second.value).stored_size),
    verify_ms: verify.ms,
    read_hash_ms: readHashMs,
    restore_ms: restoreTo.ms,
    restore_in_place_ms: inPlace.ms,
    memory_bytes: memoryBytes,
  };
}

async function measureEngine(engine, dir, reference, cold) {
  const backups = join(dir, 'engine-backup');
  const restored = join(dir, 'engine-restored');
  const checkpoint = join(dir, 'checkpoint');
  mkdirSync(backups);
  settle(cold);
  const backupMs = await peerMs(engine, 'backup', reference, backups, String(THREADS));
  const secondMs = await peerMs(engine, 'backup', reference, backups, String(THREADS));
  const checkpointMs = await peerMs(engine, 'checkpoint', reference, checkpoint);
  settle(cold);
  const restoreMs = await peerMs(engine, 'restore', backups, restored, String(THREADS));
  for (const path of [backups, restored, checkpoint]) rmSync(path, { recursive: true, force: true });
  return { backup_ms: backupMs, second_backup_ms: secondMs, checkpoint_ms: checkpointMs, restore_ms: restoreMs };
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
  const hashMs = of('sha256', 'hash_ms');
  const row = (what, field, engineField = field, cpField = field) => {
    const cairn = of('cairn', field);
    const [engine, cp] = [of('engine', engineField), of('cp', cpField)];
    const shown = (ms) => (ms > 0 ? seconds(ms) : '—');
    const times = (ms) => (ms > 0 ? ratio(ms, cairn) : '—');
    return [what, seconds(cairn), shown(engine), shown(cp), times(engine), times(cp), ratio(hashMs, cairn)];
  };
  const sizeMb = Math.round(parameters.sizeBytes / 2 ** 20);
  const memoryMb = Math.max(...measured.cairn.map((round) => round.memory_bytes)) / 2 ** 20;
  // The goal is the engine, or the limit of hashing where that is the lower one: the better of the two scores counts.
  const fast = (field) => Math.max(of('engine', field) / of('cairn', field), hashMs / of('cairn', field) / 0.85);
  return {
    title: `Full backup, verification and restore of ${sizeMb} MB`,
    parameters,
    columns: ['', 'Cairn', 'BackupEngine', 'cp -r, sync', 'rate to engine', 'rate to cp', 'rate to SHA-256'],
    rows: [
      row('full backup', 'backup_ms'),
      row('second full, nothing changed', 'second_backup_ms', 'second_backup_ms', 'none'),
      row('VERIFY FULL', 'verify_ms', 'none', 'none'),
      row('restore to a directory', 'restore_ms'),
      row('restore in place', 'restore_in_place_ms', 'none', 'none'),
    ],
    notes: [
      `Medians of ${parameters.rounds}, in turns; page cache ${parameters.cold ? 'dropped before each' : 'warm'}; random 4 KiB values; ` +
        `BackupEngine with ${parameters.threads} threads, opening not counted.`,
      `SHA-256 of the same bytes on ${parameters.threads} cores (openssl speed): ${seconds(hashMs)}. A bare checkpoint: ` +
        `${of('engine', 'checkpoint_ms').toFixed(1)} ms.`,
      `Reading and hashing the repository's files by a C++ loop that does nothing else (read-hash.cc): ` +
        `${seconds(of('cairn', 'read_hash_ms'))}.`,
      `Memory of the server during create, verification and restore: at most ${memoryMb.toFixed(0)} MB more than before.`,
      `The second full stored ${of('cairn', 'second_stored_bytes')} bytes.`,
    ],
    goals: [
      goal('full backup: rate to BackupEngine, or to 0.85 of SHA-256', fast('backup_ms'), 1, 'more'),
      goal('restore TO: rate to BackupEngine, or to 0.85 of SHA-256', fast('restore_ms'), 1, 'more'),
      goal('VERIFY FULL: rate to SHA-256 on two cores', hashMs / of('cairn', 'verify_ms'), 0.9, 'more'),
      goal(
        'nothing changed: ms beyond a bare checkpoint',
        of('cairn', 'second_backup_ms') - of('engine', 'checkpoint_ms'),
        50,
        'less',
      ),
      goal('memory during a backup, verification, restore: MB', memoryMb, 64, 'less'),
    ],
    measured,
  };
}
