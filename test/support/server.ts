/** A whole server in this process: real database, repository, keyspace, commands and sockets, in a scratch directory. */
import { writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import type { Test } from 'tap';
import type { AclFile } from '../../src/acl/file.js';
import { Users } from '../../src/acl/users.js';
import { systemClock } from '../../src/base/clock.js';
import { sha256 } from '../../src/base/hash.js';
import { allSpecs, lookup } from '../../src/commands/spec.js';
import { loadConfig } from '../../src/config/load.js';
import { nativeSockets } from '../../src/engine/index.js';
import { type AuditLog, auditOff } from '../../src/observability/audit.js';
import type { Log } from '../../src/observability/log.js';
import { type Server, startServer } from '../../src/server/server.js';
import type { ServerSettings, TlsSettings } from '../../src/server/settings.js';
import { type Fixture, openFixture } from './backup-fixture.js';
import { authority, issue } from './certificates.js';
import { silentLog } from './log.js';
import { freePort } from './ports.js';
import { multibulk, readWire, type Wire } from './resp.js';
import { scratch } from './scratch.js';

/** Settings that a test may change while the server runs. */
export type TestSettings = { -readonly [Name in keyof ServerSettings]: ServerSettings[Name] };

/** Set by a test file that runs another one over TLS: then every server has TLS alone, and RawClient speaks it. */
export const overTls = process.env.CAIRN_TEST_TLS === '1';
const ca = authority('test root');
const tlsPorts = new Set<number>();

/** Files with a certificate for localhost, and settings that name them. */
export async function tlsSettings(t: Test, changes: Partial<TlsSettings> = {}): Promise<TlsSettings> {
  const { cert, key } = issue(ca, 'localhost');
  const directory = scratch(t, { 'cert.pem': cert, 'ca.pem': ca.cert });
  writeFileSync(join(directory, 'key.pem'), key, { mode: 0o600 });
  const files = { cert: join(directory, 'cert.pem'), key: join(directory, 'key.pem'), ca: join(directory, 'ca.pem') };
  return { port: await freePort(), ...files, keyPassword: '', clientAuth: 'no', minVersion: '1.2', ...changes };
}

export interface TestServer {
  server: Server;
  fixture: Fixture;
  settings: TestSettings;
  /** The default user's, as requirepass sets it; '': none. */
  setPassword(text: string): void;
  port: number;
  /** How often SHUTDOWN was asked for. */
  shutdowns: number;
  /** A raw connection, closed with the test. */
  open(): Promise<RawClient>;
}

export async function startTestServer(
  t: Test,
  changes: Partial<ServerSettings> = {},
  log: Log = silentLog(),
  audit: AuditLog = auditOff(systemClock()),
  aclFile: AclFile | null = null,
): Promise<TestServer> {
  const fixture = await openFixture(scratch(t));
  const { config } = loadConfig({ args: [], environment: {} });
  const settings: TestSettings = {
    version: '0.0.0-test',
    port: 0,
    tls: null,
    bind: ['127.0.0.1'],
    unixsocket: null,
    unixsocketPermissions: 0o700,
    databases: 16,
    maxclients: 10_000,
    protectedMode: true,
    timeoutSeconds: 0,
    protoMaxBulkLen: 512 * 1024 * 1024,
    tcpKeepaliveSeconds: 300,
    outputLimitBytes: 0,
    outputBufferLimit: { hardBytes: 0, softBytes: 0, softSeconds: 0 },
    queryBufferLimitBytes: 1024 * 1024 * 1024,
    maxmemoryClientsBytes: 2 * 1024 * 1024 * 1024,
    ...changes,
  };
  if (overTls) {
    const taken = settings.port === 0 || settings.port === null ? {} : { port: settings.port };
    settings.tls = await tlsSettings(t, taken);
    settings.port = null;
    tlsPorts.add(settings.tls.port);
  }
  const { keyspace, backup } = fixture;
  const users = new Users({
    catalogue: { lookup, all: allSpecs },
    defaultPassword: '',
    maxDenials: () => config.values.acllog_max_len,
  });
  const onShutdown = () => void result.shutdowns++;
  const server = await startServer(
    { keyspace, backup, config, users, aclFile, log, audit, sockets: nativeSockets, onShutdown },
    settings,
  );
  const clients: RawClient[] = [];
  const port = settings.port === null ? (settings.tls?.port ?? 0) : server.port;
  const result: TestServer = {
    server,
    fixture,
    settings,
    setPassword: (text) => users.setDefaultPassword(text === '' ? '' : sha256(Buffer.from(text))),
    port,
    shutdowns: 0,
    open: async () => {
      const client = await RawClient.connect(port);
      clients.push(client);
      return client;
    },
  };
  t.teardown(async () => {
    for (const client of clients) client.socket.destroy();
    await server.stop(1000);
    await fixture.close();
  });
  return result;
}

/** A socket that speaks bytes and reads RESP values. */
export class RawClient {
  /** The server has closed its side. */
  ended = false;
  private received = Buffer.alloc(0);
  private wake: () => void = () => {};

  private constructor(readonly socket: Socket) {
    socket.on('data', (chunk: Buffer) => {
      this.received = Buffer.concat([this.received, chunk]);
      this.wake();
    });
    const ended = () => {
      this.ended = true;
      this.wake();
    };
    socket.on('end', ended);
    socket.on('close', ended);
    socket.on('error', ended);
  }

  static connect(port: number): Promise<RawClient> {
    return new Promise((resolve, reject) => {
      const isTls = tlsPorts.has(port);
      const where = { port, host: '127.0.0.1', noDelay: true };
      const socket = isTls ? connectTls({ ...where, ca: ca.cert }) : connect(where);
      socket.once('error', reject);
      socket.once(isTls ? 'secureConnect' : 'connect', () => {
        socket.off('error', reject);
        resolve(new RawClient(socket));
      });
    });
  }

  /** Bytes that have come and were not taken by `next`. */
  get unread(): number {
    return this.received.length;
  }

  /** Bytes as they are. */
  send(bytes: string | Buffer): void {
    this.socket.write(bytes);
  }

  /** The next reply; null when the server closed the connection before it. */
  async next(): Promise<Wire | null> {
    for (;;) {
      const read = this.received.length === 0 ? null : readWire(this.received);
      if (read !== null) {
        this.received = this.received.subarray(read.next);
        return read.value;
      }
      if (this.ended) return null;
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
  }

  async take(count: number): Promise<(Wire | null)[]> {
    const values: (Wire | null)[] = [];
    while (values.length < count) values.push(await this.next());
    return values;
  }

  /** One command and its reply, in a short form: see `brief`. */
  async ask(...words: (string | Buffer)[]): Promise<unknown> {
    this.send(multibulk(...words));
    return brief(await this.next());
  }

  /** Everything until the server closes the connection. */
  async rest(): Promise<Buffer> {
    while (!this.ended) {
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
    return this.received;
  }

  close(): void {
    this.socket.destroy();
  }
}

/** 'text', ':1', '-ERR …', null, […]: what a test compares. undefined: the connection was closed. */
export function brief(wire: Wire | null): unknown {
  if (wire === null) return undefined;
  switch (wire.type) {
    case 'error':
      return `-${wire.text}`;
    case 'integer':
      return `:${wire.text}`;
    case 'boolean':
      return wire.value;
    case 'null':
    case 'null bulk':
    case 'null array':
      return null;
    case 'array':
    case 'set':
    case 'push':
    case 'map':
      return wire.items.map(brief);
    default:
      return wire.text;
  }
}
