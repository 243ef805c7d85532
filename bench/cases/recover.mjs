/**
 * Replaying commits: RESTORE … SEQ of a server that was loaded with SETs after its full, beside a C++ loop that applies the
 * same records to the same librocksdb in batches of 1 MB with the WAL off and checks nothing (replay.cc, compiled here), and
 * beside redis-server loading an AOF of the same commands. In turns.
 *
 * Cairn's time is the whole restore: plan, copy of the base, reading and proving segments, replay, flush, reopen, proof.
 */
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { compilePeer, fields, requireProgram, settle, startCairn, startRedis, timeCommand, timed } from '../peers.mjs';
import { goal, median, ratio } from '../report.mjs';

const valueBytes = 180;
const perPipeline = 1000;

export async function run({ dir, rounds, commits }) {
  requireProgram('redis-server', 'redis-server');
  const loop = compilePeer('replay', dir);
  const restores = join(dir, 'restores');
  const cairn = await startCairn(join(dir, 'cairn'), ['--set', `backup.restore_dir=${restores}`]);
  const redisDir = join(dir, 'redis');
  const redis = await startRedis(redisDir);
  const [client, other] = [await cairn.client(), await redis.client()];
  await client.call('ADMIN.BACKUP', 'CREATE');
  await write(client, commits);
  await write(other, commits);
  await client.call('ADMIN.BACKUP', 'WINDOW');
  other.disconnect();
  await redis.stop();
  const area = join(dir, 'records');
  writeRecords(join(dir, 'cairn', 'backups', 'wal', '1'), area);

  const measured = [];
  for (let round = 0; round < rounds; round += 1) {
    process.stderr.write(`bench: recover: round ${round + 1} of ${rounds}\n`);
    settle(false);
    const moment = String((Date.now() - 1) * 1000);
    const restore = await timed(() =>
      client.call('ADMIN.BACKUP', 'RESTORE', 'LATEST', 'AT', moment, 'TO', `round-${round}`),
    );
    const { commits_replayed: replayed } = fields(restore.value);
    rmSync(restores, { recursive: true, force: true });
    settle(false);
    const { output } = await timeCommand(loop, area, join(dir, 'loop'));
    rmSync(join(dir, 'loop'), { recursive: true });
    const [, loopMs] = output.trim().split(' ').map(Number);
    settle(false);
    measured.push({
      replayed: Number(replayed),
      cairn_ms: restore.ms,
      loop_ms: loopMs,
      redis_ms: await loadAof(redisDir),
    });
  }
  client.disconnect();
  await cairn.stop();
  return report(measured, { rounds, commits, value_bytes: valueBytes });
}

async function write(client, commits) {
  const noise = randomBytes(1 << 20);
  let key = 12345;
  for (let first = 0; first < commits; first += perPipeline) {
    const pipeline = client.pipeline();
    for (let n = first; n < Math.min(commits, first + perPipeline); n += 1) {
      key = (Math.imul(key, 1103515245) + 12345) >>> 0;
      const at = (n * 7919) % (noise.length - valueBytes);
      pipeline.set(`k${String(key % (2 * commits)).padStart(11, '0')}`, noise.subarray(at, at + valueBytes));
    }
    const outcomes = await pipeline.exec();
    const failed = outcomes.find(([error]) => error !== null);
    if (failed !== undefined) throw failed[0];
  }
}

/** The records areas of all segments, back to back: what the loop applies. */
function writeRecords(directory, target) {
  const parts = readdirSync(directory)
    .sort()
    .map((name) => {
      const bytes = readFileSync(join(directory, name));
      return bytes.subarray(160, 160 + Number(bytes.readBigUInt64LE(128)));
    });
  writeFileSync(target, Buffer.concat(parts));
}

/** What redis-server says that loading its AOF took. */
async function loadAof(dir) {
  const server = await startRedis(dir);
  const said = server.said();
  await server.stop();
  const seconds = /DB loaded from (?:append only file|base file|incr file)[^:]*: ([0-9.]+) seconds/g;
  let total = 0;
  for (const match of said.matchAll(seconds)) total = Math.max(total, Number(match[1]));
  if (total === 0) throw new Error(`redis-server did not say how long it loaded: ${said}`);
  return total * 1000;
}

function report(measured, parameters) {
  const rate = (field) => median(measured.map((one) => (one.replayed / one[field]) * 1000));
  const pairs = (field) => median(measured.map((one) => one[field] / one.cairn_ms));
  const shown = (number) => Math.round(number).toLocaleString('en');
  return {
    title: 'Replaying commits to a moment',
    parameters,
    columns: ['commits per second', 'rate', 'Cairn / it'],
    rows: [
      ['Cairn, RESTORE … AT … TO, all of it', shown(rate('cairn_ms')), '—'],
      ['C++ loop, applied and flushed', shown(rate('loop_ms')), ratio(pairs('loop_ms'), 1)],
      ['redis-server, loading its AOF', shown(rate('redis_ms')), ratio(pairs('redis_ms'), 1)],
    ],
    notes: [
      `Medians of ${parameters.rounds}, in turns; ${parameters.commits.toLocaleString('en')} SETs of ${valueBytes}-byte values to ` +
        'keys in no order, one commit each. The loop checks nothing; Cairn proves every record and the result.',
    ],
    goals: [
      goal('PITR replay: rate to a C++ loop', pairs('loop_ms'), 0.9, 'more'),
      goal('PITR replay: rate to redis-server loading its AOF', pairs('redis_ms'), 1, 'more'),
    ],
    measured,
  };
}
