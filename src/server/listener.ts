/**
 * Where clients come in: the TCP addresses, plain and TLS, and the unix socket. Turns away, with Redis's words, who comes beyond
 * `maxclients` and, in protected mode, who comes from elsewhere while no password is set.
 */
import { createServer, type Server as NetServer, type Socket } from 'node:net';
import { CairnError } from '../base/errors.js';
import type { Log } from '../observability/log.js';
import { turnAway } from './connection.js';
import type { ServerSettings } from './settings.js';
import { TlsGate } from './tls-gate.js';
import { UnixPlace } from './unix-place.js';

const BACKLOG = 511;

/** Who is at the other end, and where it came in. */
export interface Peer {
  address: string;
  localAddress: string;
}

export interface ListenerHost {
  readonly log: Log;
  readonly settings: ServerSettings;
  readonly passwordRequired: boolean;
  readonly clientCount: number;
  accept(socket: Socket, peer: Peer): void;
  rejected(peer: Peer, error: CairnError): void;
  /** The system gave no socket for a client that was there. */
  acceptFailed(error: Error): void;
}

export class Listener {
  private readonly servers: NetServer[] = [];
  /** The plain TCP port; with port 0, the one that was given. 0 when there is no plain TCP. */
  port = 0;
  /** null: no TLS. */
  tls: TlsGate | null = null;
  readonly addresses: string[] = [];
  private unix: UnixPlace | null = null;

  constructor(private readonly host: ListenerHost) {}

  /** Listens everywhere, or nowhere. */
  async open(): Promise<void> {
    const { settings } = this.host;
    try {
      if (settings.port !== null) {
        this.port = settings.port;
        for (const address of settings.bind) await this.openTcp(address);
      }
      if (settings.tls !== null) {
        this.tls = await TlsGate.open(settings.tls, this.host.log);
        for (const address of settings.bind) await this.openTls(address, settings.tls.port, this.tls);
      }
      if (settings.unixsocket !== null) await this.openUnix(settings.unixsocket, settings.unixsocketPermissions);
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  /** No new connections; those that are there stay. */
  async close(): Promise<void> {
    const servers = this.servers.splice(0);
    for (const server of servers) server.close();
    this.tls?.close();
    await this.unix?.leave();
  }

  private async openTcp(address: string): Promise<void> {
    const host = plainHost(address);
    const server = this.create((socket) => this.connected(socket, tcpPeer(socket)));
    await listen(server, { host, port: this.port, backlog: BACKLOG, exclusive: true }, `${address}:${this.port}`);
    const bound = server.address();
    if (bound !== null && typeof bound === 'object') this.port = bound.port;
    this.addresses.push(hostAndPort(host, this.port));
  }

  private async openTls(address: string, port: number, gate: TlsGate): Promise<void> {
    const host = plainHost(address);
    // Who goes before it is in has gone: half-open it becomes when it is.
    const server = this.create((socket) => this.connectedTls(socket, gate), false);
    await listen(server, { host, port, backlog: BACKLOG, exclusive: true }, `${address}:${port}`);
    this.addresses.push(`tls://${hostAndPort(host, port)}`);
  }

  private async openUnix(path: string, permissions: number): Promise<void> {
    const place = await UnixPlace.find(path);
    const peer = { address: `${path}:0`, localAddress: `${path}:0` };
    const server = this.create((socket) => this.connected(socket, peer));
    await listen(server, { path: place.beside, backlog: BACKLOG }, path);
    this.unix = place;
    await place.take(permissions);
    this.addresses.push(path);
  }

  private create(connected: (socket: Socket) => void, allowHalfOpen = true): NetServer {
    const { tcpKeepaliveSeconds } = this.host.settings;
    const server = createServer(
      {
        // Who closes its side still gets the answers to what it sent.
        allowHalfOpen,
        noDelay: true,
        keepAlive: tcpKeepaliveSeconds > 0,
        keepAliveInitialDelay: tcpKeepaliveSeconds * 1000,
      },
      connected,
    );
    // After listening an error here is a failed accept (out of file descriptors): the client is gone, the server is not.
    server.on('error', (error) => this.host.acceptFailed(error));
    this.servers.push(server);
    return server;
  }

  private connected(socket: Socket, peer: Peer): void {
    const refusal = this.refusal(socket);
    if (refusal === null) {
      this.host.accept(socket, peer);
    } else {
      turnAway(socket, refusal);
      this.host.rejected(peer, refusal);
    }
  }

  /** A handshake takes a client's place. There is none for who would only be told that there is none. */
  private connectedTls(raw: Socket, gate: TlsGate): void {
    const peer = tcpPeer(raw);
    const refusal = this.refusal(raw);
    if (refusal?.code === 'ERR') {
      raw.on('error', () => {});
      raw.destroy();
      this.host.rejected(peer, refusal);
      return;
    }
    gate.admit(raw, (socket) => {
      if (refusal === null) this.host.accept(socket, peer);
      else {
        turnAway(socket, refusal);
        this.host.rejected(peer, refusal);
      }
    });
  }

  private refusal(socket: Socket): CairnError | null {
    const { settings, passwordRequired } = this.host;
    const clientCount = this.host.clientCount + (this.tls?.status.handshaking ?? 0);
    if (clientCount >= settings.maxclients) return new CairnError('ERR', 'max number of clients reached');
    if (!settings.protectedMode || passwordRequired || isLocal(socket)) return null;
    return new CairnError(
      'DENIED',
      'Cairn is running in protected mode because protected mode is enabled and no password is set for the default ' +
        'user. In this mode connections are only accepted from the loopback interface',
      { hint: 'Set a password (requirepass), or turn protected_mode off if the network is trusted.' },
    );
  }
}

function listen(
  server: NetServer,
  where: { host?: string; port?: number; path?: string; backlog: number; exclusive?: boolean },
  name: string,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = (error: NodeJS.ErrnoException) =>
      reject(
        new CairnError('ERR', `cannot listen on ${name}: ${error.code ?? error.message}`, {
          hint: hintFor(error.code),
          cause: error,
        }),
      );
    server.once('error', failed);
    server.listen(where, () => {
      server.off('error', failed);
      resolve();
    });
  });
}

function hintFor(code: string | undefined): string {
  if (code === 'EADDRINUSE') return 'Another program listens there: stop it, or choose another port.';
  if (code === 'EACCES') return 'The user that runs Cairn may not listen there.';
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') return 'This machine has no such address: correct bind.';
  return '';
}

function isLocal(socket: Socket): boolean {
  const address = socket.remoteAddress;
  // A unix socket has none.
  return address === undefined || /^(::ffff:)?127\./.test(address) || address === '::1';
}

function plainHost(address: string): string {
  return address.replace(/^\[(.*)\]$/, '$1');
}

function tcpPeer(socket: Socket): Peer {
  return {
    address: hostAndPort(socket.remoteAddress ?? '', socket.remotePort ?? 0),
    localAddress: hostAndPort(socket.localAddress ?? '', socket.localPort ?? 0),
  };
}

function hostAndPort(host: string, port: number): string {
  const plain = host.replace(/^::ffff:(?=\d+\.)/, '');
  return plain.includes(':') ? `[${plain}]:${port}` : `${plain}:${port}`;
}
