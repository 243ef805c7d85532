/**
 * `cairn serve`: the composition root. Everything is made here, in this order, and closed in the other:
 *
 *   settings → log → users (aclfile) → data (lock, LIVE, database, keyspace) → audit log → backup (repository) →
 *   server (sockets) → "ready"
 */
import { systemClock } from '../base/clock.js';
import { CairnError, toCairnError } from '../base/errors.js';
import { armFaultPoints } from '../base/fault-points.js';
import { loadConfig } from '../config/load.js';
import type { ConfigService } from '../config/service.js';
import { ConfigError } from '../config/sources.js';
import { nativeSockets } from '../engine/index.js';
import { type AuditLog, openAudit } from '../observability/audit.js';
import { createLog, type Log } from '../observability/log.js';
import { type Server, startServer } from '../server/server.js';
import type { ServerSettings, TlsSettings } from '../server/settings.js';
import { openBackup } from './backup.js';
import { openData } from './data.js';
import { exitCode } from './exit-codes.js';
import { clientsThatFit, openFilesLimit, reservedFiles } from './open-files.js';
import { warnOfOpenPlaces } from './open-places.js';
import { endOnBugs, listenForStop, type StopRequest } from './process.js';
import { type OpenedUsers, openUsers } from './users.js';
import { cairnVersion } from './version.js';

interface Running {
  server: Server;
  /** false: something did not close as it should; the log says what. */
  stop(): Promise<boolean>;
}

/** Runs until a stop was asked for and is done; answers the exit code. Throws ConfigError before anything is touched. */
export async function serve(args: readonly string[]): Promise<number> {
  const { config, faultPoints } = loadConfig({ args });
  const log = createLog({ level: config.values['log.level'], format: config.values['log.format'] });
  config.onChange('log.level', (level) => log.setLevel(level));
  endOnBugs(log);
  if (faultPoints !== '') arm(faultPoints, log);
  const stop = listenForStop(log);
  const users = await openUsers(config, log);
  let running: Running;
  try {
    running = await start(config, users, log, stop);
  } catch (error) {
    const { code, message, hint } = toCairnError(error, 'ERR');
    log.error('the server could not start', { code, reason: message, ...(hint === '' ? {} : { hint }) });
    log.debug('why it could not start', { error });
    return exitCode.failed;
  }
  log.info('ready', { addresses: running.server.addresses, pid: process.pid });
  process.stdout.write(`cairn ready on ${readyAddress(config, running.server)}\n`);
  log.info('stopping', { reason: await stop.asked });
  const clean = await running.stop();
  log.info('stopped');
  return clean ? exitCode.ok : exitCode.failed;
}

function arm(faultPoints: string, log: Log): void {
  try {
    armFaultPoints(faultPoints);
  } catch (error) {
    throw new ConfigError([`environment variable CAIRN_FAULT_POINTS: ${(error as Error).message}`]);
  }
  log.warn('fault points are armed: this is a test', { faultPoints });
}

async function start(config: ConfigService, users: OpenedUsers, log: Log, stop: StopRequest): Promise<Running> {
  const clock = systemClock();
  const { dir, data_dir: plain } = config.values;
  log.info('starting', {
    version: cairnVersion(),
    dir: plain ?? dir,
    keyspace: config.values.keyspace,
    config: config.file,
  });
  const mostClients = limitOfClients(config, log);
  const closers: [string, () => Promise<unknown>][] = [];
  let closeAudit = async (): Promise<void> => {};
  try {
    const data = await openData(config, log.child({ part: 'data' }), clock);
    closers.push(['the database', data.close]);
    const audit = await openAudit({ path: config.values['audit.file'], clock, log: log.child({ part: 'audit' }) });
    closeAudit = closer(audit);
    const { backup, close } = await openBackup(config, data, log.child({ part: 'backup' }), clock);
    closers.push(['the repository', close]);
    await warnOfOpenPlaces(config, log);
    data.keyspace.begin();
    stop.onHangUp(() => void audit.reopen());
    const server = await startServer(
      {
        keyspace: data.keyspace,
        backup,
        config,
        ...users,
        log,
        audit,
        sockets: nativeSockets,
        onShutdown: () => stop.ask('SHUTDOWN'),
      },
      serverSettings(config, mostClients),
    );
    stop.onHangUp(() => void server.tls?.reload().catch(() => undefined)); // it has logged why
    return {
      server,
      async stop() {
        // Both at once: clients that wait for an operation get their answer because it is cancelled.
        const repository = closeAll(closers.splice(1), log);
        const sockets = await closeAll([['the server', () => server.stop()]], log);
        // Last: it holds what the clients were answered until now.
        return (await repository) && sockets && (await closeAll([...closers, ['the audit log', closeAudit]], log));
      },
    };
  } catch (error) {
    await closeAll([...closers.reverse(), ['the audit log', closeAudit]], log);
    throw error;
  }
}

/** As many as the system has open files for; what cannot be is said at the start, and refused to CONFIG SET. */
function limitOfClients(config: ConfigService, log: Log): number {
  const openFiles = openFilesLimit();
  const most = clientsThatFit(openFiles);
  const { maxclients } = config.values;
  if (most < 1) {
    throw new CairnError(
      'ERR',
      `the system allows ${openFiles} open files, of which Cairn keeps ${reservedFiles(openFiles)}`,
      {
        hint: 'Allow more: ulimit -n, or LimitNOFILE of the service.',
      },
    );
  }
  if (maxclients > most) {
    log.warn('fewer clients are served than maxclients says: the system allows too few open files', {
      maxclients,
      served: most,
      openFiles,
      reserved: reservedFiles(openFiles),
    });
  }
  config.onChange('maxclients', (wanted) => {
    if (wanted <= most) return;
    throw new Error(`The operating system is not able to handle the specified number of clients, try with ${most}`);
  });
  return most;
}

function closer(audit: AuditLog): () => Promise<void> {
  return async () => {
    if (!(await audit.close())) throw new Error('records are missing in the audit log');
  };
}

/** One that fails does not keep the others from being closed. */
async function closeAll(closers: readonly [string, () => Promise<unknown>][], log: Log): Promise<boolean> {
  let clean = true;
  for (const [what, close] of closers) {
    await close().catch((error: unknown) => {
      clean = false;
      log.error(`${what} did not close cleanly`, { error });
    });
  }
  return clean;
}

/** Getters where CONFIG SET may change what the server reads anew at each use. */
function serverSettings(config: ConfigService, mostClients: number): ServerSettings {
  const { values } = config;
  return {
    version: cairnVersion(),
    port: values.port,
    tls: tlsSettings(config),
    bind: values.bind,
    unixsocket: values.unixsocket,
    unixsocketPermissions: values.unixsocketperm,
    databases: values.databases,
    tcpKeepaliveSeconds: values.tcp_keepalive,
    get maxclients() {
      return Math.min(config.values.maxclients, mostClients);
    },
    get protectedMode() {
      return config.values.protected_mode;
    },
    get timeoutSeconds() {
      return config.values.timeout;
    },
    get protoMaxBulkLen() {
      return config.values.proto_max_bulk_len;
    },
    get outputLimitBytes() {
      return config.values.client_output_limit;
    },
    get outputBufferLimit() {
      return config.values.client_output_buffer_limit;
    },
    get queryBufferLimitBytes() {
      return config.values.client_query_buffer_limit;
    },
    get maxmemoryClientsBytes() {
      return config.values.maxmemory_clients;
    },
  };
}

function tlsSettings({ values }: ConfigService): TlsSettings | null {
  const { 'tls.port': port, 'tls.cert': cert, 'tls.key': key } = values;
  if (port === 0 || cert === null || key === null) return null;
  return {
    port,
    cert,
    key,
    keyPassword: values['tls.key_password'],
    ca: values['tls.ca'],
    clientAuth: values['tls.client_auth'],
    minVersion: values['tls.min_version'],
  };
}

/** <bind>:<port>, the port being the real one, that of TLS where there is no other; the socket's path where there is no TCP. */
function readyAddress(config: ConfigService, server: Server): string {
  const [address] = config.values.bind;
  const port = config.values.port === null ? server.tls?.status.port : server.port;
  return address === undefined || port === undefined ? String(config.values.unixsocket) : `${address}:${port}`;
}
