/**
 * Every setting there is: one entry each, and the only place to add one. Loading, CONFIG GET/SET/REWRITE, the types of
 * the values and docs/configuration.md follow from it.
 */
import { logFormats, logLevels } from '../observability/log.js';
import {
  addresses,
  duration,
  integer,
  interval,
  type Kind,
  oneOf,
  outputBufferLimit,
  password,
  path,
  permissions,
  portOrOff,
  requiredPath,
  secretText,
  size,
  withRedisWords,
  yesno,
} from './kinds.js';

const MB = 2 ** 20;
const GB = 2 ** 30;

export interface Setting<T = unknown> {
  readonly value: Kind<T>;
  /** Text, as a source would give it. '<dir>' is the value of `dir`. */
  readonly default: string;
  /** 'start': fixed once the server runs. */
  readonly settable: 'start' | 'running';
  /** Never shown: not by CONFIG GET, not in an error, not in the log. */
  readonly secret: boolean;
  /** Redis's spelling, where it differs; CONFIG knows it as well. */
  readonly redis: string | null;
  readonly doc: string;
}

type Options<T> = Pick<Setting<T>, 'value' | 'default' | 'doc'> & Partial<Setting<T>>;

function setting<T>(options: Options<T>): Setting<T> {
  return { settable: 'start', secret: false, redis: null, ...options };
}

export const settings = {
  port: setting({
    value: portOrOff(),
    default: '7379',
    doc: 'TCP port. 0 takes a free one; the ready line names it. `off`: no plain TCP, only TLS or the Unix socket.',
  }),
  'tls.port': setting({
    value: integer(0, 65535),
    default: '0',
    redis: 'tls-port',
    doc: 'TCP port for TLS, on the addresses of `bind`, beside `port`. 0: no TLS.',
  }),
  'tls.cert': setting({
    value: path(),
    default: '',
    redis: 'tls-cert-file',
    doc: 'PEM file with the certificate of this server and those that lead to its root. Read anew on SIGHUP and `ADMIN.TLS RELOAD`.',
  }),
  'tls.key': setting({
    value: path(),
    default: '',
    redis: 'tls-key-file',
    doc: 'PEM file with the key of that certificate.',
  }),
  'tls.key_password': setting({
    value: secretText(),
    default: '',
    secret: true,
    redis: 'tls-key-file-pass',
    doc: 'The password of the key, where it has one.',
  }),
  'tls.ca': setting({
    value: path(),
    default: '',
    redis: 'tls-ca-cert-file',
    doc: 'PEM file with the authorities that vouch for the certificates of clients.',
  }),
  'tls.client_auth': setting({
    value: withRedisWords(oneOf('no', 'optional', 'required'), { yes: 'required' }),
    default: 'no',
    redis: 'tls-auth-clients',
    doc: 'Whether a client needs a certificate from `tls.ca`. `optional`: one that is shown must be good.',
  }),
  'tls.min_version': setting({
    value: withRedisWords(oneOf('1.2', '1.3'), { 'TLSv1.2 TLSv1.3': '1.2', 'TLSv1.3': '1.3' }),
    default: '1.2',
    redis: 'tls-protocols',
    doc: 'The oldest version of TLS that is spoken.',
  }),
  bind: setting({
    value: addresses(),
    default: '127.0.0.1',
    doc: 'Addresses to listen on.',
  }),
  unixsocket: setting({
    value: path(),
    default: '',
    doc: 'A Unix socket to listen on as well.',
  }),
  unixsocketperm: setting({
    value: permissions(),
    default: '700',
    doc: 'Who may connect to it. `770`: the group of the server too.',
  }),
  dir: setting({
    value: requiredPath(),
    default: './cairn-data',
    doc: 'The data directory. It is created when it is absent.',
  }),
  data_dir: setting({
    value: path(),
    default: '',
    doc:
      'Serves this plain RocksDB directory, as `RESTORE … TO` makes it, in place of `dir`: no retention, and a ' +
      'repository, if `backup.dir` names one, is only read.',
  }),
  databases: setting({
    value: integer(1, 16),
    default: '16',
    doc: 'How many logical databases SELECT accepts.',
  }),
  requirepass: setting({
    value: password(),
    default: '',
    settable: 'running',
    secret: true,
    doc:
      'The password of the user `default`: the text itself, or `#` and its SHA-256 in hexadecimal, which is what CONFIG ' +
      'REWRITE writes. A line for `default` in `aclfile` takes its place.',
  }),
  aclfile: setting({
    value: path(),
    default: '',
    doc: 'The file of users, as ACL SAVE writes it and ACL LOAD reads it; docs/security.md. It must be there.',
  }),
  acllog_max_len: setting({
    value: integer(1, 100_000),
    default: '128',
    settable: 'running',
    redis: 'acllog-max-len',
    doc: 'How many refused requests and logins ACL LOG keeps.',
  }),
  protected_mode: setting({
    value: yesno(),
    default: 'yes',
    settable: 'running',
    redis: 'protected-mode',
    doc: 'While no password is set, only clients on this machine are served.',
  }),
  maxclients: setting({
    value: integer(1, 4_294_967_295),
    default: '10000',
    settable: 'running',
    doc: 'Connections at a time; further ones are turned away with an error.',
  }),
  timeout: setting({
    value: integer(0, 2_147_483_647),
    default: '0',
    settable: 'running',
    doc: 'Seconds after which an idle client is disconnected. 0: never.',
  }),
  tcp_keepalive: setting({
    value: integer(0, 2_147_483_647),
    default: '300',
    redis: 'tcp-keepalive',
    doc: 'Seconds of silence after which the system probes whether a client is still there. 0: never.',
  }),
  proto_max_bulk_len: setting({
    value: size(MB, 512 * MB),
    default: '512mb',
    settable: 'running',
    redis: 'proto-max-bulk-len',
    doc: 'The longest argument that a request may have, and the longest string that a command may make.',
  }),
  client_output_limit: setting({
    value: size(MB, GB, true),
    default: '1gb',
    settable: 'running',
    doc: 'A client that leaves more replies than this unread is disconnected. 0: only the hard limit of 1gb holds.',
  }),
  slowlog_log_slower_than: setting({
    value: integer(-1, Number.MAX_SAFE_INTEGER),
    default: '10000',
    settable: 'running',
    redis: 'slowlog-log-slower-than',
    doc: 'Commands that took at least so many microseconds are kept for SLOWLOG. 0: all, -1: none.',
  }),
  slowlog_max_len: setting({
    value: integer(0, 1_000_000),
    default: '128',
    settable: 'running',
    redis: 'slowlog-max-len',
    doc: 'How many entries SLOWLOG keeps, about 1kb each, at most 5kb.',
  }),
  latency_monitor_threshold: setting({
    value: integer(0, Number.MAX_SAFE_INTEGER),
    default: '0',
    settable: 'running',
    redis: 'latency-monitor-threshold',
    doc: 'Commands that took at least so many milliseconds become samples of LATENCY. 0: none.',
  }),
  client_output_buffer_limit: setting({
    value: outputBufferLimit(),
    default: 'normal 0 0 0',
    settable: 'running',
    redis: 'client-output-buffer-limit',
    doc:
      'A client with more unread replies than the first size, or than the second for so many seconds, is disconnected. ' +
      '`client_output_limit` holds as well.',
  }),
  client_query_buffer_limit: setting({
    value: size(MB, GB),
    default: '1gb',
    settable: 'running',
    redis: 'client-query-buffer-limit',
    doc: 'A client that has sent more than this and it is not run yet, transactions included, is disconnected.',
  }),
  maxmemory_clients: setting({
    value: size(MB, Number.MAX_SAFE_INTEGER, true),
    default: '2gb',
    settable: 'running',
    redis: 'maxmemory-clients',
    doc:
      'When the requests, transactions and unread replies of all clients take more than this, the client that takes most is ' +
      'disconnected. 0: no limit.',
  }),
  durability: setting({
    value: oneOf('always', 'everysec', 'no'),
    default: 'everysec',
    settable: 'running',
    redis: 'appendfsync',
    doc:
      'When a write reaches the disk: before its reply (`always`), within a second (`everysec`), when the operating ' +
      'system chooses (`no`).',
  }),
  keyspace: setting({
    value: oneOf('native', 'raw'),
    default: 'native',
    doc: 'How keys lie in RocksDB. `raw`: as a foreign program wrote them (strings, no expiry, one database).',
  }),
  expire: setting({
    value: yesno(),
    default: 'yes',
    doc: 'Whether keys whose time has come are gone. `no` reads everything, for a look into an old state.',
  }),
  'backup.dir': setting({
    value: path(),
    default: '<dir>/backups',
    doc: 'The backup repository. Best on another disk than the data. With `data_dir`: none unless given.',
  }),
  'backup.restore_dir': setting({
    value: requiredPath(),
    default: '<dir>/restores',
    doc: 'Where `RESTORE … TO name` puts its directory. With `data_dir`: beside that directory unless given.',
  }),
  'backup.retention.max_count': setting({
    value: integer(0, 2_147_483_647),
    default: '0',
    settable: 'running',
    doc: 'How many complete backups are kept, enforced after each create. 0: no limit.',
  }),
  'backup.retention.max_age': setting({
    value: duration(),
    default: '0',
    settable: 'running',
    doc: 'Older backups go after the next create; the newest complete one always stays. 0: no limit.',
  }),
  'backup.verify_after_create': setting({
    value: yesno(),
    default: 'no',
    settable: 'running',
    doc: 'Every create verifies what it stored before the backup counts as complete.',
  }),
  'backup.wal.archive': setting({
    value: yesno(),
    default: 'yes',
    settable: 'running',
    doc:
      'Whether every commit is archived in the repository as it comes, so that any moment can be restored. `no`: only ' +
      'increments and tags archive what they need.',
  }),
  'backup.wal.interval': setting({
    value: interval(100, 3_600_000),
    default: '1s',
    settable: 'running',
    doc: 'How often new commits are archived: what a lost data disk costs at most.',
  }),
  'backup.wal.retention': setting({
    value: duration(),
    default: '24h',
    settable: 'running',
    doc: 'The recovery window: how far back any moment can be restored. 0: for ever.',
  }),
  'wal.spool_max': setting({
    value: size(MB, Number.MAX_SAFE_INTEGER, true),
    default: '4gb',
    settable: 'running',
    doc:
      'How much logs may take that wait to be archived. At the cap the oldest go unarchived: the window closes, loudly, and ' +
      'the next backup is a full. 0: no limit.',
  }),
  'restore.keep_previous': setting({
    value: duration(),
    default: '24h',
    settable: 'running',
    doc:
      'Database directories that a restore replaced are not removed before this age; the newest always stays. ' +
      '0: all are kept.',
  }),
  cache_size: setting({
    value: size(MB),
    default: '256mb',
    doc: 'Memory for what was read or written lately: half for values, half for blocks of tables.',
  }),
  write_buffer_size: setting({
    value: size(MB, 4 * GB),
    default: '64mb',
    doc: 'How much is written to memory and the log before it becomes a table.',
  }),
  'audit.file': setting({
    value: path(),
    default: '<dir>/audit.jsonl',
    doc:
      'Who called which administrative command, and how it ended: one JSON line per call. Empty: no audit log. With ' +
      '`data_dir`: none unless given.',
  }),
  'log.level': setting({
    value: oneOf(...logLevels),
    default: 'info',
    settable: 'running',
    doc: 'The least important events that are logged.',
  }),
  'log.format': setting({
    value: oneOf(...logFormats),
    default: 'text',
    doc: 'Lines on stderr: `text` for people, `json` for programs.',
  }),
} as const;

type Settings = typeof settings;
export type SettingName = keyof Settings;
/** durations in ms, sizes in bytes, yes and no as booleans. */
export type SettingValues = { readonly [N in SettingName]: Settings[N] extends Setting<infer T> ? T : never };
export type SettingValue<N extends SettingName> = SettingValues[N];

export const settingNames = Object.keys(settings) as SettingName[];

/** The same entry with its value type widened, for code that treats all alike. */
export function settingOf(name: SettingName): Setting {
  return settings[name] as unknown as Setting;
}

export function isSettingName(name: string): name is SettingName {
  return Object.hasOwn(settings, name);
}

/** backup.retention.max_count → CAIRN_BACKUP_RETENTION_MAX_COUNT */
export function environmentName(name: string): string {
  return `CAIRN_${name.replaceAll('.', '_').toUpperCase()}`;
}

/** What tools ask for with CONFIG GET and Cairn does not have: name, and the answer that is true of Cairn. */
export const redisConstants: Readonly<Record<string, string>> = {
  save: '',
  appendonly: 'no',
  maxmemory: '0',
  'maxmemory-policy': 'noeviction',
  'notify-keyspace-events': '',
  'cluster-enabled': 'no',
  'stop-writes-on-bgsave-error': 'no',
  'enable-debug-command': 'no',
  'latency-tracking': 'yes',
  'latency-tracking-info-percentiles': '50 99 99.9',
  'tcp-backlog': '511',
  daemonize: 'no',
  'acl-pubsub-default': 'resetchannels',
};
