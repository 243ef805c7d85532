/**
 * Whether time grows with the bytes and with the keys, and no faster: a full backup, a verification and a restore per byte from
 * 256 MB up to --largest, and SET through a pipeline per key from 10^5 keys up to --keys.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { liveDirectory, makeData, sizeOf, withRepository } from '../backups.mjs';
import { untilCompacted } from '../data.mjs';
import { redisBenchmark, settle, startCairn, timed } from '../peers.mjs';
import { goal, ratio } from '../report.mjs';

const smallest = 256 * 2 ** 20;
const fewest = 100_000;

export async function run({ dir, largestBytes, keys, cold }) {
  const bytes = [];
  for (let size = smallest; size <= largestBytes; size *= 2) bytes.push(await perByte(dir, size, cold));
  const perKey = [];
  for (let count = fewest; count <= keys; count *= 10) perKey.push(await perKeyOf(dir, count));
  return report(bytes, perKey, { largestBytes, keys, cold });
}

async function perByte(dir, size, cold) {
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
  const result = {
    bytes: stored,
    create_ms: await step('CREATE', 'FULL'),
    verify_ms: await step('VERIFY', '1'),
    restore_ms: await step('RESTORE', '1', 'TO', 'bench'),
  };
  client.disconnect();
  await server.stop();
  for (const path of [data, repository, restores, join(dir, 'unused')]) rmSync(path, { recursive: true, force: true });
  return result;
}

async function perKeyOf(dir, keys) {
  process.stderr.write(`bench: growth: ${keys} keys\n`);
  const data = join(dir, `keys-${keys}`);
  const server = await startCairn(data, withRepository(join(dir, 'unused')));
  const load = { pipeline: 16, keySpace: keys, valueBytes: 100 };
  settle(false);
  const [set] = await redisBenchmark(server.port, { ...load, tests: 'set', requests: keys });
  const client = await server.client();
  await untilCompacted(liveDirectory(data));
  const [get] = await redisBenchmark(server.port, { ...load, tests: 'get', requests: Math.min(keys, 1_000_000) });
  const count = await timed(() => client.dbsize());
  client.disconnect();
  await server.stop();
  for (const path of [data, join(dir, 'unused')]) rmSync(path, { recursive: true, force: true });
  return { keys, set_per_second: set.per_second, get_per_second: get.per_second, dbsize_ms: count.ms };
}

function report(bytes, perKey, parameters) {
  const perMb = (one, field) => one[field] / (one.bytes / 2 ** 20);
  const [first, last] = [bytes[0], bytes.at(-1)];
  const [few, many] = [perKey[0], perKey.at(-1)];
  const rows = [
    ...bytes.map((one) => [
      `${Math.round(one.bytes / 2 ** 20)} MB`,
      ...['create_ms', 'verify_ms', 'restore_ms'].map((field) => `${perMb(one, field).toFixed(2)} ms per MB`),
    ]),
    ...perKey.map((one) => [
      `${one.keys.toLocaleString('en')} keys`,
      `SET ${Math.round(one.set_per_second).toLocaleString('en')} a second`,
      `GET ${Math.round(one.get_per_second).toLocaleString('en')} a second`,
      `DBSIZE ${one.dbsize_ms.toFixed(1)} ms`,
    ]),
  ];
  return {
    title: 'Growth',
    parameters,
    columns: ['', 'full backup', 'VERIFY FULL', 'restore to a directory'],
    rows,
    notes: [
      `From the smallest to the largest: create ${ratio(perMb(last, 'create_ms'), perMb(first, 'create_ms'))}, verify ` +
        `${ratio(perMb(last, 'verify_ms'), perMb(first, 'verify_ms'))}, restore ` +
        `${ratio(perMb(last, 'restore_ms'), perMb(first, 'restore_ms'))} times the time per byte; SET ` +
        `${ratio(few.set_per_second, many.set_per_second)}, GET ${ratio(few.get_per_second, many.get_per_second)} times the time per key.`,
    ],
    goals: [
      goal(
        'growth: create per byte, largest to smallest',
        perMb(last, 'create_ms') / perMb(first, 'create_ms'),
        1.25,
        'less',
      ),
      goal('growth: verify per byte', perMb(last, 'verify_ms') / perMb(first, 'verify_ms'), 1.25, 'less'),
      goal('growth: restore per byte', perMb(last, 'restore_ms') / perMb(first, 'restore_ms'), 1.25, 'less'),
    ],
    measured: { bytes, per_key: perKey },
  };
}
