/**
 * A process that writes is killed with SIGKILL, again and again. Everything that it acknowledged is there afterwards:
 * under `always`, and under `everysec` too, for what is in the log is the operating system's and survives the process.
 */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { survey } from '../../src/keyspace/survey.js';
import { allKeys, get, open } from './harness.js';

const writer = fileURLToPath(new URL('./kill-writer.js', import.meta.url));
const ACKNOWLEDGED_BEFORE_KILL = 400;

/** Acknowledgements until the kill: number → key and value that were promised, null for a removal. */
async function killedWhileWriting(
  path: string,
  durability: string,
  round: number,
): Promise<Map<string, string | null>> {
  const child = spawn(process.execPath, [writer, path, durability, String(round)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const acknowledged = new Map<string, string | null>();
  let rest = '';
  let lines = 0;
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.stdout.on('data', (data: Buffer) => {
    const text = (rest + data.toString()).split('\n');
    rest = text.pop() ?? '';
    for (const line of text) {
      const [key, value] = line.split(' ');
      acknowledged.set(key as string, value === '-' ? null : (value as string));
      lines += 1;
    }
    if (lines >= ACKNOWLEDGED_BEFORE_KILL) child.kill('SIGKILL');
  });
  await ended;
  t.ok(lines >= ACKNOWLEDGED_BEFORE_KILL, `${lines} acknowledged`);
  return acknowledged;
}

for (const durability of ['always', 'everysec']) {
  t.test(`what was acknowledged under ${durability} survives a kill`, async (t) => {
    const path = `${t.testdir()}/db`;
    const promised = new Map<string, string | null>();
    let commits = 0;
    for (let round = 0; round < 4; round += 1) {
      const acknowledged = await killedWhileWriting(path, durability, round);
      for (const [key, value] of acknowledged) promised.set(key, value);
      const { keyspace, database } = await open(path, { clockFloorUs: 0 });
      // What was sent last may or may not be there: it writes keys of its own round.
      const wrong: string[] = [];
      for (const [key, value] of promised) {
        const found = await get(keyspace, key);
        const [, at] = (found ?? '').split(':');
        const [, least] = (value ?? '').split(':');
        if (value !== null && (found === null || Number(at) < Number(least))) wrong.push(`${key}: ${found} < ${value}`);
      }
      t.same(wrong, []);
      t.equal((await allKeys(keyspace)).length, keyspace.position.keyCounts[0], 'the count is exact');
      const { expiryCounts } = await survey(database, 'native');
      t.ok((expiryCounts[0] ?? 0) > 0);
      t.same(keyspace.position.expiryCounts, expiryCounts, 'and so is that of keys with an expiry');
      t.ok(keyspace.position.commitCount > commits);
      commits = keyspace.position.commitCount;
      await keyspace.close();
    }
  });
}
