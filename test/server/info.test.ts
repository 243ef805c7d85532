/** INFO as programs read it: every line, the sections, the fields that redis_exporter turns into metrics, true numbers. */
import t from 'tap';
import { startPair } from '../support/differential.js';
import { RawClient, startTestServer } from '../support/server.js';
import { waitFor } from '../support/wait.js';

const pair = await startPair(t);
const { open, server, fixture } = await startTestServer(t);
const redis = { skip: pair.redis === null ? 'no redis-server is installed' : false };

/** What oliver006/redis_exporter reads of INFO and what exists here, by section. */
const exported = {
  Server: ['redis_version', 'redis_mode', 'os', 'tcp_port', 'run_id', 'process_id', 'uptime_in_seconds'],
  Clients: [
    'connected_clients',
    'blocked_clients',
    'tracking_clients',
    'maxclients',
    'client_recent_max_output_buffer',
    'client_recent_max_input_buffer',
  ],
  Memory: [
    'used_memory',
    'used_memory_rss',
    'used_memory_peak',
    'maxmemory',
    'maxmemory_policy',
    'mem_clients_normal',
    'total_system_memory',
  ],
  Persistence: ['loading', 'rdb_bgsave_in_progress', 'rdb_last_save_time', 'rdb_last_bgsave_status', 'aof_enabled'],
  Stats: [
    'total_connections_received',
    'total_commands_processed',
    'instantaneous_ops_per_sec',
    'instantaneous_input_kbps',
    'instantaneous_output_kbps',
    'rejected_connections',
    'total_net_input_bytes',
    'total_net_output_bytes',
    'expired_keys',
    'evicted_keys',
    'keyspace_hits',
    'keyspace_misses',
    'pubsub_channels',
    'pubsub_patterns',
    'latest_fork_usec',
  ],
  Replication: ['role', 'connected_slaves', 'master_repl_offset', 'repl_backlog_active'],
  CPU: ['used_cpu_sys', 'used_cpu_user', 'used_cpu_sys_children', 'used_cpu_user_children'],
};

type Sections = Map<string, Map<string, string>>;

function parsed(text: string): Sections {
  const sections: Sections = new Map();
  let fields = new Map<string, string>();
  for (const line of text.split('\r\n')) {
    if (line === '') continue;
    const heading = /^# ([A-Z][A-Za-z]+)$/.exec(line)?.[1];
    if (heading !== undefined) {
      fields = new Map();
      sections.set(heading, fields);
      continue;
    }
    const [, name, value] = /^([a-z][^:\s]*):([^\r\n]*)$/.exec(line) ?? [];
    if (name === undefined) throw new Error(`neither a heading nor key:value: ${JSON.stringify(line)}`);
    if (fields.has(name)) throw new Error(`${name} twice`);
    fields.set(name, value as string);
  }
  return sections;
}

async function info(client: RawClient, ...sections: string[]): Promise<Sections> {
  return parsed(String(await client.ask('INFO', ...sections)));
}

async function field(client: RawClient, section: string, name: string): Promise<number> {
  return Number((await info(client, section)).values().next().value?.get(name));
}

t.test('every line is a heading or key:value, and what redis_exporter reads is there', async (t) => {
  const client = await open();
  await client.ask('SET', 'k', 'v');
  const sections = await info(client, 'everything');
  for (const [section, names] of Object.entries(exported)) {
    const fields = sections.get(section);
    for (const name of names) t.ok(fields?.has(name), `${section} ${name}`);
  }
  t.match(sections.get('Keyspace')?.get('db0'), /^keys=1,expires=\d+,avg_ttl=\d+$/);
  t.match(sections.get('Commandstats')?.get('cmdstat_set'), /^calls=1,usec=\d+,usec_per_call=[\d.]+,rejected_calls=0,/);
  t.match(sections.get('Latencystats')?.get('latency_percentiles_usec_set'), /^p50=[\d.]+,p99=[\d.]+,p99\.9=[\d.]+$/);
});

t.test('several sections, `default`, `all` and `everything`, as Redis understands them', redis, async (t) => {
  const theirs = await RawClient.connect(pair.redis?.port as number);
  const ours = await open();
  for (const words of [
    [],
    ['default'],
    ['all'],
    ['everything'],
    ['server', 'clients'],
    ['CPU', 'nothing', 'cpu', 'Memory'],
    ['default', 'commandstats'],
    ['commandstats', 'keyspace', 'all'],
    ['nothing'],
    ['modules'],
  ]) {
    // What is Cairn's own stands between what is Redis's.
    const known = await Promise.all([ours, theirs].map(async (client) => [...(await info(client, ...words)).keys()]));
    const own = new Set(['Backup', 'Tls', 'Audit', 'Rocksdb']);
    t.same(known[0]?.filter((name) => !own.has(name)).sort(), known[1]?.sort(), `INFO ${words.join(' ')}`);
  }
  theirs.close();
});

t.test('hits, misses and expired keys are counted as in Redis', redis, async (t) => {
  const script = [
    ['SET', 'a', '1'],
    ['GET', 'a'],
    ['GET', 'no'],
    ['MGET', 'a', 'no', 'a'],
    ['EXISTS', 'a', 'no'],
    ['TTL', 'a'],
    ['TYPE', 'no'],
    ['STRLEN', 'a'],
    ['GETRANGE', 'no', '0', '1'],
    ['INCR', 'a'],
    ['SETNX', 'a', '2'],
    ['SETRANGE', 'a', '0', 'x'],
    ['APPEND', 'no2', 'x'],
    ['EXPIRE', 'no', '5'],
    ['GETDEL', 'no2'],
    ['GETDEL', 'no2'],
    ['GETEX', 'a'],
    ['GETSET', 'b', 'x'],
    ['GETSET', 'b', 'y'],
    ['BITCOUNT', 'b'],
    ['MULTI'],
    ['GET', 'a'],
    ['GET', 'no'],
    ['SET', 'c', '1'],
    ['EXEC'],
    ['SET', 'short', '1', 'PX', '1'],
  ];
  const seen = await Promise.all(
    [server.port, pair.redis?.port as number].map(async (port) => {
      const client = await RawClient.connect(port);
      await client.ask('FLUSHALL');
      await client.ask('CONFIG', 'RESETSTAT');
      for (const words of script) await client.ask(...words);
      const stats = (await info(client, 'stats')).get('Stats');
      await waitFor(async () => (await field(client, 'stats', 'expired_keys')) === 1, { what: 'the key to expire' });
      client.close();
      return ['keyspace_hits', 'keyspace_misses'].map((name) => `${name} ${stats?.get(name)}`);
    }),
  );
  t.same(seen[0], seen[1]);
});

t.test('the numbers of rocksdb follow what happens', async (t) => {
  const client = await open();
  await client.ask('FLUSHALL');
  const before = (await info(client, 'rocksdb')).get('Rocksdb') as Map<string, string>;
  for (let nth = 0; nth < 200; nth++) await client.ask('SET', `r:${nth}`, 'v'.repeat(20_000));
  const after = (await info(client, 'rocksdb')).get('Rocksdb') as Map<string, string>;
  for (const name of ['rocksdb_wal_bytes', 'rocksdb_bytes_written', 'rocksdb_memtable_bytes']) {
    t.ok(
      Number(after.get(name)) >= Number(before.get(name)) + 100_000,
      `${name} ${before.get(name)} ${after.get(name)}`,
    );
  }
  await fixture.keyspace.database?.flush();
  const flushed = (await info(client, 'rocksdb')).get('Rocksdb') as Map<string, string>;
  t.ok(Number(flushed.get('rocksdb_memtable_bytes')) < Number(after.get('rocksdb_memtable_bytes')));
  const tables = [...flushed].filter(([name]) => name.startsWith('rocksdb_tables_level'));
  t.equal(tables.length, 7);
  t.ok(tables.reduce((sum, [, count]) => sum + Number(count), 0) > 0);
  t.ok(Number(flushed.get('rocksdb_table_bytes')) > 0);
  for (const [name, value] of flushed) t.match(value, /^\d+$/, name);
});

t.test('peak memory is not below what is used, and sizes for people are those for programs', async (t) => {
  const fields = (await info(await open(), 'memory')).get('Memory') as Map<string, string>;
  t.ok(Number(fields.get('used_memory_peak')) >= Number(fields.get('used_memory')));
  t.equal(fields.get('maxmemory_human'), '0B');
  const megabytes = Number(fields.get('used_memory')) / 1024 / 1024;
  t.equal(fields.get('used_memory_human'), `${megabytes.toFixed(2)}M`);
  t.equal(
    fields.get('used_memory_peak_perc'),
    `${((100 * Number(fields.get('used_memory'))) / Number(fields.get('used_memory_peak'))).toFixed(2)}%`,
  );
});
