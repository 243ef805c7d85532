/**
 * INFO keyspace against a model: random commands that give keys an expiry, take it, move it and let it come, alone and in
 * MULTI; between them restarts, kills, restores in place and to a directory. After each, `keys` and `expires` of every
 * database are the model's, and what the state says is what is found by reading every record.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import t from 'tap';
import { openDatabase } from '../../src/engine/index.js';
import { readPosition, survey } from '../../src/keyspace/survey.js';
import { admin } from '../support/admin.js';
import { type Server, startServer } from '../support/built-server.js';
import { night } from '../support/night.js';
import { scratch } from '../support/scratch.js';
import { waitFor } from '../support/wait.js';
import { again, Random } from './support/random.js';

const DATABASES = [0, 1, 2];
/** Keys that live until a command takes them. */
const LASTING = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
/** Keys whose time may come at any moment: no command here asks whether they are there. */
const PASSING = ['p', 'q', 'r', 's'];
const FAR = '100000';

/** passing: its time comes by itself. */
type Life = 'plain' | 'expires' | 'passing';
type Content = Map<string, Life>[];

interface Step {
  database: number;
  words: string[];
  apply(content: Content): void;
}

const copyOf = (content: Content): Content => content.map((database) => new Map(database));

function randomStep(random: Random): Step {
  const database = random.pick(DATABASES);
  const other = random.pick(DATABASES);
  const [key, second] = [random.pick(LASTING), random.pick(LASTING)];
  const passing = random.pick(PASSING);
  const on = (change: (keys: Map<string, Life>, content: Content) => void): Step['apply'] => {
    return (content) => change(content[database] as Map<string, Life>, content);
  };
  const ifThere = (life: Life) => on((keys) => void (keys.has(key) && keys.set(key, life)));
  const choices: (() => Omit<Step, 'database'>)[] = [
    () => ({ words: ['SET', key, 'v'], apply: on((keys) => keys.set(key, 'plain')) }),
    () => ({ words: ['SET', key, 'v', 'EX', FAR], apply: on((keys) => keys.set(key, 'expires')) }),
    () => ({ words: ['SETEX', key, FAR, 'v'], apply: on((keys) => keys.set(key, 'expires')) }),
    () => ({ words: ['SET', key, 'v', 'KEEPTTL'], apply: on((keys) => keys.set(key, keys.get(key) ?? 'plain')) }),
    () => ({ words: ['APPEND', key, 'v'], apply: on((keys) => keys.set(key, keys.get(key) ?? 'plain')) }),
    () => ({ words: ['PERSIST', key], apply: ifThere('plain') }),
    () => ({ words: ['GETEX', key, 'PERSIST'], apply: ifThere('plain') }),
    () => ({ words: ['GETEX', key, 'EX', FAR], apply: ifThere('expires') }),
    () => ({ words: ['EXPIRE', key, FAR], apply: ifThere('expires') }),
    () => ({ words: ['EXPIRE', key, '-1'], apply: on((keys) => keys.delete(key)) }),
    () => ({
      words: ['DEL', key, passing],
      apply: on((keys) => {
        for (const each of [key, passing]) keys.delete(each);
      }),
    }),
    () => ({
      words: ['SET', passing, 'v', 'PX', `${1 + random.int(60)}`],
      apply: on((keys) => keys.set(passing, 'passing')),
    }),
    () => ({
      words: ['SET', passing, 'v', 'PX', `${1 + random.int(9)}`],
      apply: on((keys) => keys.set(passing, 'passing')),
    }),
    () => {
      const target = random.pick([second, second, passing]);
      return {
        words: ['RENAME', key, target],
        apply: on((keys) => {
          const life = keys.get(key);
          if (life === undefined) return;
          keys.delete(key);
          keys.set(target, life);
        }),
      };
    },
    () => {
      const replace = random.once(2);
      const target = replace ? random.pick([second, passing]) : second;
      return {
        words: ['COPY', key, target, 'DB', `${other}`, ...(replace ? ['REPLACE'] : [])],
        apply: on((keys, content) => {
          const life = keys.get(key);
          const to = content[other] as Map<string, Life>;
          if (life === undefined || (to === keys && target === key) || (to.has(target) && !replace)) return;
          to.set(target, life);
        }),
      };
    },
    () => ({
      words: ['MOVE', key, `${other}`],
      apply: on((keys, content) => {
        const life = keys.get(key);
        const to = content[other] as Map<string, Life>;
        if (life === undefined || to.has(key)) return;
        keys.delete(key);
        to.set(key, life);
      }),
    }),
  ];
  const rare: (() => Omit<Step, 'database'>)[] = [
    () => ({ words: ['FLUSHDB'], apply: on((keys) => keys.clear()) }),
    () => ({
      words: ['SWAPDB', `${database}`, `${other}`],
      apply: (content) => {
        const [a, b] = [content[database], content[other]] as [Map<string, Life>, Map<string, Life>];
        [content[database], content[other]] = [b, a];
      },
    }),
  ];
  return { database, ...random.pick(random.once(12) ? rare : choices)() };
}

/** One write of the client: commands alone and transactions, some of them discarded. */
async function batch(client: Redis, random: Random, content: Content): Promise<void> {
  const sent = client.pipeline();
  for (let left = 5 + random.int(40); left > 0; left -= 1) {
    const queued = random.once(4) ? 1 + random.int(6) : 0;
    const discarded = queued > 0 && random.once(4);
    if (queued > 0) sent.call('MULTI');
    for (let nth = 0; nth < Math.max(queued, 1); nth += 1) {
      const { database, words, apply } = randomStep(random);
      sent.call('SELECT', String(database));
      sent.call(words[0] as string, ...words.slice(1));
      if (!discarded) apply(content);
    }
    if (queued > 0) sent.call(discarded ? 'DISCARD' : 'EXEC');
  }
  await sent.exec();
}

async function keyspaceInfo(client: Redis): Promise<string[]> {
  return (await client.info('keyspace')).split('\r\n').filter((line) => line.startsWith('db'));
}

/** Once every key whose time came is gone. */
async function check(client: Redis, content: Content, what: string): Promise<void> {
  for (const keys of content) for (const [key, life] of keys) if (life === 'passing') keys.delete(key);
  const expected = content.flatMap((keys, database) => {
    const expires = [...keys.values()].filter((life) => life === 'expires').length;
    return keys.size === 0 ? [] : [`db${database}:keys=${keys.size},expires=${expires},avg_ttl=0`];
  });
  const counted = (lines: string[]): string => lines.map((line) => line.replace(/,expires=.*/, '')).join();
  let found: string[] = [];
  const settled = async (): Promise<boolean> => {
    found = await keyspaceInfo(client);
    return counted(found) === counted(expected);
  };
  await waitFor(settled, { what: `the keys of the model, ${what}` }).catch((error: unknown) => {
    throw new Error(`${String(error)}: ${found.join(' ')} instead of ${expected.join(' ')}`);
  });
  assert.deepEqual(found, expected, what);
  let seen = 0;
  for (const database of DATABASES) {
    await client.select(database);
    for (const key of await client.keys('*')) if ((await client.pttl(key)) > 0) seen += 1;
  }
  const promised = content.reduce(
    (sum, keys) => sum + [...keys.values()].filter((life) => life === 'expires').length,
    0,
  );
  assert.equal(seen, promised, `${what}: keys that have an expiry when they are asked`);
}

/** What a database that nobody serves says of itself is what is found by reading all of it. */
async function checkDirectory(path: string, what: string): Promise<void> {
  const database = await openDatabase(path, { createIfMissing: false });
  try {
    const [position, found] = [await readPosition(database, 'native'), await survey(database, 'native')];
    assert.deepEqual(position?.expiryCounts, found.expiryCounts, what);
    assert.deepEqual(position?.keyCounts, found.keyCounts, what);
  } finally {
    await database.close();
  }
}

const livePath = (dir: string): string =>
  join(dir, (JSON.parse(readFileSync(join(dir, 'LIVE'), 'utf8')) as { live: string }).live);

const { seed, goesOn, long } = night(9);
// By night the minutes say when it is over.
if (long) t.setTimeout(0);

t.test(`keys with an expiry are counted as a model has them (${again('expires.test', seed)})`, async (t) => {
  if (long) t.setTimeout(0);
  const random = new Random(seed);
  const dir = scratch(t);
  let server: Server = await startServer(t, { dir });
  let client = await server.client();
  let content: Content = DATABASES.map(() => new Map());
  const backups: { id: number; content: Content }[] = [];
  const happened = new Map<string, number>();
  const begin = async (): Promise<void> => {
    server = await startServer(t, { dir });
    client = await server.client();
  };
  const events: Record<string, () => Promise<void>> = {
    async restart() {
      await server.stop();
      await checkDirectory(livePath(dir), 'after a stop');
      await begin();
    },
    async kill() {
      await server.kill9();
      await begin();
    },
    async create() {
      const { id } = await admin<{ id: number }>(client, 'CREATE', ...(random.once(2) ? ['INCREMENTAL'] : []));
      backups.push({ id, content: copyOf(content) });
    },
    async restore() {
      const backup = random.pick(backups);
      await admin(client, 'RESTORE', backup.id);
      content = copyOf(backup.content);
    },
    async restoreTo() {
      const { id } = random.pick(backups);
      const name = `${id}-${happened.get('restoreTo') ?? 0}`;
      const { target } = await admin<{ target: string }>(client, 'RESTORE', id, 'TO', name);
      await checkDirectory(target, `backup ${id}`);
    },
    async previous() {
      const before = copyOf(content);
      await admin(client, 'RESTORE', random.pick(backups).id);
      await admin(client, 'RESTORE', 'PREVIOUS');
      content = before;
    },
  };
  await batch(client, random, content);
  await events.create?.();
  const names = Object.keys(events);
  for (let round = 0; round < names.length || goesOn(); round += 1) {
    await batch(client, random, content);
    if (random.once(2)) await check(client, content, `before round ${round}`);
    const name = round < names.length ? (names[round] as string) : random.pick([...names, 'nothing']);
    await events[name]?.();
    happened.set(name, (happened.get(name) ?? 0) + 1);
    await check(client, content, `round ${round}, ${name}`);
  }
  t.match(await admin(client, 'VERIFY', 'LATEST', 'DEEP'), { status: 'VALID' });
  await server.stop();
  await checkDirectory(livePath(dir), 'at the end');
  t.pass([...happened].map(([name, times]) => `${times} ${name}`).join(', '));
});
