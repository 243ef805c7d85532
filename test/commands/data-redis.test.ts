/**
 * The data commands side by side with a real redis-server: the same script to both, the same replies back. Each line of
 * a script is one command; words are split at blanks, 'single quotes' keep them together, \xNN stands for a byte.
 */
import t, { type Test } from 'tap';
import { RealRedis } from '../support/real-redis.js';
import { scratch } from '../support/scratch.js';
import { RawClient, startTestServer } from '../support/server.js';

const server = await startTestServer(t);
const redis = await RealRedis.start(scratch(t));
t.teardown(() => redis?.stop());
const options = { skip: redis === null ? 'no redis-server here' : false };

function words(line: string): Buffer[] {
  const found = line.match(/'[^']*'|\S+/g) ?? [];
  return found.map((word) => {
    const text = word.startsWith("'") ? word.slice(1, -1) : word;
    const plain = text.replace(/\\x([0-9a-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
    return Buffer.from(plain, 'latin1');
  });
}

/** Runs a script on both after a FLUSHALL, comparing reply by reply. */
async function same(t: Test, name: string, script: string): Promise<void> {
  await t.test(name, async (t) => {
    const [ours, theirs] = [await server.open(), await RawClient.connect(redis?.port as number)];
    for (const line of ['FLUSHALL', 'SELECT 0', ...script.split('\n')]) {
      const command = words(line.trim());
      if (command.length === 0) continue;
      const [got, expected] = await Promise.all([ours.ask(...command), theirs.ask(...command)]);
      t.same(comparable(command, got), comparable(command, expected), line.trim());
    }
    ours.close();
    theirs.close();
  });
}

/** Orders differ, and a millisecond passes between two servers. */
function comparable(command: Buffer[], reply: unknown): unknown {
  const name = command[0]?.toString().toLowerCase();
  if (name === 'keys' && Array.isArray(reply)) return [...reply].sort();
  if (name === 'scan' && Array.isArray(reply)) return [reply[0] === '0', [...(reply[1] as string[])].sort()];
  if (name === 'pttl' && typeof reply === 'string' && !reply.startsWith(':-')) {
    return Math.abs(Number(reply.slice(1))) > 1e15 ? 'far' : Math.round(Number(reply.slice(1)) / 10_000);
  }
  return reply;
}

const far = String(Date.now() + 100_000_000);
const farSeconds = String(Math.trunc(Date.now() / 1000) + 100_000);

const scripts: Record<string, string> = {
  'GET, SET and their kin': `
    GET k
    SET k v
    GET k
    SET k ''
    GET k
    SET '' empty
    GET ''
    SET bin\\x00\\xff\\x0d\\x0a v\\x00\\xff
    GET bin\\x00\\xff\\x0d\\x0a
    STRLEN bin\\x00\\xff\\x0d\\x0a
    STRLEN nope
    GETDEL k
    GETDEL k
    SETNX n 1
    SETNX n 2
    GET n
    MSET a 1 b 2 a 3
    MGET a b c a
    MSET a 1 b
    MSET a
    MGET
    APPEND ap x
    APPEND ap yz
    APPEND ap ''
    GET ap
    GET
    GET a b
    SET a
    SET
    STRLEN
    DBSIZE`,
  'the options of SET': `
    SET k v NX
    SET k w NX
    SET k w XX
    SET j w XX
    GET j
    SET k x GET
    SET new x GET
    SET new y NX GET
    SET new2 y NX GET
    SET new3 y XX GET
    EXISTS new3
    SET k v NX XX
    SET k v XX NX
    SET k v NX NX
    SET k v EX 100
    TTL k
    SET k v KEEPTTL
    TTL k
    SET k v
    TTL k
    SET k v PX 100000 KEEPTTL
    SET k v KEEPTTL EX 10
    SET k v EX 10 PX 10000
    SET k v EX 10 EX 200
    TTL k
    SET k v ex 100 nx
    SET k v xx ex 300 get
    TTL k
    SET k v PX 200000
    TTL k
    SET k v EXAT ${farSeconds}
    TTL k
    SET k v PXAT ${far}
    TTL k
    SET k v EX 0
    SET k v EX -1
    SET k v PX 0
    SET k v EX abc
    SET k v EX 1.5
    SET k v EX
    SET k v EX 9223372036854775807
    SET k v EX 9223372036854775
    SET k v PX 9223372036854775807
    SET k v PX 9223372036854775808
    SET k v EXAT 9223372036854775
    SET k v EXAT 9223372036854776
    SET k v PXAT 9223372036854775807
    SET k v EXAT 1
    GET k
    SET k v PXAT 0
    SET k v NOPE
    SET k v NX GET EX 10 KEEPTTL
    SET k v PERSIST
    SETEX s 100 v
    TTL s
    SETEX s 0 v
    SETEX s -5 v
    SETEX s x v
    SETEX s 9223372036854775807 v
    SETEX s 10
    GET s`,
  counters: `
    INCR c
    INCR c
    DECR c
    DECRBY c 10
    INCRBY c 100
    GET c
    SET c 9223372036854775806
    INCR c
    INCR c
    GET c
    SET c -9223372036854775807
    DECR c
    DECR c
    INCRBY c -1
    DECRBY c -9223372036854775808
    DECRBY c 9223372036854775807
    SET c 9007199254740991
    INCR c
    INCR c
    INCRBY c 9007199254740993
    SET c 9223372036854775808
    INCR c
    SET c ' 1'
    INCR c
    SET c '1 '
    INCR c
    SET c +1
    INCR c
    SET c 01
    INCR c
    SET c -0
    INCR c
    SET c ''
    INCR c
    SET c -
    INCR c
    SET c 1.0
    INCR c
    SET c 1
    INCRBY c 1.5
    INCRBY c x
    INCRBY c 9223372036854775808
    INCRBY c ''
    DECRBY c 99999999999999999999999
    INCRBY c
    SET t 5 EX 100
    INCR t
    TTL t
    APPEND t 0
    TTL t
    GET t`,
  'keys of any type': `
    MSET a 1 b 2 c 3
    EXISTS a
    EXISTS a a b nope
    TYPE a
    TYPE nope
    DEL a a nope
    UNLINK b nope c
    DEL
    EXISTS
    DBSIZE
    SET a 1 EX 100
    SET b 2
    RENAME a b
    TTL b
    GET b
    GET a
    RENAME a b
    RENAME b b
    RENAME nope nope
    RENAME b
    SET c 3
    RENAME c b
    TTL b
    KEYS *`,
  expiry: `
    EXPIRE nope 10
    TTL nope
    PTTL nope
    PERSIST nope
    SET k v
    TTL k
    PTTL k
    PERSIST k
    EXPIRE k 100
    TTL k
    PTTL k
    PERSIST k
    TTL k
    PEXPIRE k 100400
    TTL k
    PEXPIRE k 100700
    TTL k
    EXPIREAT k ${farSeconds}
    TTL k
    PEXPIREAT k ${far}
    TTL k
    EXPIRE k 0
    EXISTS k
    SET k v
    EXPIRE k -1
    EXISTS k
    SET k v
    EXPIREAT k 1
    EXISTS k
    SET k v
    PEXPIREAT k -9223372036854775808
    EXISTS k
    SET k v
    EXPIRE k 9223372036854775807
    EXPIRE k -9223372036854775807
    EXPIRE k 9223372036854775
    PEXPIRE k 9223372036854775807
    EXPIREAT k 9223372036854775
    EXPIREAT k 9223372036854776
    PTTL k
    PEXPIREAT k 9223372036854775807
    PTTL k
    EXPIRE k abc
    EXPIRE k 1.5
    EXPIRE k
    EXPIRE k 10 20
    PERSIST k
    EXPIRE k 100 XX
    EXPIRE k 100 GT
    TTL k
    EXPIRE k 100 NX
    EXPIRE k 200 NX
    EXPIRE k 200 GT
    EXPIRE k 150 GT
    TTL k
    EXPIRE k 300 LT
    EXPIRE k 50 LT
    TTL k
    EXPIRE k 60 XX GT
    TTL k
    EXPIRE k 60 gt gt
    PERSIST k
    EXPIRE k 70 LT
    TTL k
    EXPIRE k 60 NX XX
    EXPIRE k 60 NX GT
    EXPIRE k 60 GT LT
    EXPIRE k 60 NX NX
    EXPIRE k 60 FOO
    EXPIRE k abc FOO
    EXPIRE k abc XX GT
    EXPIRE nope abc
    TTL`,
  'KEYS and its patterns': `
    MSET hello 1 hallo 2 hxllo 3 hllo 4 heeeello 5 h[llo 6 h*llo 7 a\\b 8 ^a 9 'a]b' 10
    MSET \\x80 1 \\xff 2 \\x7f 3 -a 4 [ 5 ] 6 '' 7 * 8
    KEYS *
    KEYS h?llo
    KEYS h*llo
    KEYS h[ae]llo
    KEYS h[^e]llo
    KEYS h[a-b]llo
    KEYS h[b-a]llo
    KEYS h\\x5c*llo
    KEYS h[*]llo
    KEYS h[[]llo
    KEYS h\\x5c[llo
    KEYS [a-
    KEYS [
    KEYS [^
    KEYS []
    KEYS [^]
    KEYS [^a]*
    KEYS []a]*
    KEYS [\\x5c]]
    KEYS a\\x5c\\x5cb
    KEYS \\x5c
    KEYS *\\x5c
    KEYS [\\x80-\\xff]
    KEYS [\\x00-\\x7f]
    KEYS [\\x7f-\\x80]
    KEYS [a-z
    KEYS [-a]*
    KEYS *l*o
    KEYS nope
    KEYS
    KEYS a b`,
  SCAN: `
    MSET a 1 b 2 ab 3
    SCAN 0
    SCAN 0 COUNT 100
    SCAN 0 MATCH a* COUNT 100
    SCAN 0 MATCH * COUNT 100 TYPE string
    SCAN 0 COUNT 100 TYPE STRING
    SCAN 0 COUNT 100 TYPE hash
    SCAN 0 COUNT 100 TYPE nope
    SCAN 0 COUNT 0
    SCAN 0 COUNT -1
    SCAN 0 COUNT x
    SCAN 0 COUNT
    SCAN 0 NOPE x
    SCAN 0 MATCH
    SCAN x
    SCAN -x
    SCAN ' 0'
    SCAN ''
    SCAN 00
    SCAN 0 match a count 10 MATCH b
    SCAN
    SCAN x NOPE`,
  'databases and flushes': `
    SET a 0
    SELECT 5
    GET a
    SET a 5
    SET b 5
    DBSIZE
    FLUSHDB
    DBSIZE
    SELECT 0
    DBSIZE
    FLUSHDB ASYNC
    GET a
    SET a 1
    FLUSHALL SYNC
    DBSIZE
    FLUSHALL NOPE
    FLUSHDB SYNC ASYNC
    FLUSHDB sync
    DBSIZE x`,
  transactions: `
    MULTI
    SET a 1
    INCR a
    GET a
    KEYS *
    SCAN 0 COUNT 100
    DBSIZE
    EXPIRE a 100
    RENAME a b
    TTL b
    FLUSHDB
    DBSIZE
    SET c 1
    EXEC
    KEYS *
    MULTI
    SET a x
    INCR a
    SET b 1
    EXEC
    MGET a b
    WATCH a
    SET a 2
    MULTI
    SET a 3
    EXEC
    GET a
    WATCH nope
    FLUSHALL
    MULTI
    SET a 4
    EXEC
    GET a`,
};

for (const [name, script] of Object.entries(scripts)) t.test(name, options, (t) => same(t, name, script));

t.test('SCAN visits every key that stays, once, while others come and go', async (t) => {
  const client = await server.open();
  const other = await server.open();
  await client.ask('FLUSHALL');
  const stays = Array.from({ length: 1000 }, (_, i) => `stay:${i}`);
  await client.ask('MSET', ...stays.flatMap((key) => [key, 'v']));
  const seen: string[] = [];
  let cursor = '0';
  let n = 0;
  do {
    const [next, keys] = (await client.ask('SCAN', cursor, 'COUNT', '37')) as [string, string[]];
    seen.push(...keys.filter((key) => key.startsWith('stay:')));
    t.match(next, /^\d+$/);
    cursor = next;
    n += 1;
    await other.ask('SET', `come:${n * 31}`, 'v');
    await other.ask('DEL', `come:${(n - 2) * 31}`);
  } while (cursor !== '0');
  t.same(seen.sort(), stays.sort());
  t.same(await client.ask('SCAN', '12345'), '-ERR invalid cursor', 'one that nobody was given');
});
