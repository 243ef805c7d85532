/**
 * The server: its sockets, its sessions, its counters, and what commands may ask of it (ServerControl).
 *
 *   listener  takes connections and turns away those that may not come in
 *   connection  socket ↔ decoder ↔ dispatcher ↔ ordered replies
 *   dispatcher  which command a request is, whether it may run now, and running it
 */
import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import type { User } from '../acl/users.js';
import type { CairnError } from '../base/errors.js';
import type { SocketCalls } from '../base/socket-calls.js';
import { describeClient } from '../commands/client.js';
import type { Services } from '../commands/command.js';
import type { CommandCount, Login, ServerControl, Session } from '../commands/session.js';
import { lookup } from '../commands/spec.js';
import type { Log } from '../observability/log.js';
import { ReplyWriter } from '../resp/encode.js';
import { Authenticator } from './auth.js';
import { ClientMemory, type Pressure } from './client-memory.js';
import { Connection, type ConnectionContext } from './connection.js';
import { Dispatcher } from './dispatch.js';
import { OutputBudget } from './limits.js';
import { Listener, type ListenerHost, type Peer } from './listener.js';
import { Monitors } from './monitors.js';
import { Outbox } from './outbox.js';
import { ClientPause } from './pause.js';
import { RepeatedEvents } from './repeated.js';
import type { ServerSettings } from './settings.js';
import { Statistics } from './statistics.js';
import { StrangerTurns } from './stranger-turns.js';
import { WriteGroups } from './write-groups.js';

/** What the server needs beside its settings; it adds itself to make `Services`. */
export interface ServerParts extends Omit<Services, 'server'> {
  sockets: SocketCalls;
  /** SHUTDOWN was asked for: whoever started the server stops it and ends the process. Called once. */
  onShutdown(): void;
}

export interface Server extends ServerControl {
  /** The services that commands see, this server included. */
  readonly services: Services;
  /**
   * Takes no more connections and requests, lets what is running end (for at most `graceMs`, default 5000), sends the
   * replies and closes the sockets. Idempotent. Storage is closed afterwards, by its owner.
   */
  stop(graceMs?: number): Promise<void>;
}

/** Resolves when connections are accepted; rejects when an address cannot be listened on (nothing stays open then). */
export async function startServer(parts: ServerParts, settings: ServerSettings): Promise<Server> {
  const server = new RunningServer(parts, settings);
  await server.open();
  return server;
}

const TICK_MS = 1000;
const STOP_GRACE_MS = 5000;

class RunningServer implements Server, ListenerHost {
  readonly startedAtMs = Date.now();
  readonly runId = randomBytes(20).toString('hex');
  readonly counters = {
    connectionsReceived: 0,
    connectionsRejected: 0,
    inputBytes: 0,
    outputBytes: 0,
    outputLimitDisconnections: 0,
    queryLimitDisconnections: 0,
    evictedClients: 0,
  };
  readonly services: Services;

  readonly pause: ClientPause;
  readonly statistics: Statistics;
  private readonly monitors = new Monitors();

  private readonly authenticator: Authenticator;
  private readonly dispatcher: Dispatcher;
  private readonly context: ConnectionContext;
  private readonly listener = new Listener(this);
  private readonly connections = new Set<Connection>();
  private lastId = 0;
  private tick: NodeJS.Timeout | null = null;
  commandsPerSecond = 0;
  private commandsAtTick = 0;
  bytesPerSecond = { input: 0, output: 0 };
  private bytesAtTick = { input: 0, output: 0 };
  private stopping: Promise<void> | null = null;
  private listening = false;
  private shutdownAsked = false;
  /** Called whenever a connection is gone, while the server stops. */
  private progress: (() => void) | null = null;

  constructor(
    private readonly parts: ServerParts,
    readonly settings: ServerSettings,
  ) {
    const { onShutdown: _, sockets, ...services } = parts;
    const writer = new ReplyWriter();
    this.services = { ...services, server: this };
    this.authenticator = new Authenticator(parts.users);
    parts.users.onGone((user, cause) => this.dismiss(user, cause));
    this.statistics = new Statistics(services.config, this.monitors);
    this.pause = new ClientPause((paused) => services.keyspace.holdExpiry(paused));
    this.dispatcher = new Dispatcher(this.services, this.statistics, this.pause);
    this.context = {
      settings,
      dispatcher: this.dispatcher,
      groups: new WriteGroups(),
      writer,
      outbox: new Outbox(sockets, writer),
      budget: new OutputBudget(),
      memory: new ClientMemory(() => settings.maxmemoryClientsBytes),
      counters: this.counters,
      log: parts.log,
      repeated: new RepeatedEvents(parts.log),
      strangers: new StrangerTurns(),
      relieve: (pressure) => this.relieve(pressure),
      closed: (connection) => {
        this.connections.delete(connection);
        this.pause.forget(connection);
        if (connection.session.monitoring) this.monitors.remove(connection);
        this.progress?.();
      },
    };
  }

  async open(): Promise<void> {
    await this.listener.open();
    this.listening = true;
    this.tick = setInterval(() => {
      this.commandsPerSecond = Math.max(0, this.statistics.commandsProcessed - this.commandsAtTick);
      this.commandsAtTick = this.statistics.commandsProcessed;
      const { inputBytes: input, outputBytes: output } = this.counters;
      this.bytesPerSecond = {
        input: Math.max(0, input - this.bytesAtTick.input),
        output: Math.max(0, output - this.bytesAtTick.output),
      };
      this.bytesAtTick = { input, output };
      this.closeIdle();
      for (const connection of this.connections) connection.checkSoftLimit();
    }, TICK_MS);
    this.tick.unref();
  }

  // What commands ask.

  get version(): string {
    return this.settings.version;
  }
  get port(): number {
    return this.listener.port;
  }
  get addresses(): readonly string[] {
    return this.listener.addresses;
  }
  get tls(): ServerControl['tls'] {
    return this.listener.tls;
  }
  get databases(): number {
    return this.services.keyspace.kind === 'raw' ? 1 : this.settings.databases;
  }
  get maxclients(): number {
    return this.settings.maxclients;
  }

  get clientBytes(): number {
    return this.context.memory.heldBytes;
  }

  *sessions(): Iterable<Session> {
    for (const { session } of this.connections) yield session;
  }

  monitor(session: Session): void {
    for (const connection of this.connections) {
      if (connection.session !== session) continue;
      connection.session.monitor(() => this.monitors.remove(connection));
      this.monitors.add(connection, () => mayMonitor(session));
    }
  }

  resetStatistics(): void {
    this.statistics.reset();
    this.dispatcher.resetCounts();
    for (const name of Object.keys(this.counters) as (keyof typeof this.counters)[]) this.counters[name] = 0;
    Object.assign(this.services.keyspace.lookups, { hits: 0, misses: 0, expired: 0 });
    this.commandsAtTick = 0;
    this.bytesAtTick = { input: 0, output: 0 };
  }

  commandCounts(): Iterable<CommandCount> {
    return this.dispatcher.counts();
  }

  authenticate(session: Session, login: Login): void | Promise<void> {
    const host = session.address.slice(0, session.address.lastIndexOf(':'));
    const { command, context } = login;
    const failed = (user: string) => {
      const client = describeClient(session, Date.now());
      this.parts.users.denials.add({ reason: 'auth', context, object: Buffer.from(command), user, client });
    };
    const outcome = this.authenticator.check(host, login, failed, context !== 'multi');
    if (outcome instanceof Promise) return outcome;
    session.account = outcome;
    session.authenticated = true;
  }

  /** A user is gone: so are the user's connections, whoever removed the own user after the reply. */
  private dismiss(user: User, cause: unknown): void {
    for (const connection of this.connections) {
      const { session } = connection;
      if (session.account !== user) continue;
      session.account = this.parts.users.default;
      session.authenticated = false;
      if (session === cause) session.closeAfterReply();
      else connection.destroy();
    }
  }

  shutdown(): void {
    if (this.shutdownAsked) return;
    this.shutdownAsked = true;
    // Not within a connection's turn: what follows closes connections.
    setImmediate(() => this.parts.onShutdown());
  }

  // What the listener asks.

  get passwordRequired(): boolean {
    return this.parts.users.passwordRequired;
  }

  get log(): Log {
    return this.parts.log;
  }

  get clientCount(): number {
    return this.connections.size;
  }

  accept(socket: Socket, peer: Peer): void {
    this.counters.connectionsReceived++;
    const authenticatedAnew = () => !this.passwordRequired;
    const { databases } = this;
    const account = this.parts.users.default;
    const authenticated = authenticatedAnew();
    const origin = { id: ++this.lastId, ...peer, databases, account, authenticated, authenticatedAnew };
    this.connections.add(new Connection(socket, this.context, origin));
  }

  rejected(peer: Peer, error: CairnError): void {
    this.counters.connectionsReceived++;
    this.counters.connectionsRejected++;
    this.parts.log.debug('client turned away', { client: peer.address, error: error.message });
  }

  acceptFailed(error: Error): void {
    if (this.listening) this.parts.log.error('a client could not be accepted', { error });
  }

  /** Cuts off the client that holds most of what there is too much of, until there is not. */
  private relieve(first: Pressure): void {
    const { memory } = this.context;
    for (let pressure: Pressure | null = first; pressure !== null; pressure = memory.pressure) {
      let most: Connection | null = null;
      for (const connection of this.connections) {
        if (connection.session.noEvict && pressure === 'bytes') continue;
        if (connection.account.of(pressure) > (most?.account.of(pressure) ?? 0)) most = connection;
      }
      if (most === null) return;
      most.evict({ pressure, ownBytes: most.account.of(pressure), ...memory.numbers(pressure) });
    }
  }

  private closeIdle(): void {
    const { timeoutSeconds } = this.settings;
    if (timeoutSeconds <= 0) return;
    const since = Date.now() - timeoutSeconds * 1000;
    for (const connection of this.connections) {
      if (!connection.idleSince(since)) continue;
      this.parts.log.debug('idle client closed', { client: connection.session.address });
      connection.destroy();
    }
  }

  stop(graceMs = STOP_GRACE_MS): Promise<void> {
    this.stopping ??= this.closeAll(graceMs);
    return this.stopping;
  }

  private async closeAll(graceMs: number): Promise<void> {
    if (this.tick !== null) clearInterval(this.tick);
    await this.listener.close();
    for (const connection of this.connections) {
      // Who asked for the end sees it when the process has ended, as with Redis.
      if (connection.session.lastCommand === 'shutdown' && !connection.idle) {
        connection.leaveOpen();
        this.connections.delete(connection);
      } else {
        connection.stop();
      }
    }
    // What was held back will not run: its connections close like all others.
    this.pause.end();
    if (this.connections.size > 0) await this.allGone(graceMs);
    for (const connection of this.connections) connection.destroy();
    this.dispatcher.stopped();
  }

  private allGone(graceMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, graceMs);
      this.progress = () => {
        if (this.connections.size > 0) return;
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/** Also while it goes on: rights that are taken away hold at once. */
function mayMonitor({ account }: Session): boolean {
  const spec = lookup('monitor');
  return account.unrestricted || (spec !== undefined && account.rights.check(spec, [Buffer.from('MONITOR')]) === null);
}
