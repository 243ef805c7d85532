/**
 * One connection: socket → decoder → dispatcher → ordered replies → socket.
 *
 *   chunk ──► requests ──► dispatch ──► reply ready ────────────────► writer ──► outbox, at the end of the loop's pass
 *     ▲                       │    └──► reply waits for its group ──► queue ──►┘
 *     │                       └──► promise: blocked, later requests wait
 *     └─ reading pauses while blocked, or while too much is unanswered or unread
 *
 * A turn handles the requests of one chunk back to back, so that their writes share a write group. Requests run in
 * order and replies leave in order, always. Nothing here may throw into the event loop: a failure closes the one
 * connection that it belongs to.
 */
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { CairnError } from '../base/errors.js';
import type { AuditedCall } from '../commands/session.js';
import { ReadAhead } from '../keyspace/fetches.js';
import type { Fields, Log } from '../observability/log.js';
import { RequestDecoder } from '../resp/decode.js';
import type { ReplyWriter } from '../resp/encode.js';
import { encodeReply } from '../resp/encode.js';
import { NO_REPLY, type Reply } from '../resp/reply.js';
import {
  Account,
  ARGUMENT_OBJECT_BYTES,
  type ClientMemory,
  type Pressure,
  REPLY_OBJECT_BYTES,
} from './client-memory.js';
import { DataCall } from './data-call.js';
import type { Dispatcher } from './dispatch.js';
import {
  OUTPUT_HARD_LIMIT_BYTES,
  OUTPUT_STALL_MS,
  type OutputBudget,
  PENDING_REPLIES,
  SEND_AT_BYTES,
  SENT_TOGETHER_BYTES,
  STRANGER_OUTPUT_BYTES,
} from './limits.js';
import type { Outbox, Sender } from './outbox.js';
import type { RepeatedEvents } from './repeated.js';
import { ReplyQueue } from './reply-queue.js';
import { ClientSession, type SessionOrigin } from './session.js';
import type { ServerSettings } from './settings.js';
import type { StrangerTurns } from './stranger-turns.js';
import type { WriteGroups } from './write-groups.js';

/** What all connections of a server share. */
export interface ConnectionContext {
  readonly settings: ServerSettings;
  readonly dispatcher: Dispatcher;
  readonly groups: WriteGroups;
  readonly writer: ReplyWriter;
  readonly outbox: Outbox;
  readonly budget: OutputBudget;
  readonly memory: ClientMemory;
  readonly counters: ConnectionCounters;
  readonly log: Log;
  /** For what strangers can cause. */
  readonly repeated: RepeatedEvents;
  readonly strangers: StrangerTurns;
  /** There is too much of something: who holds most of it goes. */
  relieve(pressure: Pressure): void;
  closed(connection: Connection): void;
}

interface ConnectionCounters {
  inputBytes: number;
  outputBytes: number;
  outputLimitDisconnections: number;
  queryLimitDisconnections: number;
  evictedClients: number;
}

const noRequests: Buffer[][] = [];
const noArguments: readonly Buffer[] = [];
const taken: Buffer[] = [];
const nothing = (): void => {};

export class Connection implements Sender {
  readonly session: ClientSession;
  /** The data command that runs or waits; one at a time. */
  readonly dataCall: DataCall;
  /** What the requests at hand ask for, once one of them misses something. */
  readonly ahead: ReadAhead;
  /** What the command that runs or waits leaves in the audit log. */
  audited: readonly AuditedCall[] = [];

  /** Of the socket, where bytes can be sent to it as they are; else -1. */
  private readonly plainDescriptor: number;
  private readonly decoder: RequestDecoder;
  private readonly queue = new ReplyQueue();
  private requests = noRequests;
  private next = 0;
  /** Chunks that came before reading paused. */
  private input: Buffer[] = [];
  private inputBytes = 0;
  /** A command has not ended. */
  private blocked = false;
  /** Nobody has logged in, and others of that kind have their turn first. */
  private waitsForTurn = false;
  /** How many more requests run before that; counted while nobody has logged in. */
  private turnsLeft: number;
  /** Too much is unanswered or unread. */
  private throttled = false;
  /** No further request is run; what is owed is sent, then the socket is closed. */
  private closing = false;
  /** The client has sent everything it will. */
  private inputEnded = false;
  private reading = true;
  private inTurn = false;
  /** A small reply that leaves with those of the other connections. */
  private outgoing: Buffer | null = null;
  private accountedOutput = 0;
  /** Since when there has been more unread output than the soft limit; null: there is not. */
  private softSinceMs: number | null = null;
  /** The chunk that the requests at hand lie in. */
  private chunkBytes = 0;
  /** The request that goes on in the background, or is held. */
  private argv: readonly Buffer[] = noArguments;
  readonly account = new Account();

  constructor(
    private readonly socket: Socket,
    private readonly context: ConnectionContext,
    origin: SessionOrigin,
  ) {
    this.plainDescriptor = descriptorOf(socket);
    this.decoder = new RequestDecoder(context.settings);
    this.decoder.restricted = !origin.authenticated;
    this.turnsLeft = context.strangers.atOnce;
    this.session = new ClientSession(origin, this);
    this.dataCall = new DataCall(this.session);
    this.ahead = new ReadAhead(() => context.dispatcher.keysAhead(this));
    socket.on('data', (chunk: Buffer) => this.received(chunk));
    socket.on('end', () => this.ended());
    socket.on('drain', () => this.drained());
    socket.on('timeout', () => this.stalled());
    socket.on('error', (error) => context.log.debug('client socket failed', { client: this.session.address, error }));
    socket.on('close', () => this.gone());
  }

  get pendingOutputBytes(): number {
    return this.socket.writableLength + this.queue.bytes;
  }
  get pendingInputBytes(): number {
    return this.decoder.bufferedBytes + this.inputBytes;
  }
  get maxStringBytes(): number {
    return this.context.settings.protoMaxBulkLen;
  }
  /** Waits for nothing but its client. */
  get idle(): boolean {
    return !this.blocked && this.queue.length === 0 && this.next >= this.requests.length;
  }
  get destroyed(): boolean {
    return this.socket.destroyed;
  }

  // What the dispatcher calls.

  /** Requests that came together with the one that was dispatched last, at most so many. */
  upcoming(most: number): readonly Buffer[][] {
    return this.requests.slice(this.next, this.next + most);
  }

  /** The reply to the request that was dispatched last; it leaves when `durable` is resolved. */
  answer(due: Reply, durable: Promise<void> | null): void {
    // A client without replies still waits, in the queue, when too much that it wrote is not durable yet.
    const reply = this.session.leavesOut() ? NO_REPLY : due;
    if (durable === null && this.queue.length === 0) {
      this.context.writer.write(reply, this.session.protocol);
      if (this.context.writer.pendingBytes >= SEND_AT_BYTES) this.send();
      return;
    }
    const group = durable === null ? null : this.context.groups.of(durable);
    if (this.queue.length === 0) group?.wait(this);
    this.queue.push(reply, group);
    if (this.queue.length >= PENDING_REPLIES || this.queue.bytes >= SEND_AT_BYTES) this.measureOutput();
  }

  /** The request that was dispatched last goes on in the background; `resume` ends that. */
  block(): void {
    this.blocked = true;
  }

  /** The same, for as long as it takes. */
  blockForLong(): void {
    this.ahead.end();
    this.blocked = true;
  }

  /** The request that was dispatched last may not run now: `goOn` dispatches it again. */
  hold(argv: Buffer[]): void {
    this.ahead.end();
    this.requests[--this.next] = argv;
    this.blocked = true;
  }

  goOn(): void {
    this.turn(() => {
      this.blocked = false;
    });
  }

  /** Some more of its requests may run. */
  strangerTurn(): void {
    this.turn(() => {
      this.waitsForTurn = false;
      this.turnsLeft = this.context.strangers.aTurn;
    });
  }

  resume(reply: Reply, durable: Promise<void> | null): void {
    this.turn(() => {
      this.blocked = false;
      this.argv = noArguments;
      if (!this.socket.destroyed) this.answer(reply, durable);
    });
  }

  /** Bytes that answer no request, between two replies. */
  push(bytes: Buffer): void {
    if (this.closing || this.socket.destroyed || this.session.replies === 'off') return;
    this.context.counters.outputBytes += bytes.length;
    this.sendOutgoing();
    this.socket.write(bytes);
    if (this.socket.writableLength > 0 || this.accountedOutput > 0) this.measureOutput();
    this.settleMemory();
  }

  // What the session calls.

  closeAfterReply(): void {
    this.closing = true;
  }
  beforeProtocolChange(): void {
    this.queue.encodeAll(this.session.protocol);
  }
  authenticationChanged(authenticated: boolean): void {
    this.decoder.restricted = !authenticated;
  }

  // What the server calls.

  /** Runs no further request and closes the socket once what is running has answered. */
  stop(): void {
    this.turn(() => {
      this.closing = true;
    });
  }
  /** At once: nothing further runs, nothing is answered. */
  destroy(): void {
    this.closing = true;
    this.socket.destroy();
  }
  /** For what anybody can send: told of, but not each time. */
  cutOff(event: string): void {
    this.context.repeated.warn(event, { client: this.session.address });
    this.destroy();
  }
  /** It holds the most of what there is too much of. */
  evict(fields: Fields): void {
    this.context.counters.evictedClients++;
    this.warn('client cut off: all clients together hold too much memory, and it the most', fields);
    this.destroy();
    this.letGo();
  }
  /** Time alone can pass the soft limit of output. */
  checkSoftLimit(): void {
    if (this.softSinceMs !== null && !this.socket.destroyed) this.turn(() => this.measureOutput());
  }
  /** Leaves the socket open without keeping the process alive. */
  leaveOpen(): void {
    this.socket.unref();
  }
  /** Nothing was heard of the client since, and it waits for nothing. */
  idleSince(ms: number): boolean {
    return this.idle && !this.session.monitoring && this.session.lastCommandAtMs < ms;
  }

  /** What the first waiting reply waited for is settled. */
  groupSettled(): void {
    this.turn(nothing);
  }

  // What the socket says.

  private received(chunk: Buffer): void {
    this.context.counters.inputBytes += chunk.length;
    this.session.lastCommandAtMs = Date.now();
    if (this.closing) return;
    this.input.push(chunk);
    this.inputBytes += chunk.length;
    if (!this.blocked && !this.throttled && !this.waitsForTurn) this.turn(nothing);
    else {
      this.steerReading();
      this.settleMemory();
    }
  }

  private ended(): void {
    this.turn(() => {
      this.inputEnded = true;
    });
  }

  private drained(): void {
    this.turn(() => this.measureOutput());
  }

  private stalled(): void {
    this.context.log.warn('client cut off: it does not read its replies', {
      client: this.session.address,
      pendingBytes: this.pendingOutputBytes,
      forMs: OUTPUT_STALL_MS,
    });
    this.destroy();
  }

  private gone(): void {
    this.closing = true;
    this.context.strangers.leave(this);
    this.letGo();
    this.context.dispatcher.abandoned(this.session);
    this.session.waiting?.unblock(null);
    this.session.release();
    this.context.closed(this);
  }

  /**
   * Everything that can make progress possible goes through here: first the event itself, then replies that may leave,
   * then requests, then one write.
   */
  private turn(event: () => void): void {
    if (this.inTurn) {
      event();
      return;
    }
    if (this.context.writer.pendingBytes > 0) {
      // Within another connection's turn: what that one is owed is in the writer, and would be sent to this client.
      queueMicrotask(() => this.turn(event));
      return;
    }
    this.inTurn = true;
    try {
      event();
      this.flushQueue();
      this.run();
      this.send();
      this.closeIfDone();
      this.steerReading();
      this.settleMemory();
    } catch (error) {
      this.context.log.error('a connection failed', { client: this.session.address, error });
      this.context.writer.take();
      this.destroy();
    } finally {
      this.inTurn = false;
    }
  }

  private run(): void {
    while (!this.blocked && !this.throttled && !this.closing && !this.waitsForTurn) {
      const argv = this.requests[this.next];
      if (argv !== undefined) {
        if (this.decoder.restricted && this.turnsLeft-- <= 0) {
          this.waitsForTurn = true;
          this.context.strangers.wait(this);
          break;
        }
        // A large request is let go as soon as its command does.
        this.requests[this.next++] = taken;
        this.argv = argv;
        this.context.dispatcher.dispatch(this, argv);
        if (!this.blocked) this.argv = noArguments;
      } else if (!this.decode()) {
        return;
      }
    }
    if (!this.blocked) this.ahead.end();
  }

  /** Fetches more requests; false when there are none. */
  private decode(): boolean {
    this.ahead.end();
    this.next = 0;
    this.requests = this.decoder.more();
    while (this.requests.length === 0) {
      if (this.decoder.failure !== null) {
        this.refuse(this.decoder.failure);
        return false;
      }
      const chunk = this.input.shift();
      if (chunk === undefined) return false;
      this.inputBytes -= chunk.length;
      this.chunkBytes = chunk.length;
      this.requests = this.decoder.feed(chunk);
    }
    return true;
  }

  /** A protocol error: the connection cannot be followed any more. */
  private refuse(failure: CairnError): void {
    this.context.log.debug('protocol error', { client: this.session.address, error: failure.message });
    this.answer(failure, null);
    this.closing = true;
  }

  private flushQueue(): void {
    const { writer } = this.context;
    for (let reply = this.queue.shift(); reply !== undefined; reply = this.queue.shift()) {
      writer.write(reply, this.session.protocol);
      if (writer.pendingBytes >= SEND_AT_BYTES) this.send();
    }
    this.queue.awaited?.wait(this);
    if (this.throttled) this.measureOutput();
  }

  /** What was written since the last time: small replies at the end of the loop's pass, others at once. */
  private send(): void {
    const { writer } = this.context;
    const bytes = writer.pendingBytes;
    if (bytes === 0) return;
    this.context.counters.outputBytes += bytes;
    const pieces = writer.take();
    if (this.socket.destroyed || this.socket.writableEnded) return;
    if (bytes <= SENT_TOGETHER_BYTES && this.outgoing === null && pieces.length === 1) {
      this.outgoing = pieces[0] as Buffer;
      this.context.outbox.add(this, bytes);
      return;
    }
    this.sendOutgoing();
    this.socket.cork();
    for (const piece of pieces) this.socket.write(piece);
    this.socket.uncork();
    if (this.handedOver()) writer.rewind();
  }

  /** Before anything else may be written. */
  private sendOutgoing(): void {
    const piece = this.takeOutgoing();
    if (piece !== null) this.sent(piece, 0);
  }

  // What the outbox calls.

  get descriptor(): number {
    return this.socket.writableLength > 0 ? -1 : this.plainDescriptor;
  }

  takeOutgoing(): Buffer | null {
    const piece = this.outgoing;
    this.outgoing = null;
    return this.socket.destroyed ? null : piece;
  }

  sent(piece: Buffer, bytes: number): boolean {
    if (bytes === piece.length || this.socket.destroyed) return true;
    this.socket.write(bytes === 0 ? piece : piece.subarray(bytes));
    const sent = this.handedOver();
    // Its turn has counted what it held before this.
    if (!sent && !this.inTurn) this.settleMemory();
    return sent;
  }

  /** The stream got something. True: the system has it all. */
  private handedOver(): boolean {
    const sent = this.socket.writableLength === 0;
    if (!sent) this.context.writer.keep();
    if ((!sent && this.socket.writableNeedDrain) || this.accountedOutput > 0) this.measureOutput();
    return sent;
  }

  /** Compares what waits for the client with what may. */
  private measureOutput(): void {
    // Less than the socket itself buffers is on its way, and no event will say that it left.
    const pending = this.queue.bytes + (this.socket.writableNeedDrain ? this.socket.writableLength : 0);
    this.context.budget.totalBytes += pending - this.accountedOutput;
    this.accountedOutput = pending;
    const limit = this.outputLimit(pending);
    if (pending > limit) {
      this.cutOffForOutput({ pendingBytes: pending, limitBytes: limit });
      return;
    }
    const throttled = this.queue.length >= PENDING_REPLIES || this.context.budget.exhausted(pending);
    if (throttled !== this.throttled) {
      this.throttled = throttled;
      // The socket's timer looks at progress in both directions, and reading is paused.
      this.socket.setTimeout(throttled ? OUTPUT_STALL_MS : 0);
    }
  }

  /** The hard limit that counts now; the soft one once its time is over. */
  private outputLimit(pending: number): number {
    const { outputLimitBytes, outputBufferLimit: buffer } = this.context.settings;
    let limit = OUTPUT_HARD_LIMIT_BYTES;
    if (outputLimitBytes > 0) limit = Math.min(limit, outputLimitBytes);
    if (buffer.hardBytes > 0) limit = Math.min(limit, buffer.hardBytes);
    if (!this.session.authenticated) limit = Math.min(limit, STRANGER_OUTPUT_BYTES);
    if (buffer.softBytes === 0 || pending <= buffer.softBytes) {
      this.softSinceMs = null;
      return limit;
    }
    const now = performance.now();
    this.softSinceMs ??= now;
    return now - this.softSinceMs > buffer.softSeconds * 1000 ? Math.min(limit, buffer.softBytes) : limit;
  }

  private cutOffForOutput(numbers: { pendingBytes: number; limitBytes: number }): void {
    this.context.counters.outputLimitDisconnections++;
    this.warn('client cut off: too much output that it does not read', numbers);
    this.destroy();
  }

  /** What strangers can cause is not told for each of them. */
  private warn(event: string, fields: Fields): void {
    const all = { client: this.session.address, ...fields };
    if (this.session.authenticated) this.context.log.warn(event, all);
    else this.context.repeated.warn(event, all);
  }

  /** Says what this connection holds, and looks whether that is too much. */
  private settleMemory(): void {
    if (this.socket.destroyed) return;
    const { memory, settings } = this.context;
    const { transaction, watch, authenticated } = this.session;
    let objects = this.queue.length * REPLY_OBJECT_BYTES;
    let input = this.decoder.reservedBytes + this.inputBytes;
    if (this.blocked || this.next < this.requests.length) {
      input += this.chunkBytes;
      objects += this.waitingArguments() * ARGUMENT_OBJECT_BYTES;
    }
    if (transaction !== null) {
      input += transaction.bytes - transaction.objectBytes;
      objects += transaction.objectBytes;
    }
    if (watch !== null) objects += watch.heldBytes;
    const bytes = input + objects + this.pendingOutputBytes;
    const { account } = this;
    if (bytes !== account.bytes || objects !== account.objectBytes || account.stranger === authenticated) {
      memory.set(account, bytes, objects, !authenticated);
    }
    if (input > settings.queryBufferLimitBytes) {
      this.context.counters.queryLimitDisconnections++;
      this.warn('client cut off: its requests are longer than the query buffer may be', {
        pendingBytes: input,
        limitBytes: settings.queryBufferLimitBytes,
      });
      this.destroy();
      return;
    }
    const { pressure } = memory;
    if (pressure !== null) this.context.relieve(pressure);
  }

  private waitingArguments(): number {
    let count = this.blocked ? this.argv.length : 0;
    for (let at = this.next; at < this.requests.length; at++) count += (this.requests[at] as Buffer[]).length;
    return count;
  }

  private closeIfDone(): void {
    if (this.socket.destroyed || this.blocked || this.queue.length > 0) return;
    if (!this.closing && !(this.inputEnded && this.idle && !this.throttled)) return;
    this.closing = true;
    this.dropInput();
    if (this.socket.writableEnded) return;
    this.sendOutgoing();
    this.socket.setTimeout(OUTPUT_STALL_MS);
    this.socket.destroySoon();
  }

  private dropInput(): void {
    this.ahead.end();
    this.requests = noRequests;
    this.argv = noArguments;
    this.next = 0;
    this.input = [];
    this.inputBytes = 0;
    this.decoder.drop();
  }

  /** Nothing is held any more on account of this client. */
  private letGo(): void {
    this.context.budget.totalBytes -= this.accountedOutput;
    this.accountedOutput = 0;
    this.context.memory.set(this.account, 0, 0, false);
    this.queue.clear();
    this.dropInput();
  }

  /** A closing connection reads on and throws away: data left unread would make the system reset the connection. */
  private steerReading(): void {
    const read = this.closing || !(this.throttled || ((this.blocked || this.waitsForTurn) && this.input.length > 0));
    if (read === this.reading || this.socket.destroyed) return;
    this.reading = read;
    if (read) this.socket.resume();
    else this.socket.pause();
  }
}

/** Of an open socket; -1: there is none that bytes could be sent to as they are. */
function descriptorOf(socket: Socket): number {
  if (socket instanceof TLSSocket) return -1;
  const { _handle: handle } = socket as { _handle?: { fd?: unknown } | null };
  const descriptor = handle?.fd;
  return typeof descriptor === 'number' ? descriptor : -1;
}

/** Sockets that were told so and are not closed yet: they are no clients, and must not take the files of those. */
const MOST_LINGERING = 64;
let lingering = 0;

/** Tells a client that it may not come in; closed at once, unheard, when many hear it already. */
export function turnAway(socket: Socket, error: CairnError): void {
  socket.on('error', () => {});
  if (lingering >= MOST_LINGERING) {
    socket.destroy();
    return;
  }
  lingering++;
  socket.once('close', () => lingering--);
  socket.setTimeout(1000, () => socket.destroy());
  socket.resume();
  socket.write(encodeReply(error, 2));
  socket.destroySoon();
}
