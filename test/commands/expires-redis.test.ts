/** INFO keyspace beside redis-server: keys and expires are the same after whatever gives a key an expiry, or takes it. */
import t from 'tap';
import { allowedDifference } from '../support/allowed-differences.js';
import { asked, startPair } from '../support/differential.js';
import { RawClient } from '../support/server.js';
import { waitFor } from '../support/wait.js';

const pair = await startPair(t);
const skip = pair.redis === null ? 'no redis-server is installed' : false;

/** Far enough that no clock matters. */
const HOUR = '3600';

/** With a look after each command. */
function watched(script: string): string {
  return script
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => `${line}\nINFO keyspace`)
    .join('\n');
}

await pair.same(
  t,
  'what gives a key an expiry and what takes it',
  watched(`
    SET a 1
    SET b 1 EX ${HOUR}
    SET b 2 KEEPTTL
    SET b 3
    SETEX b ${HOUR} 4
    PSETEX c 3600000 4
    APPEND b x
    GETEX b PERSIST
    GETEX b EX ${HOUR}
    GETEX b EX 7200
    PERSIST b
    PERSIST b
    EXPIRE a ${HOUR}
    EXPIRE a 7200 GT
    EXPIRE a 1 NX
    EXPIRE none ${HOUR}
    EXPIREAT b 4102444800
    GETSET b 5
    MSET a 1 b 1
    MSET c 1
    EXPIRE a ${HOUR}
    EXPIRE b -1
    SET d 1 PX 3600000
    DEL d
    DEL a
    SET a 1 EXAT 4102444800 NX
    SET a 1 EXAT 4102444800 NX
    GETDEL a
    INCR n
    EXPIRE n ${HOUR}
    INCR n
    SETRANGE n 3 x
    BITOP NOT n n
    SORT none STORE n
  `),
);

await pair.same(
  t,
  'what moves a key with its expiry, and databases with their keys',
  watched(`
    SET a 1 EX ${HOUR}
    SET b 1
    RENAME a c
    RENAME c b
    RENAME b b
    SET a 1
    RENAMENX b a
    RENAME a b
    SET a 1 EX ${HOUR}
    COPY a d
    COPY b d REPLACE
    COPY a d REPLACE
    COPY a a DB 3
    MOVE a 4
    MOVE d 3
    MOVE a 3
    SWAPDB 0 3
    SWAPDB 3 4
    SELECT 4
    SWAPDB 4 4
    SET x 1 EX ${HOUR}
    FLUSHDB
    SELECT 0
    FLUSHALL
    SET a 1 EX ${HOUR}
    RESTORE r 3600000 \\x00\\x01v\\x0a\\x00\\x91\\x08\\xce\\xb2\\x198\\x8a\\xce
    RESTORE r 0 \\x00\\x01v\\x0a\\x00\\x91\\x08\\xce\\xb2\\x198\\x8a\\xce REPLACE
  `),
);

await pair.same(
  t,
  'a transaction sees its own, and leaves nothing when it is discarded',
  `
    SET a 1 EX ${HOUR}
    MULTI
    SET b 1 EX ${HOUR}
    INFO keyspace
    PERSIST a
    INFO keyspace
    SWAPDB 0 1
    INFO keyspace
    SET c 1 EX ${HOUR}
    SET d 1
    INFO keyspace
    DEL a
    SWAPDB 0 1
    INFO keyspace
    FLUSHDB
    INFO keyspace
    SET e 1 EX ${HOUR}
    INFO keyspace
    EXEC
    INFO keyspace
    MULTI
    PERSIST e
    DISCARD
    INFO keyspace
  `,
  // In its array the allowed difference is not seen.
  { comparable: ([command], reply) => (command?.toString() === 'EXEC' ? withoutLifetimes(reply) : reply) },
);

function withoutLifetimes(reply: unknown): unknown {
  return Array.isArray(reply) ? reply.map(withoutLifetimes) : String(reply).replace(/,avg_ttl=\d+/g, '');
}

t.test('avg_ttl is 0 where Redis took its samples', { skip }, async (t) => {
  const theirs = await RawClient.connect(pair.redis?.port as number);
  const ours = await RawClient.connect(pair.port);
  for (const client of [ours, theirs]) {
    await client.ask('FLUSHALL');
    await client.ask('SET', 'a', '1', 'EX', HOUR);
    await client.ask('SET', 'b', '1');
  }
  const command = ['INFO', 'keyspace'].map((word) => Buffer.from(word));
  await waitFor(async () => /avg_ttl=[^0]/.test(String(await theirs.ask('INFO', 'keyspace'))), {
    what: 'samples of redis-server',
  });
  const [got, expected] = [await asked(ours, command), await asked(theirs, command)];
  t.equal(got, 'bulk # Keyspace\r\ndb0:keys=2,expires=1,avg_ttl=0\r\n');
  t.equal(allowedDifference(command, got, expected)?.name, 'no-average-of-lifetimes');
  const wrong = String(got).replace('expires=1', 'expires=2');
  t.equal(allowedDifference(command, wrong, expected), undefined, 'the counts have to be the same');
  for (const client of [ours, theirs]) client.close();
});
