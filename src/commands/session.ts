/** What commands know of the client that called them and of the server; `server` implements both interfaces. */

import type { DeniedContext } from '../acl/denials.js';
import type { User } from '../acl/users.js';
import type { CairnError } from '../base/errors.js';
import type { Database } from '../engine/types.js';
import type { LatencyEvents } from '../observability/latency-events.js';
import type { LatencyHistogram } from '../observability/latency-histogram.js';
import type { SlowLog } from '../observability/slow-log.js';
import type { Command } from './command.js';
import type { CommandSpec } from './spec.js';

/** A command between MULTI and EXEC. */
export interface QueuedCommand {
  name: string;
  args: Buffer[];
  argv: Buffer[];
  command: Command;
  spec: CommandSpec;
  /** How long it took inside EXEC. */
  us: number;
}

/** A call that leaves a record in the audit log when it has ended. */
export interface AuditedCall {
  readonly timeUs: number;
  readonly beganAtMs: number;
  /** Who called, when it was called; null: nobody had logged in. */
  readonly user: string | null;
  readonly session: Session;
  readonly name: string;
  readonly failuresOnly: boolean;
  readonly argv: readonly Buffer[];
  /** Its place between MULTI and EXEC. */
  readonly queuedAt: number | null;
  recorded: boolean;
}

/** What a MULTI has gathered. */
export interface QueuedTransaction {
  commands: QueuedCommand[];
  /** A command was refused when it was queued: EXEC will run nothing. */
  aborted: boolean;
  /** What it takes, and how much of that is objects rather than what they hold. */
  bytes: number;
  objectBytes: number;
  /** Those of the commands that leave a record. */
  audited?: AuditedCall[];
  /** The database that MULTI saw: after a restore in place it is another one. */
  database: Database | null;
}

/** One client. */
export interface Session {
  readonly id: number;
  readonly address: string;
  readonly localAddress: string;
  readonly connectedAtMs: number;
  lastCommandAtMs: number;
  lastCommand: string;
  database: number;
  /** Logical databases that there are. */
  readonly databases: number;
  /** The longest string that a command may make: proto_max_bulk_len. */
  readonly maxStringBytes: number;
  protocol: 2 | 3;
  name: string;
  libraryName: string;
  libraryVersion: string;
  authenticated: boolean;
  /** Whose rights the client has: of `default` before a login too. */
  account: User;
  /** The account's name. */
  readonly user: string;
  /** Queued commands of a MULTI, null outside; `aborted` after a queueing error. */
  transaction: QueuedTransaction | null;
  /** What WATCH watches; owned by the keyspace, released by EXEC, DISCARD, UNWATCH and disconnect. */
  watch: { touched: boolean; heldBytes: number; release(): void } | null;
  /** CLIENT NO-EVICT: spared when all clients together hold too much. NO-TOUCH: kept and shown. */
  noEvict: boolean;
  noTouch: boolean;
  /** MONITOR. */
  readonly monitoring: boolean;
  /** CLIENT REPLY: 'skip next' until the reply of the command that said so, 'skip' until that of the next. */
  replies: 'on' | 'off' | 'skip next' | 'skip';
  /** What it waits for without doing anything, null: nothing. Another client may end that: CLIENT UNBLOCK. */
  waiting: { unblock(error: CairnError | null): void } | null;
  readonly pendingOutputBytes: number;
  readonly pendingInputBytes: number;
  /** Closes at once: what it has running goes on, and is answered to nobody. */
  close(): void;
  /** Closes once the replies so far are out. */
  closeAfterReply(): void;
  /** Back to what a new connection has: no transaction, no watch, database 0, RESP2, no name, to be authenticated anew. */
  reset(): void;
}

/** How often a command was called, refused before it ran, and answered with an error; how long it took. */
export interface CommandCount {
  name: string;
  calls: number;
  /** In all calls together. */
  us: number;
  rejected: number;
  failed: number;
  /** null: not called yet. */
  latency: LatencyHistogram | null;
}

/** What a client says to log in. */
export interface Login {
  /** null: AUTH with a password alone. */
  user: string | null;
  password: Buffer;
  /** For ACL LOG. */
  command: 'AUTH' | 'HELLO';
  context: DeniedContext;
}

export interface TlsStatus {
  readonly port: number;
  readonly certificateExpiresAtMs: number;
  readonly certificateSubject: string;
  readonly certificateFingerprint: string;
  /** Clients whose handshake is not finished. */
  readonly handshaking: number;
  readonly handshakes: number;
  readonly handshakeFailures: number;
  /** 0: never. */
  readonly reloadedAtMs: number;
  /** '' when the last reload went well. */
  readonly reloadError: string;
}

export interface ServerControl {
  /** Cairn's own, for INFO. */
  readonly version: string;
  /** Over the last second. */
  readonly commandsPerSecond: number;
  readonly bytesPerSecond: { readonly input: number; readonly output: number };
  readonly startedAtMs: number;
  /** 0: no plain TCP. */
  readonly port: number;
  /** null: no TLS. */
  readonly tls: { readonly status: TlsStatus; reload(): Promise<TlsStatus> } | null;
  readonly runId: string;
  /** Logical databases that SELECT accepts. */
  readonly databases: number;
  readonly maxclients: number;
  /** Where it listens, e.g. '127.0.0.1:7379' and the unix socket's path. */
  readonly addresses: readonly string[];
  /** Makes the session the user's, or throws WRONGPASS; a promise when failures before made it wait, never in context 'multi'. */
  authenticate(session: Session, login: Login): void | Promise<void>;
  sessions(): Iterable<Session>;
  /** CLIENT PAUSE. A pause that is given during another ends it no sooner and makes it no milder. */
  readonly pause: { begin(ms: number, writesOnly: boolean): void; end(): void };
  /** What all clients together hold: requests, transactions, watched keys, unread replies. */
  readonly clientBytes: number;
  /** Commands that were called or refused at least once. */
  commandCounts(): Iterable<CommandCount>;
  /** Shows the session every command from now on, until it is reset or closed. */
  monitor(session: Session): void;
  /** What is remembered of commands. */
  readonly statistics: {
    readonly commandsProcessed: number;
    readonly errorReplies: number;
    /** By the code of the error. */
    readonly errors: ReadonlyMap<string, number>;
    readonly slowLog: SlowLog;
    readonly latency: LatencyEvents;
  };
  /** CONFIG RESETSTAT: counters are zero again. */
  resetStatistics(): void;
  /** Counters for INFO stats. */
  readonly counters: {
    connectionsReceived: number;
    connectionsRejected: number;
    inputBytes: number;
    outputBytes: number;
    /** Clients that were cut off: for what they did not read, for what they sent, for what all together held. */
    outputLimitDisconnections: number;
    queryLimitDisconnections: number;
    evictedClients: number;
  };
  /** Begins an orderly stop; resolves never (the process ends). */
  shutdown(): void;
}
