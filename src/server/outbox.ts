/**
 * Small replies of all connections leave together, at the end of the event loop's pass: when every request that has come has run.
 *
 *   poll    socket A: requests run, reply ─┐
 *           socket B: requests run, reply ─┤ outbox
 *           a write group is durable ──────┘
 *   check   one native call sends to A, B, …
 *
 * One after the other, a client that waits is woken for each reply, answers, and sleeps again before the next one is ready; sent
 * together, the first wakes it and it finds the others. And a write by Node's stream costs more than the system call under it:
 * the stream gets what the system did not take at once, and nothing else. (Where a socket has no descriptor, as under TLS, it
 * gets all.)
 */
import type { SocketCalls } from '../base/socket-calls.js';
import type { ReplyWriter } from '../resp/encode.js';

/** The outbox of one loop pass is sent early from here on. */
const FULL_BYTES = 1024 * 1024;
const FEWEST_SOCKETS = 64;

/** A connection that has replies to send. */
export interface Sender {
  /** The socket's descriptor; -1: what there is has to go through the stream. */
  readonly descriptor: number;
  /** What is to be sent; null: it was sent meanwhile, or the connection is gone. */
  takeOutgoing(): Buffer | null;
  /** So many bytes of the piece left; the rest is the connection's again. False: that will be read later. */
  sent(piece: Buffer, bytes: number): boolean;
}

export class Outbox {
  private senders: Sender[] = [];
  private bytes = 0;
  private descriptors = new Int32Array(FEWEST_SOCKETS);
  private readonly flushing = (): void => this.flush();

  constructor(
    private readonly sockets: SocketCalls,
    private readonly writer: ReplyWriter,
  ) {}

  /** The sender has so many bytes; it is asked for them once, however often it says so in one pass. */
  add(sender: Sender, bytes: number): void {
    if (this.senders.length === 0) {
      setImmediate(this.flushing);
      this.writer.beginPass();
    }
    this.senders.push(sender);
    this.bytes += bytes;
    if (this.bytes >= FULL_BYTES) this.flush();
  }

  private flush(): void {
    const { senders } = this;
    if (senders.length === 0) return;
    this.senders = [];
    this.bytes = 0;
    const pieces: Buffer[] = [];
    const direct: Sender[] = [];
    if (this.descriptors.length < senders.length) this.descriptors = new Int32Array(senders.length * 2);
    const streamed: [Sender, Buffer][] = [];
    for (const sender of senders) {
      const piece = sender.takeOutgoing();
      if (piece === null) continue;
      const { descriptor } = sender;
      if (descriptor < 0) {
        streamed.push([sender, piece]);
      } else {
        this.descriptors[pieces.length] = descriptor;
        pieces.push(piece);
        direct.push(sender);
      }
    }
    // First of all: what follows may close sockets, and descriptors are good as long as these are open.
    if (pieces.length > 0) this.sockets.send(this.descriptors, pieces);
    let all = true;
    for (let nth = 0; nth < direct.length; nth++) {
      const taken = Math.max(0, this.descriptors[nth] as number);
      all = (direct[nth] as Sender).sent(pieces[nth] as Buffer, taken) && all;
    }
    for (const [sender, piece] of streamed) all = sender.sent(piece, 0) && all;
    this.writer.endPass(all);
  }
}
