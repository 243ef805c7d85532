/** CONFIG as redis-server answers it: globs, several pairs at once, all of them or none, and the texts of errors. */
import t from 'tap';
import { type Exact, startPair } from '../support/differential.js';

const pair = await startPair(t);

/** Redis answers CONFIG GET in the order of its hash table: pairs are compared in the order of their names. */
function inOrder(command: Buffer[], reply: unknown): unknown {
  if (String(command[1]).toUpperCase() !== 'GET' || !Array.isArray(reply)) return reply;
  const [type, ...words] = reply as Exact[];
  const pairs = words.flatMap((name, at) => (at % 2 === 0 ? [`${name} = ${words[at + 1]}`] : []));
  return [type, ...pairs.sort()];
}

await pair.same(
  t,
  'CONFIG GET and SET',
  `
  CONFIG
  CONFIG NOPE
  CONFIG GET
  CONFIG GET timeout
  CONFIG GET TIMEOUT timeout timeou?
  CONFIG GET maxclient* timeout nope
  CONFIG GET [st]ave
  CONFIG GET nope
  CONFIG GET maxmemory-policy appendonly save
  CONFIG GET notify-keyspace-events cluster-enabled tcp-backlog daemonize enable-debug-command
  CONFIG GET latency-tracking*
  CONFIG SET
  CONFIG SET timeout
  CONFIG SET timeout 10 maxclients
  CONFIG SET timeout 10 maxclients 500
  CONFIG GET timeout maxclients
  CONFIG SET timeout 20 nope 1
  CONFIG SET nope 1
  CONFIG SET timeout 20 dir /tmp
  CONFIG SET timeout 20 timeout 30
  CONFIG SET timeout 20 TIMEOUT 20
  CONFIG GET timeout
  CONFIG SET protected-mode maybe
  CONFIG SET proto-max-bulk-len 100mb timeout 30
  CONFIG GET proto-max-bulk-len timeout
  CONFIG SET proto-max-bulk-len 512mb timeout 0 maxclients 10000
  CONFIG SET slowlog-log-slower-than 5 slowlog-max-len 7 latency-monitor-threshold 9
  CONFIG GET slowlog-* latency-monitor-threshold
  CONFIG SET slowlog-log-slower-than 10000 slowlog-max-len 128 latency-monitor-threshold 0
  CONFIG REWRITE
  CONFIG REWRITE x
  MULTI
  CONFIG SET timeout 1
  CONFIG GET timeout
  CONFIG SET timeout 0
  EXEC
`,
  { comparable: inOrder },
);
