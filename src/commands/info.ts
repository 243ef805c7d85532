/** INFO and TIME: how the server is, in Redis's fields where Redis has them. INFO answers while data is not served. */
import { arch, platform, release, totalmem } from 'node:os';
import { oneLine } from '../base/printable.js';
import type { Transaction } from '../keyspace/transaction.js';
import { type Reply, Verbatim } from '../resp/reply.js';
import type { Call, Command, ServerCommand, Services } from './command.js';
import { COMPATIBLE_REDIS_VERSION } from './connection.js';
import { rocksdbFields } from './info-rocksdb.js';

type Fields = Record<string, string | number>;

interface KeyCounts {
  keys: number;
  /** How many of them have an expiry. */
  expires: number;
}

/** What the sections are made from. */
interface Facts {
  services: Services;
  /** Of each database, null while data is not served. */
  databases: readonly KeyCounts[] | null;
  /** What backups know of themselves; empty inside EXEC, which cannot wait for it. */
  backup: { backup: Fields; persistence: Fields };
}

const noBackupFacts = { backup: {}, persistence: {} };

/** In the order in which INFO shows them. */
const sections: Record<string, (facts: Facts) => Fields> = {
  server: serverFields,
  clients: clientFields,
  memory: memoryFields,
  persistence: persistenceFields,
  backup: ({ backup }) => backup.backup,
  tls: tlsFields,
  audit: auditFields,
  stats: statsFields,
  replication: replicationFields,
  cpu: cpuFields,
  modules: () => ({}),
  rocksdb: ({ services: { keyspace } }) => rocksdbFields(keyspace.database),
  commandstats: commandFields,
  errorstats: errorFields,
  latencystats: latencyFields,
  cluster: () => ({ cluster_enabled: 0 }),
  keyspace: keyspaceFields,
};
const onlyOnRequest = new Set(['commandstats', 'latencystats']);
const defaultSections = Object.keys(sections).filter((name) => !onlyOnRequest.has(name));
/** They need what only the backup service can look up. */
const backupSections = new Set(['backup', 'persistence']);

const info: ServerCommand = {
  name: 'info',
  kind: 'server',
  async run({ services, args }) {
    const wanted = wantedSections(args);
    const asks = wanted.some((name) => backupSections.has(name));
    const backup = asks ? await backupFacts(services) : noBackupFacts;
    return render(wanted, { services, databases: currentKeyCounts(services), backup });
  },
  runQueued(tx, { services, args }) {
    const databases = countKeys(tx, services);
    return render(wantedSections(args), { services, databases, backup: noBackupFacts });
  },
};

const time: ServerCommand = {
  name: 'time',
  kind: 'server',
  run({ services }: Call) {
    const now = services.keyspace.nowUs();
    return [String(Math.trunc(now / 1_000_000)), String(now % 1_000_000)];
  },
};

export const infoCommands: readonly Command[] = [info, time];

function wantedSections(args: readonly Buffer[]): string[] {
  const asked = args.length === 0 ? ['default'] : args.map((arg) => arg.toString('latin1').toLowerCase());
  const wanted = new Set<string>();
  for (const name of asked) {
    if (name === 'default') for (const each of defaultSections) wanted.add(each);
    else if (name === 'all' || name === 'everything') for (const each of Object.keys(sections)) wanted.add(each);
    else if (Object.hasOwn(sections, name)) wanted.add(name);
  }
  return Object.keys(sections).filter((name) => wanted.has(name));
}

function render(names: readonly string[], facts: Facts): Reply {
  const parts = names.map((name) => {
    const fields = Object.entries((sections[name] as (facts: Facts) => Fields)(facts));
    const lines = fields.map(([field, value]) => `${field}:${oneLine(String(value))}\r\n`);
    const title = name === 'cpu' ? 'CPU' : `${name.charAt(0).toUpperCase()}${name.slice(1)}`;
    return `# ${title}\r\n${lines.join('')}`;
  });
  return new Verbatim('txt', parts.join('\r\n'));
}

/** A repository that cannot be read does not keep INFO from answering. */
async function backupFacts({ backup, log }: Services): Promise<Facts['backup']> {
  try {
    return await backup.infoFields();
  } catch (error) {
    log.warn('INFO could not learn about backups', { error });
    return noBackupFacts;
  }
}

function currentKeyCounts(services: Services): KeyCounts[] | null {
  if (services.keyspace.unavailable !== null) return null;
  const outcome = services.keyspace.execute((tx) => countKeys(tx, services));
  return outcome instanceof Promise ? null : outcome.value;
}

function countKeys(tx: Transaction, { server }: Services): KeyCounts[] {
  return Array.from({ length: server.databases }, (_, database) => ({
    keys: tx.keyCount(database),
    expires: tx.expiryCount(database),
  }));
}

function serverFields({ services: { server, config } }: Facts): Fields {
  const uptimeMs = Date.now() - server.startedAtMs;
  return {
    redis_version: COMPATIBLE_REDIS_VERSION,
    cairn_version: server.version,
    redis_mode: 'standalone',
    os: `${platform()} ${release()} ${arch()}`,
    arch_bits: 64,
    node_version: process.versions.node,
    process_id: process.pid,
    run_id: server.runId,
    tcp_port: server.port,
    server_time_usec: Date.now() * 1000,
    uptime_in_seconds: Math.trunc(uptimeMs / 1000),
    uptime_in_days: Math.trunc(uptimeMs / 86_400_000),
    executable: process.execPath,
    config_file: config.file ?? '',
    role: 'master',
  };
}

function clientFields({ services: { server } }: Facts): Fields {
  let connected = 0;
  let input = 0;
  let output = 0;
  let blocked = 0;
  for (const session of server.sessions()) {
    connected++;
    if (session.waiting !== null) blocked++;
    input = Math.max(input, session.pendingInputBytes);
    output = Math.max(output, session.pendingOutputBytes);
  }
  return {
    connected_clients: connected,
    maxclients: server.maxclients,
    client_recent_max_input_buffer: input,
    client_recent_max_output_buffer: output,
    blocked_clients: blocked,
    tracking_clients: 0,
    cluster_connections: 0,
  };
}

function memoryFields({ services: { keyspace, server } }: Facts): Fields {
  const { rss, heapUsed, external } = process.memoryUsage();
  // The system's mark of the peak may lag behind.
  const peak = Math.max(rss, process.resourceUsage().maxRSS * 1024);
  const { database } = keyspace;
  const rocks = (name: string) =>
    database === null || database.closed ? 0 : Number(database.property(`rocksdb.${name}`) ?? 0);
  const valueCache = database === null || database.closed ? { bytes: 0, hits: 0, misses: 0 } : database.valueCache();
  return {
    used_memory: rss,
    used_memory_human: human(rss),
    used_memory_rss: rss,
    used_memory_rss_human: human(rss),
    used_memory_peak: peak,
    used_memory_peak_human: human(peak),
    used_memory_peak_perc: `${((100 * rss) / peak).toFixed(2)}%`,
    used_memory_heap: heapUsed,
    used_memory_buffers: external,
    value_cache_bytes: valueCache.bytes,
    value_cache_hits: valueCache.hits,
    value_cache_misses: valueCache.misses,
    rocksdb_block_cache_bytes: rocks('block-cache-usage'),
    rocksdb_memtable_bytes: rocks('cur-size-all-mem-tables'),
    rocksdb_table_readers_bytes: rocks('estimate-table-readers-mem'),
    mem_clients_normal: server.clientBytes,
    total_system_memory: totalmem(),
    total_system_memory_human: human(totalmem()),
    maxmemory: 0,
    maxmemory_human: human(0),
    maxmemory_policy: 'noeviction',
  };
}

/** As Redis writes sizes for people. */
function human(bytes: number): string {
  const units = ['K', 'M', 'G', 'T'];
  let value = bytes;
  let unit = 'B';
  for (const next of units) {
    if (value < 1024) break;
    value /= 1024;
    unit = next;
  }
  return unit === 'B' ? `${bytes}B` : `${value.toFixed(2)}${unit}`;
}

function persistenceFields({ services: { keyspace }, backup }: Facts): Fields {
  const loading = keyspace.unavailable?.code === 'LOADING';
  return {
    loading: loading ? 1 : 0,
    async_loading: 0,
    loading_eta_seconds: loading ? 1 : 0,
    ...backup.persistence,
    writes_refused: keyspace.writesRefused?.line ?? '',
    aof_enabled: 0,
  };
}

function tlsFields({ services: { server } }: Facts): Fields {
  const status = server.tls?.status;
  const seconds = (ms: number | undefined) => Math.trunc((ms ?? 0) / 1000);
  return {
    tls_port: status?.port ?? 0,
    tls_certificate_expires_time: seconds(status?.certificateExpiresAtMs),
    tls_certificate_subject: status?.certificateSubject ?? '',
    tls_handshakes: status?.handshakes ?? 0,
    tls_handshakes_pending: status?.handshaking ?? 0,
    tls_handshake_failures: status?.handshakeFailures ?? 0,
    tls_last_reload_time: seconds(status?.reloadedAtMs),
    tls_last_reload_error: status?.reloadError ?? '',
  };
}

function auditFields({ services: { audit } }: Facts): Fields {
  const { state } = audit;
  return {
    audit_enabled: state.enabled ? 1 : 0,
    audit_records: state.records,
    audit_records_lost: state.recordsLost,
    audit_refusals_suppressed: state.refusalsSuppressed,
    audit_write_errors: state.writeErrors,
    audit_last_error: state.lastError,
  };
}

function statsFields({ services: { server, keyspace } }: Facts): Fields {
  const { counters, statistics, bytesPerSecond } = server;
  const { hits, misses, expired } = keyspace.lookups;
  return {
    total_connections_received: counters.connectionsReceived,
    total_commands_processed: statistics.commandsProcessed,
    instantaneous_ops_per_sec: server.commandsPerSecond,
    total_net_input_bytes: counters.inputBytes,
    total_net_output_bytes: counters.outputBytes,
    instantaneous_input_kbps: (bytesPerSecond.input / 1024).toFixed(2),
    instantaneous_output_kbps: (bytesPerSecond.output / 1024).toFixed(2),
    rejected_connections: counters.connectionsRejected,
    expired_keys: expired,
    evicted_keys: 0,
    keyspace_hits: hits,
    keyspace_misses: misses,
    pubsub_channels: 0,
    pubsub_patterns: 0,
    latest_fork_usec: 0,
    total_forks: 0,
    total_error_replies: statistics.errorReplies,
    evicted_clients: counters.evictedClients,
    client_query_buffer_limit_disconnections: counters.queryLimitDisconnections,
    client_output_buffer_limit_disconnections: counters.outputLimitDisconnections,
  };
}

function replicationFields({ services: { server } }: Facts): Fields {
  return {
    role: 'master',
    connected_slaves: 0,
    master_failover_state: 'no-failover',
    master_replid: server.runId,
    master_repl_offset: 0,
    repl_backlog_active: 0,
  };
}

function cpuFields(): Fields {
  const { system, user } = process.cpuUsage();
  return {
    used_cpu_sys: (system / 1e6).toFixed(6),
    used_cpu_user: (user / 1e6).toFixed(6),
    // There are none: work goes to threads.
    used_cpu_sys_children: '0.000000',
    used_cpu_user_children: '0.000000',
  };
}

function commandFields({ services: { server } }: Facts): Fields {
  const fields: Fields = {};
  for (const { name, calls, us, rejected, failed } of server.commandCounts()) {
    const each = (calls === 0 ? 0 : us / calls).toFixed(2);
    fields[`cmdstat_${name}`] =
      `calls=${calls},usec=${us},usec_per_call=${each},rejected_calls=${rejected},failed_calls=${failed}`;
  }
  return fields;
}

function errorFields({ services: { server } }: Facts): Fields {
  const { errors } = server.statistics;
  return Object.fromEntries([...errors].sort().map(([code, count]) => [`errorstat_${code}`, `count=${count}`]));
}

function latencyFields({ services: { server } }: Facts): Fields {
  const fields: Fields = {};
  for (const { name, latency } of server.commandCounts()) {
    if (latency === null) continue;
    const percentiles = [50, 99, 99.9].map((percent) => `p${percent}=${latency.percentile(percent).toFixed(3)}`);
    fields[`latency_percentiles_usec_${name}`] = percentiles.join(',');
  }
  return fields;
}

function keyspaceFields({ databases }: Facts): Fields {
  const fields: Fields = {};
  for (const [database, { keys, expires }] of (databases ?? []).entries()) {
    // Redis estimates avg_ttl from samples, and says 0 before the first one. Here none is taken.
    if (keys > 0) fields[`db${database}`] = `keys=${keys},expires=${expires},avg_ttl=0`;
  }
  return fields;
}
