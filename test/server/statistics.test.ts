/** SLOWLOG, LATENCY, MONITOR, commandstats: as redis-server where it can be compared. */
import t from 'tap';
import { exact, startPair } from '../support/differential.js';
import { multibulk } from '../support/resp.js';
import { brief, RawClient, startTestServer } from '../support/server.js';

const pair = await startPair(t);
const { open, server } = await startTestServer(t);
const redis = { skip: pair.redis === null ? 'no redis-server is installed' : false };
const ports = [server.port, pair.redis?.port ?? 0];

await pair.same(
  t,
  'what SLOWLOG, LATENCY, MONITOR and ROLE say of their arguments',
  `
  CONFIG SET slowlog-log-slower-than -1
  SLOWLOG RESET
  SLOWLOG
  SLOWLOG NOPE
  SLOWLOG GET x
  SLOWLOG GET -2
  SLOWLOG GET 1 2
  SLOWLOG RESET
  SLOWLOG LEN
  SLOWLOG GET -1
  SLOWLOG GET 0
  SLOWLOG LEN x
  LATENCY
  LATENCY NOPE
  LATENCY LATEST
  LATENCY HISTORY x
  LATENCY HISTORY
  LATENCY GRAPH x
  LATENCY RESET
  LATENCY RESET x y
  LATENCY HISTOGRAM nope
  LATENCY LATEST x
  MONITOR x
  ROLE
  ROLE x
  CONFIG RESETSTAT
  CONFIG RESETSTAT x
  CONFIG SET slowlog-log-slower-than 10000
  CONFIG GET slowlog-log-slower-than
  CONFIG SET slowlog-log-slower-than -1
  CONFIG GET slowlog-max-len
  CONFIG GET latency-monitor-threshold
  MULTI
  SLOWLOG LEN
  MONITOR
  CONFIG RESETSTAT
  ROLE
  EXEC
`,
);

t.test('SLOWLOG keeps what Redis keeps of a command: cut, masked, in its order', redis, async (t) => {
  const commands = [
    ['SET', 'a', 'x'.repeat(200)],
    ['MSET', ...Array.from({ length: 40 }, (_, nth) => `k${nth}`)],
    ['SET', 'b', 'y'.repeat(128)],
    ['get', ...Array.from({ length: 1 }, () => 'a')],
    ['AUTH', 'default', 'hunter2'],
    ['HELLO', '2', 'AUTH', 'default', 'hunter2', 'SETNAME', 'me'],
    ['CLIENT', 'SETNAME', 'hugo'],
    ['MULTI'],
    ['SET', 'in', 'multi'],
    ['INCR', 'in'],
    ['EXEC'],
    ['NOPE', 'hunter2'],
    ['GET'],
    ['INCR', 'a'],
    ['SET', 'bin', '\x00\xff'],
    ['CONFIG', 'SET', 'requirepass', ''],
  ];
  const seen = await Promise.all(
    ports.map(async (port) => {
      const client = await RawClient.connect(port);
      await client.ask('CONFIG', 'SET', 'slowlog-log-slower-than', '0');
      await client.ask('SLOWLOG', 'RESET');
      for (const words of commands) await client.ask(...words.map((word) => Buffer.from(word, 'latin1')));
      const entries = (await client.ask('SLOWLOG', 'GET', '-1')) as unknown[][];
      await client.ask('CONFIG', 'SET', 'slowlog-log-slower-than', '10000');
      client.close();
      t.ok(entries.every(([, time, us]) => Number(String(time).slice(1)) > 1.6e9 && Number(String(us).slice(1)) >= 0));
      const ids = entries.map(([id]) => Number(String(id).slice(1)));
      t.same(
        ids,
        ids.map((_, nth) => (ids[0] as number) - nth),
        'numbered',
      );
      return entries.map(([, , , argv, address, name]) => [argv, /^127\.0\.0\.1:\d+$/.test(String(address)), name]);
    }),
  );
  t.same(seen[0], seen[1]);
  t.notMatch(JSON.stringify(seen[0]), /hunter2/, 'no password');
});

t.test('SLOWLOG keeps as many as slowlog-max-len says, and nothing below its threshold', async (t) => {
  const client = await open();
  await client.ask('CONFIG', 'SET', 'slowlog-log-slower-than', '0', 'slowlog-max-len', '3');
  for (let nth = 0; nth < 10; nth++) await client.ask('SET', `n${nth}`, 'v');
  t.equal(await client.ask('SLOWLOG', 'LEN'), ':3');
  await client.ask('CONFIG', 'SET', 'slowlog-log-slower-than', '-1');
  await client.ask('SLOWLOG', 'RESET');
  await client.ask('GET', 'n1');
  t.equal(await client.ask('SLOWLOG', 'LEN'), ':0');
  await client.ask('CONFIG', 'SET', 'slowlog-log-slower-than', '1000000000', 'slowlog-max-len', '128');
  await client.ask('GET', 'n1');
  t.equal(await client.ask('SLOWLOG', 'LEN'), ':0');
});

t.test(
  'MONITOR shows what Redis shows, in its form, without passwords and administrative commands',
  redis,
  async (t) => {
    const script = [
      ['SELECT', '3'],
      ['SET', 'a', 'b'],
      ['AUTH', 'hunter2'],
      ['AUTH', 'default', 'hunter2'],
      ['HELLO', '2', 'AUTH', 'default', 'hunter2', 'SETNAME', 'n'],
      ['CONFIG', 'GET', 'save'],
      ['SET', 'a', '1'],
      ['MULTI'],
      ['INCR', 'a'],
      ['GET', 'a'],
      ['EXEC'],
      ['NOPE', '1'],
      ['GET'],
      ['CLIENT', 'LIST'],
      ['CLIENT', 'ID'],
      ['SLOWLOG', 'LEN'],
      ['INFO', 'server'],
      ['MULTI'],
      ['DISCARD'],
      ['WATCH', 'a'],
      ['ECHO', 'a\x00\xff"\\\n\r\t\x07\b\x7f~ '],
      ['INCR', 'a', 'b'],
      ['get', 'A'],
      ['SELECT', '0'],
      ['PING'],
    ];
    const seen = await Promise.all(
      ports.map(async (port) => {
        const [monitor, client] = [await RawClient.connect(port), await RawClient.connect(port)];
        t.equal(await monitor.ask('MONITOR'), 'OK');
        for (const words of script) await client.ask(...words.map((word) => Buffer.from(word, 'latin1')));
        await client.ask('ECHO', 'end');
        const lines: string[] = [];
        while (lines.at(-1)?.endsWith('"ECHO" "end"') !== true) lines.push(String(brief(await monitor.next())));
        t.equal(await monitor.ask('GET', 'a'), "-ERR Replica can't interact with the keyspace");
        monitor.send('MONITOR\r\nRESET\r\n');
        const after = [exact(await monitor.next()), await monitor.ask('GET', 'nothing')];
        await client.ask('SET', 'not', 'seen');
        t.equal(monitor.unread, 0);
        monitor.close();
        client.close();
        return [...lines.map((line) => line.replace(/^\d+\.\d{6} /, 'TIME ').replace(/:\d+\]/, ':PORT]')), ...after];
      }),
    );
    t.same(seen[0], seen[1]);
    t.notMatch(JSON.stringify(seen[0]), /hunter2/);
  },
);

t.test('MONITOR shows ADMIN commands to nobody, and the beginning of a long argument', async (t) => {
  const [monitor, client] = [await open(), await open()];
  await monitor.ask('MONITOR');
  await client.ask('ADMIN.BACKUP', 'LIST');
  await client.ask('SET', 'long', 'v'.repeat(200_000));
  t.match(brief(await monitor.next()), /"SET" "long" "v{65536}"\.\.\. \(134464 more bytes\)$/);
  t.match(await client.ask('CLIENT', 'LIST'), / flags=O /);
});

t.test('a monitor whose user may no longer MONITOR is closed, and shown nothing more', async (t) => {
  const client = await open();
  await client.ask('ACL', 'SETUSER', 'watcher', 'on', 'nopass', '+@all', '~*');
  for (const taken of ['-monitor', '-@admin', '-@all']) {
    await client.ask('ACL', 'SETUSER', 'watcher', '+@all');
    const monitor = await open();
    await monitor.ask('AUTH', 'watcher', 'x');
    await monitor.ask('MONITOR');
    await client.ask('SET', 'seen', 'v');
    t.match(brief(await monitor.next()), /"SET" "seen"/);
    await client.ask('ACL', 'SETUSER', 'watcher', 'off');
    await client.ask('SET', 'seen', 'while it is off');
    t.match(brief(await monitor.next()), /"while it is off"/, 'off keeps out who is not in yet');
    await client.ask('ACL', 'SETUSER', 'watcher', 'on', taken);
    await client.ask('SET', 'hidden', 'v');
    t.equal(await monitor.next(), null, taken);
    t.notMatch(await client.ask('CLIENT', 'LIST'), /user=watcher/);
  }
});

t.test('a monitor that does not read is cut off by the output limit, and nobody else notices', async (t) => {
  const own = await startTestServer(t, { outputLimitBytes: 1024 * 1024 });
  const [monitor, client] = [await own.open(), await own.open()];
  await monitor.ask('MONITOR');
  monitor.socket.pause();
  const value = 'v'.repeat(60_000);
  let sent = 0;
  for (; sent < 2000 && [...own.server.sessions()].some((session) => session.monitoring); sent++) {
    t.equal(await client.ask('SET', 'k', value), 'OK');
  }
  t.ok(sent < 2000, `cut off after ${sent} commands`);
  t.equal(await client.ask('PING'), 'PONG');
});

t.test('LATENCY keeps samples of commands that took long, and says how long each command takes', async (t) => {
  const client = await open();
  t.match(await client.ask('LATENCY', 'DOCTOR'), /disabled/);
  await client.ask('CONFIG', 'SET', 'latency-monitor-threshold', '100000');
  t.match(await client.ask('LATENCY', 'DOCTOR'), /No event/);
  await client.ask('CONFIG', 'SET', 'latency-monitor-threshold', '1');
  const many = Array.from({ length: 20_000 }, (_, nth) => [`lat:${nth}`, 'v']).flat();
  await client.ask('MSET', ...many);
  // On a busy machine others may have taken as long.
  await client.ask('CONFIG', 'SET', 'latency-monitor-threshold', '100000');
  const latest = (await client.ask('LATENCY', 'LATEST')) as string[][];
  const [, time, last, most] = latest.find(([name]) => name === 'command') as string[];
  t.match([time, last, most], [/^:\d{10}$/, /^:\d+$/, /^:\d+$/]);
  t.same(((await client.ask('LATENCY', 'HISTORY', 'command')) as unknown[]).at(-1), [time, last]);
  t.match(await client.ask('LATENCY', 'GRAPH', 'command'), /^command - high \d+ ms, low \d+ ms \(all time high/);
  t.match(await client.ask('LATENCY', 'DOCTOR'), /command: \d+ samples, mean \d+ ms, longest ever/);
  t.equal(await client.ask('LATENCY', 'RESET', 'nope', 'command'), ':1');
  t.notMatch(await client.ask('LATENCY', 'LATEST'), [['command']]);
  await client.ask('CONFIG', 'SET', 'latency-monitor-threshold', '0');

  await client.ask('CONFIG', 'RESETSTAT');
  for (let nth = 0; nth < 5; nth++) await client.ask('GET', 'lat:1');
  await client.ask('CLIENT', 'ID');
  const [, [, calls, , buckets]] = (await client.ask('LATENCY', 'HISTOGRAM', 'GET', 'nope')) as [string, string[]];
  t.equal(calls, ':5');
  t.equal((buckets as unknown as string[]).at(-1), ':5', 'the last bucket has all');
  t.same(((await client.ask('LATENCY', 'HISTOGRAM', 'client')) as string[])[0], 'client|id', 'the words of a family');
});

t.test(
  'CONFIG RESETSTAT sets counts to zero; commandstats, errorstats and EXEC count as in Redis',
  redis,
  async (t) => {
    const script = [
      ['SET', 'a', 'x'],
      ['GET', 'a'],
      ['GET', 'a'],
      ['INCR', 'a'],
      ['GET'],
      ['NOPE'],
      ['CONFIG', 'NOPE'],
      ['MULTI'],
      ['SET', 'b', '1'],
      ['INCR', 'a'],
      ['INCR', 'b', 'c'],
      ['EXEC'],
      ['MULTI'],
      ['SET', 'b', '1'],
      ['INCR', 'a'],
      ['EXEC'],
      ['EXEC'],
      ['CLIENT', 'ID'],
      ['AUTH', 'nobody', 'x'],
      ['SELECT', '99'],
    ];
    const seen = await Promise.all(
      ports.map(async (port) => {
        const client = await RawClient.connect(port);
        await client.ask('CONFIG', 'RESETSTAT');
        for (const words of script) await client.ask(...words);
        const text = String(await client.ask('INFO', 'commandstats', 'errorstats'));
        const processed = /total_commands_processed:(\d+)/.exec(String(await client.ask('INFO', 'stats')))?.[1];
        client.close();
        return [
          ...text
            .replace(/usec=\d+,usec_per_call=[\d.]+/g, 'usec')
            .split('\r\n')
            .sort(),
          processed,
        ];
      }),
    );
    t.same(seen[0], seen[1]);
  },
);

t.test('times in commandstats are of the execution: in all calls together at least a microsecond each', async (t) => {
  const client = await open();
  await client.ask('CONFIG', 'RESETSTAT');
  client.send(Buffer.concat(Array.from({ length: 100 }, (_, nth) => multibulk('SET', `t${nth}`, 'v'))));
  await client.take(100);
  const [, us] = /cmdstat_set:calls=100,usec=(\d+),/.exec(String(await client.ask('INFO', 'commandstats'))) ?? [];
  t.ok(Number(us) >= 100, `${us} µs`);
});
