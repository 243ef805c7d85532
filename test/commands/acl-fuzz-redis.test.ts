/** Any rules, to Cairn and to redis-server: both take them or refuse them, and decide the same of every request. */
import fc from 'fast-check';
import t from 'tap';
import { RealRedis } from '../support/real-redis.js';
import { multibulk } from '../support/resp.js';
import { scratch } from '../support/scratch.js';
import { brief, RawClient, startTestServer } from '../support/server.js';

const redis = await RealRedis.start(scratch(t));
t.teardown(() => redis?.stop());
const skip = redis === null ? 'no redis-server is installed' : false;

const pattern = fc.constantFrom('a', 'b:*', 'c?', 'x*y', '[ab]', '');
const name = fc.constantFrom(
  'get',
  'set',
  'mset',
  'config',
  'config|get',
  'acl|list',
  'acl',
  'select',
  'keys',
  'copy',
  'client',
);
const category = fc.constantFrom(
  'read',
  'write',
  'dangerous',
  'admin',
  'fast',
  'slow',
  'keyspace',
  'connection',
  'string',
  'list',
);
const joined = (...parts: fc.Arbitrary<string>[]) => fc.tuple(...parts).map((words) => words.join(''));
const permission = fc.oneof(
  joined(fc.constantFrom('+', '-'), name),
  joined(fc.constantFrom('+@', '-@'), category),
  joined(fc.constantFrom('~', '%R~', '%W~', '%RW~'), pattern),
  fc.constantFrom('+select|0', '+select|1', '+ping|x', '+@all', '-@all', 'allkeys', 'resetkeys', 'nonsense', '+nope'),
);
const selector = fc.array(permission, { maxLength: 4 }).map((rules) => `(${rules.join(' ')})`);
const rules = fc.array(
  fc.oneof(
    { weight: 8, arbitrary: permission },
    { weight: 2, arbitrary: selector },
    { weight: 1, arbitrary: fc.constantFrom('on', 'reset', 'clearselectors') },
  ),
  { minLength: 1, maxLength: 10 },
);

const requests =
  `GET a,GET b:1,GET zz,SET a 1,SET b:1 1 GET,SET cc 1 XX,MSET a 1 cc 2,MSET b:1 1 zz 2,DEL xyy,EXISTS zz,EXISTS a b
PING x,PING y,SELECT 0,SELECT 2,CONFIG GET x,CONFIG SET a b,ACL LIST,ACL WHOAMI,KEYS *,SCAN 0,FLUSHALL,RENAME a b:1,COPY a cc
BITFIELD a GET u8 0,BITFIELD a SET u8 0 1,TTL a,MULTI,EXEC,CLIENT ID,CLIENT LIST,WATCH a,GETDEL cc,APPEND xqy v,AUTH x,INFO`
    .split(/[,\n]/)
    .map((request) => request.split(' '));

t.test('the same rules, the same decisions', { skip }, async (t) => {
  const server = await startTestServer(t);
  const both = [await server.open(), await RawClient.connect(redis?.port as number)] as const;
  const ask = async (client: RawClient, commands: string[][]): Promise<unknown[]> => {
    client.send(Buffer.concat(commands.map((words) => multibulk(...words))));
    return (await client.take(commands.length)).map(brief);
  };
  await fc.assert(
    fc.asyncProperty(rules, async (rules) => {
      const script = [
        ['ACL', 'SETUSER', 'u', 'reset', '+get', '~b:*'],
        ['ACL', 'SETUSER', 'u', ...rules],
        ...requests.map((request) => ['ACL', 'DRYRUN', 'u', ...request]),
      ];
      const [ours, theirs] = await Promise.all(both.map((client) => ask(client, script)));
      for (const [at, words] of script.entries()) {
        if (ours?.[at] === theirs?.[at]) continue;
        throw new Error(`${words.join(' ')}: ${ours?.[at]}, Redis: ${theirs?.[at]}`);
      }
    }),
    { numRuns: 250 },
  );
  for (const client of both) client.close();
});
