/**
 * A second full after 5 % of new data, beside copying and hashing the new tables alone (cp, `openssl dgst`, two at a time, and a
 * sync). What the repository has is neither copied nor hashed: the bytes that the backup added say so.
 */
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { isTable, liveDirectory, sizeOf, THREADS, withRepository } from '../backups.mjs';
import { fill, untilCompacted } from '../data.mjs';
import { fields, requireProgram, settle, startCairn, timeCommand, timed } from '../peers.mjs';
import { goal, median, megabytes, ratio } from '../report.mjs';

export async function run({ dir, sizeBytes, rounds, cold }) {
  requireProgram('openssl', 'openssl', 'version');
  const args = [...withRepository(join(dir, 'repository')), '--set', 'write_buffer_size=8mb'];
  const server = await startCairn(join(dir, 'cairn'), args);
  const client = await server.client();
  const database = liveDirectory(join(dir, 'cairn'));
  let keys = await fill(client, sizeBytes);
  await untilCompacted(database);
  await client.call('ADMIN.BACKUP', 'CREATE', 'FULL');
  const measured = [];
  for (let round = 0; round < rounds; round += 1) {
    process.stderr.write(`bench: changed: round ${round + 1} of ${rounds}\n`);
    const known = new Set(readdirSync(database).filter(isTable));
    // New keys behind all others: their tables are new, and compactions leave the old ones alone.
    keys += await fill(client, sizeBytes / 20, keys);
    await untilCompacted(database);
    settle(cold);
    const full = await timed(() => client.call('ADMIN.BACKUP', 'CREATE', 'FULL'));
    const isNew = (name) => isTable(name) && !known.has(name);
    const copy = join(dir, 'copy');
    mkdirSync(copy);
    settle(cold);
    const names = readdirSync(database).filter(isNew);
    const each = 'cp "$1/$3" "$2" && openssl dgst -sha256 "$1/$3"';
    const all = `printf '%s\\n' "$@" | xargs -P ${THREADS} -I{} sh -c '${each}' sh "$FROM" "$TO" {} && sync -f "$TO"`;
    const peer = await timeCommand('env', `FROM=${database}`, `TO=${copy}`, 'sh', '-c', all, 'sh', ...names);
    measured.push({
      full_ms: full.ms,
      stored_bytes: Number(fields(full.value).stored_size),
      new_tables: names.length,
      new_bytes: sizeOf(database, isNew),
      all_bytes: sizeOf(database, isTable),
      copy_and_hash_ms: peer.ms,
    });
    rmSync(copy, { recursive: true });
  }
  client.disconnect();
  await server.stop();
  const of = (field) => median(measured.map((one) => one[field]));
  const times = median(measured.map((one) => one.full_ms / one.copy_and_hash_ms));
  return {
    title: 'A second full after 5 % of new data',
    parameters: { sizeBytes, rounds, cold },
    columns: ['', 'time', 'bytes'],
    rows: [
      ['second full', `${of('full_ms').toFixed(0)} ms`, megabytes(of('stored_bytes'))],
      ['cp and openssl of the new tables', `${of('copy_and_hash_ms').toFixed(0)} ms`, megabytes(of('new_bytes'))],
      ['ratio', ratio(times, 1), ratio(of('stored_bytes'), of('new_bytes'))],
    ],
    notes: [`Medians of ${rounds}, in turns; of ${megabytes(of('all_bytes'))} of tables, random 4 KiB values.`],
    goals: [goal('second full after 5 % new data: time to copying and hashing that', times, 1.3, 'less')],
    measured,
  };
}
