/** MULTI, EXEC and WATCH between several clients, side by side with a real redis-server. */
import t from 'tap';
import { startPair } from '../support/differential.js';
import { RawClient } from '../support/server.js';
import { waitFor } from '../support/wait.js';

const pair = await startPair(t);

await pair.together(
  t,
  'what spoils a transaction before EXEC',
  `
  a: MULTI
  a: NOPE
  a: SET k v
  a: EXEC
  a: EXISTS k
  a: MULTI
  a: SET k
  a: SET k v
  a: EXEC
  a: EXISTS k
  a: MULTI
  a: OBJECT NOPE k
  a: EXEC
  a: MULTI
  a: MULTI
  a: SET k v
  a: EXEC
  a: GET k
  a: WATCH k
  a: MULTI
  a: WATCH j
  a: SET k w
  a: EXEC
  a: MULTI
  a: DEBUG SLEEP 0
  a: EXEC
  a: MULTI
  a: NOPE
  a: DISCARD
  a: EXEC
  a: DISCARD
  a: MULTI
  a: SET k 1 EX nope
  a: INCR k
  a: INCRBY k x
  a: SET n 1
  a: EXEC
  a: MGET k n`,
);

await pair.together(
  t,
  'a watched key that another client changes',
  `
  a: SET k 1
  a: WATCH k
  b: SET k 2
  a: MULTI
  a: SET k 3
  a: EXEC
  a: GET k
  a: WATCH k
  b: GET k
  b: TTL k
  b: EXISTS k
  b: DUMP k
  b: SETNX k 5
  b: MSETNX k 1 j 2
  b: GETEX k
  b: PERSIST k
  b: BITFIELD k GET u8 0
  b: COPY k k2
  b: SORT none STORE none
  a: MULTI
  a: GET k
  a: EXEC
  a: WATCH k
  b: SET k 2 XX GET
  a: MULTI
  a: EXEC
  a: WATCH k
  b: EXPIRE k 100
  a: MULTI
  a: EXEC
  a: WATCH k
  b: EXPIRE none 100
  a: MULTI
  a: EXEC
  a: WATCH k
  b: PERSIST k
  a: MULTI
  a: EXEC
  a: WATCH k none
  b: RENAME k none
  a: MULTI
  a: EXEC
  a: WATCH none
  b: APPEND none ''
  a: MULTI
  a: EXEC
  a: WATCH none
  b: SETRANGE none 0 ''
  a: MULTI
  a: EXEC
  a: WATCH new
  b: SETRANGE new 0 ''
  b: SETRANGE new 3 ''
  a: MULTI
  a: EXEC
  a: WATCH new
  b: DEL new
  b: UNLINK new
  b: GETDEL new
  a: MULTI
  a: EXEC
  a: WATCH new
  b: SET new x
  b: DEL new
  a: MULTI
  a: EXEC
  a: WATCH new
  b: RESTORE new 0 \\x00\\x01a\\x0a\\x00
  a: MULTI
  a: EXEC
  a: WATCH other
  a: SET other mine
  a: MULTI
  a: EXEC
  a: WATCH other
  b: MULTI
  b: SET other theirs
  a: MULTI
  a: GET other
  a: EXEC
  b: EXEC
  a: WATCH other
  a: UNWATCH
  b: SET other again
  a: MULTI
  a: GET other
  a: EXEC
  a: WATCH other
  a: MULTI
  a: DISCARD
  b: SET other 4
  a: MULTI
  a: GET other
  a: EXEC
  a: WATCH other
  a: SELECT 3
  b: SET other 5
  a: MULTI
  a: EXEC
  a: WATCH other
  b: SET other 6
  a: MULTI
  a: PING
  a: EXEC
  a: WATCH other
  a: RESET
  b: SET other 7
  a: MULTI
  a: PING
  a: EXEC`,
);

await pair.together(
  t,
  'flushes and watched keys',
  `
  a: SET k 1
  a: WATCH k
  b: FLUSHALL
  a: MULTI
  a: EXEC
  a: WATCH k
  b: FLUSHALL
  b: FLUSHDB
  a: MULTI
  a: EXEC
  a: SET k 1
  a: WATCH k
  b: SELECT 1
  b: SET k 1
  b: FLUSHDB
  a: MULTI
  a: EXEC
  a: WATCH k
  b: SET k 1
  b: FLUSHALL
  a: MULTI
  a: EXEC
  a: SET k 1
  a: WATCH k
  b: SELECT 0
  b: FLUSHDB ASYNC
  a: MULTI
  a: EXEC
  a: WATCH k
  a: MULTI
  a: FLUSHALL
  a: SET k 1
  a: EXEC
  a: GET k`,
);

await pair.together(
  t,
  'expiry and watched keys',
  `
  a: SET k 1 PX 1
  b: SET wait 1 PX 30
  a: SET gone 1 PXAT 1
  a: WATCH gone
  a: MULTI
  a: SET gone 2
  a: EXEC
  a: SET long 1 EX 1000
  a: WATCH long
  b: PEXPIRE long 0
  a: MULTI
  a: EXEC
  a: SET long 1 EX 1000
  a: WATCH long
  b: GETEX long PXAT 1
  a: MULTI
  a: EXEC
  a: SET long 1 EX 1000
  a: WATCH long
  b: EXPIRE long 2000
  a: MULTI
  a: EXEC
  a: SET long 1 EX 1000
  a: WATCH long
  b: EXPIRE long 2000 LT
  a: MULTI
  a: EXEC`,
);

await pair.together(
  t,
  'SWAPDB',
  `
  a: SWAPDB
  a: SWAPDB 0
  a: SWAPDB 0 1 2
  a: SWAPDB x 0
  a: SWAPDB 0 x
  a: SWAPDB '' 0
  a: SWAPDB 0 1.5
  a: SWAPDB -1 0
  a: SWAPDB 0 16
  a: SWAPDB 16 x
  a: SWAPDB 4294967296 0
  a: SWAPDB 0 9223372036854775808
  a: SWAPDB 2147483647 0
  a: SWAPDB 0 0
  a: SET k zero
  a: SELECT 1
  a: SET k one EX 1000
  a: SET only one
  b: SWAPDB 0 1
  a: GET k
  a: DBSIZE
  b: GET k
  b: TTL k
  b: DBSIZE
  b: KEYS only
  b: SWAPDB 1 2
  a: GET k
  a: SELECT 2
  a: GET k
  b: COPY k k DB 2
  b: MOVE k 1
  b: EXISTS k
  a: SELECT 1
  a: GET k
  a: MULTI
  a: SWAPDB 0 1
  a: GET k
  a: GET only
  a: SWAPDB 0 1
  a: GET k
  a: SWAPDB 1 99
  a: FLUSHDB
  a: SWAPDB 1 2
  a: SET in multi
  a: EXEC
  a: DBSIZE
  b: DBSIZE
  b: SELECT 2
  b: DBSIZE
  b: FLUSHALL
  a: DBSIZE
  a: SWAPDB 0 2
  a: DBSIZE`,
);

await pair.together(
  t,
  'SWAPDB and watched keys',
  `
  a: SET here zero
  a: SELECT 1
  a: SET there one
  a: SELECT 0
  a: WATCH here
  b: SWAPDB 0 1
  a: MULTI
  a: EXEC
  a: WATCH here
  b: SWAPDB 0 1
  a: MULTI
  a: EXEC
  a: WATCH missing
  b: SWAPDB 0 1
  a: MULTI
  a: EXEC
  a: WATCH missing
  b: SWAPDB 0 1
  b: SET missing now
  a: MULTI
  a: EXEC
  a: WATCH elsewhere
  b: SWAPDB 0 1
  b: SELECT 1
  b: SET elsewhere now
  a: MULTI
  a: PING
  a: EXEC
  b: SELECT 0
  a: WATCH here
  b: SWAPDB 2 3
  a: MULTI
  a: PING
  a: EXEC
  a: WATCH here
  b: SWAPDB 0 0
  a: MULTI
  a: PING
  a: EXEC
  a: WATCH here there missing
  b: MULTI
  b: SWAPDB 0 1
  b: SWAPDB 0 1
  b: EXEC
  a: MULTI
  a: PING
  a: EXEC
  a: WATCH none
  b: MULTI
  b: SWAPDB 0 1
  b: SET none 1
  b: SWAPDB 0 1
  b: EXEC
  a: MULTI
  a: PING
  a: EXEC
  a: WATCH here
  a: SWAPDB 0 1
  a: MULTI
  a: PING
  a: EXEC`,
);

const skip = pair.redis === null ? 'no redis-server is installed' : false;
t.test('a watched key whose time comes before EXEC, seen by another client or by nobody', { skip }, async (t) => {
  for (const looks of [true, false]) {
    const outcomes = await Promise.all(
      [pair.port, pair.redis?.port as number].map(async (port) => {
        const [watcher, other] = [await RawClient.connect(port), await RawClient.connect(port)];
        await watcher.ask('SET', 'k', '1', 'PX', '30');
        const set = Date.now();
        await watcher.ask('WATCH', 'k');
        await waitFor(async () => (looks ? (await other.ask('EXISTS', 'k')) === ':0' : Date.now() > set + 60), {
          what: 'the end of the key',
        });
        const replies = [await watcher.ask('MULTI'), await watcher.ask('GET', 'k'), await watcher.ask('EXEC')];
        replies.push(await watcher.ask('MULTI'), await watcher.ask('GET', 'k'), await watcher.ask('EXEC'));
        watcher.close();
        other.close();
        return replies;
      }),
    );
    t.same(outcomes[0], ['OK', 'QUEUED', null, 'OK', 'QUEUED', [null]], looks ? 'seen' : 'not seen');
    t.same(outcomes[0], outcomes[1]);
  }
});
