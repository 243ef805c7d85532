/**
 * Whether time grows with the bytes and with the keys, and no faster: a full backup, a verification and a restore per byte from
 * 256 MB up to --largest, beside `cp -r` and a sync of the same bytes, there and back; SET and GET through a pipeline per key from 10^5
 * keys up to --keys, with a cache that holds them (the case `cold` is about others), beside a bare Node server with as many in its Map.
 * What grows for the peer as well is the machine's.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { liveDirectory, makeData, sizeOf, withRepository } from '../backups.mjs';
import { untilCompacted } from '../data.mjs';
import { redisBenchmark, settle, startBare, startCairn, timeCommand, timed } from '../peers.mjs';
import { goal, median } from '../report.mjs';

const smallest = 256 * 2 ** 20;
const fewest = 100_000;
const MOST_GETS = 1_000_000;
/** What still counts as flat: the machine differs by as much from minute to minute. */
const FLAT = 1.25;

export async function run({ dir, largestBytes, keys, rounds, cold }) {
  const bytes = [];
  for (let size = smallest; size <= largestBytes; size *= 2) bytes.push(await perByte(dir, size, rounds, cold));
  const perKey = [];
  for (let count = fewest; count <= keys; count *= 10) perKey.push(await perKeyOf(dir, count));
  return report(bytes, perKey, { largestBytes, keys, rounds, cold });
}

async function perByte(dir, size, rounds, cold) {
  process.stderr.write(`bench: growth: ${size / 2 ** 20} MB\n`);
  const data = join(dir, `bytes-${size}`);
  const repository = join(dir, 'repository');
  await makeData(data, size, join(dir, 'unused'));
  const restores = join(dir, 'restores');
  const server = await startCairn(data, [...withRepository(repository), '--set', `backup.restore_dir=${restores}`]);
  const client = await server.client();
  await untilCompacted(liveDirectory(data));
  const stored = sizeOf(liveDirectory(data));
  const step = async (...words) => {
    settle(cold);
    return (await timed(() => client.call('ADMIN.BACKUP', ...words))).ms;
  };
  const [copy, copied] = [join(dir, 'copy'), join(dir, 'copied')];
  const times = { create_ms: [], verify_ms: [], restore_ms: [], cp_ms: [], cp_back_ms: [] };
  for (let round = 1; round <= rounds; round += 1) {
    const id = String(round);
    times.create_ms.push(await step('CREATE', 'FULL'));
    times.verify_ms.push(await step('VERIFY', id));
    times.restore_ms.push(await step('RESTORE', id, 'TO', 'bench'));
    // Not all of it at once: what the page cache cannot hold would be read from the disk again.
    rmSync(restores, { recursive: true, force: true });
    await client.call('ADMIN.BACKUP', 'DELETE', id, 'FORCE');
    times.cp_ms.push(await copySynced(liveDirectory(data), copy, cold));
    times.cp_back_ms.push(await copySynced(copy, copied, cold));
    for (const path of [copy, copied]) rmSync(path, { recursive: true, force: true });
  }
  const medians = Object.fromEntries(Object.entries(times).map(([field, all]) => [field, median(all)]));
  const result = { bytes: stored, ...medians, rounds: times };
  client.disconnect();
  await server.stop();
  const made = [data, repository, join(dir, 'unused')];
  for (const path of made) rmSync(path, { recursive: true, force: true });
  return result;
}

async function copySynced(from, to, cold) {
  settle(cold);
  return (await timeCommand('sh', '-c', 'cp -r "$1" "$2" && sync -f "$2"', 'sh', from, to)).ms;
}

async function perKeyOf(dir, keys) {
  process.stderr.write(`bench: growth: ${keys} keys\n`);
  const data = join(dir, `keys-${keys}`);
  const server = await startCairn(data, [...withRepository(join(dir, 'unused')), '--set', 'cache_size=4gb']);
  const load = { pipeline: 16, keySpace: keys, valueBytes: 100 };
  // Of few keys each is set more than once: else code that is not compiled yet would be most of what is measured.
  const requests = Math.max(keys, MOST_GETS);
  settle(false);
  const [set] = await redisBenchmark(server.port, { ...load, tests: 'set', requests });
  const client = await server.client();
  await untilCompacted(liveDirectory(data));
  const [get] = await redisBenchmark(server.port, { ...load, tests: 'get', requests: MOST_GETS });
  const count = await timed(() => client.dbsize());
  client.disconnect();
  await server.stop();
  for (const path of [data, join(dir, 'unused')]) rmSync(path, { recursive: true, force: true });
  const bare = await startBare();
  settle(false);
  const [bareSet] = await redisBenchmark(bare.port, { ...load, tests: 'set', requests });
  const [bareGet] = await redisBenchmark(bare.port, { ...load, tests: 'get', requests: MOST_GETS });
  await bare.stop();
  return {
    keys,
    set_per_second: set.per_second,
    get_per_second: get.per_second,
    bare_set_per_second: bareSet.per_second,
    bare_get_per_second: bareGet.per_second,
    dbsize_ms: count.ms,
  };
}

function report(bytes, perKey, parameters) {
  const perMb = (one, field) => one[field] / (one.bytes / 2 ** 20);
  const grown = (field) => perMb(bytes.at(-1), field) / perMb(bytes[0], field);
  const slower = (field) => perKey[0][field] / perKey.at(-1)[field];
  const times = ['create_ms', 'cp_ms', 'verify_ms', 'restore_ms', 'cp_back_ms'];
  const rates = ['set_per_second', 'bare_set_per_second', 'get_per_second', 'bare_get_per_second'];
  const rate = (value) => `${Math.round(value).toLocaleString('en')} a second`;
  const rows = [
    ...bytes.map((one) => [
      `${Math.round(one.bytes / 2 ** 20)} MB: full backup; cp; VERIFY FULL; restore to a directory; cp back`,
      ...times.map((field) => `${perMb(one, field).toFixed(2)} ms per MB`),
    ]),
    ...perKey.map((one) => [
      `${one.keys.toLocaleString('en')} keys: SET; bare Node; GET; bare Node; DBSIZE`,
      ...rates.map((field) => rate(one[field])),
      `${one.dbsize_ms.toFixed(1)} ms`,
    ]),
  ];
  const shown = (value) => value.toFixed(2);
  return {
    title: 'Growth',
    parameters,
    columns: ['', '', '', '', '', ''],
    rows,
    notes: [
      `Per byte: medians of ${parameters.rounds}, in turns. Per key: once.`,
      `Time per byte, the largest to the smallest: create ${shown(grown('create_ms'))} (cp ${shown(grown('cp_ms'))}), verify ` +
        `${shown(grown('verify_ms'))}, restore ${shown(grown('restore_ms'))} (cp ${shown(grown('cp_back_ms'))}).`,
      `Time per key, the most to the fewest: SET ${shown(slower('set_per_second'))} (bare Node ` +
        `${shown(slower('bare_set_per_second'))}), GET ${shown(slower('get_per_second'))} (bare Node ` +
        `${shown(slower('bare_get_per_second'))}).`,
    ],
    goals: [
      goal('growth: create per byte, largest to smallest', grown('create_ms'), FLAT, 'less'),
      goal('growth: the same beside that of cp', grown('create_ms') / grown('cp_ms'), FLAT, 'less'),
      goal('growth: verify per byte', grown('verify_ms'), FLAT, 'less'),
      goal('growth: restore per byte', grown('restore_ms'), FLAT, 'less'),
      goal('growth: the same beside that of cp', grown('restore_ms') / grown('cp_back_ms'), FLAT, 'less'),
      goal('growth: SET per key, most to fewest', slower('set_per_second'), FLAT, 'less'),
      goal(
        'growth: the same beside that of bare Node',
        slower('set_per_second') / slower('bare_set_per_second'),
        FLAT,
        'less',
      ),
      goal('growth: GET per key', slower('get_per_second'), FLAT, 'less'),
      goal(
        'growth: the same beside that of bare Node',
        slower('get_per_second') / slower('bare_get_per_second'),
        FLAT,
        'less',
      ),
    ],
    measured: { bytes, per_key: perKey },
  };
}
