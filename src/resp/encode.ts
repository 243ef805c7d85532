/**
 * Replies to bytes, for RESP2 and RESP3.
 *
 * A ReplyWriter collects the replies of one turn of one connection; `take` hands them over for one write. Small replies
 * are written one after the other into a slab. Long values are not copied: they go out as pieces of their own.
 *
 *   slab    │ taken before │ replies of this turn │ free │
 *                          start                  position
 *
 * What was taken belongs to the socket until it is written. When the socket took it all at once (the usual case),
 * `rewind` gives the space of the last turn back; `endPass` that of all turns since `beginPass`. Else the slab is used up to its end
 * and left to the garbage collector.
 */
import { CairnError, oneLine } from '../base/errors.js';
import { Double, Encoded, Fields, MapReply, NullArray, type Reply, SetReply, Simple, Verbatim } from './reply.js';

const SLAB_BYTES = 64 * 1024;
/** From here on a value is cheaper to send from where it is than to copy. */
const PIECE_BYTES = 16 * 1024;
/** Below that a loop beats the calls that copy. */
const SHORT = 40;
/** Digits of larger numbers cannot be told by dividing. */
const MAX_HEADER = 2 ** 32;
/** Enough for a type byte, a 64-bit number and a line end. */
const HEADER_BYTES = 32;

const INTEGER = 0x3a;
const BULK = 0x24;
const ARRAY = 0x2a;
const MAP = 0x25;
const SET = 0x7e;
const VERBATIM = 0x3d;
const CR = 0x0d;
const LF = 0x0a;

const smallIntegers = Array.from({ length: 1024 }, (_, n) => Buffer.from(`:${n}\r\n`, 'latin1'));
const nil2 = Buffer.from('$-1\r\n');
const nilArray2 = Buffer.from('*-1\r\n');
const nil3 = Buffer.from('_\r\n');
const true3 = Buffer.from('#t\r\n');
const false3 = Buffer.from('#f\r\n');

export class ReplyWriter {
  private slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
  private start = 0;
  private position = 0;
  /** Where in this slab the present turn began, and the one that was taken last. */
  private turn = 0;
  private lastTurn = 0;
  /** Where in this slab the pass began: what lies behind is given back with it. -1: something there is kept. */
  private pass = -1;
  private pieces: Buffer[] = [];
  private pieceBytes = 0;

  /** Bytes written and not taken. */
  get pendingBytes(): number {
    return this.pieceBytes + this.position - this.start;
  }

  /** Everything written since the last take, in order; empty when there is nothing. */
  take(): Buffer[] {
    this.cut();
    const pieces = this.pieces;
    this.pieces = [];
    this.pieceBytes = 0;
    this.lastTurn = this.turn;
    this.turn = this.position;
    return pieces;
  }

  /** Nobody reads from the slab any more what was taken last. What was taken before that stays untouched. */
  rewind(): void {
    if (this.pieces.length > 0 || this.position !== this.turn) return;
    this.position = this.lastTurn;
    this.start = this.lastTurn;
    this.turn = this.lastTurn;
  }

  /** Some turns are sent together, the one that was taken last is the first of them. */
  beginPass(): void {
    this.pass = this.lastTurn;
  }

  /** Somebody reads on from what was taken last. */
  keep(): void {
    this.pass = -1;
  }

  /** `sent`: nobody reads any more from the slab what was taken in this pass, unless `keep` said so. */
  endPass(sent: boolean): void {
    if (sent && this.pass >= 0 && this.pieces.length === 0 && this.position === this.turn) {
      this.position = this.pass;
      this.start = this.pass;
      this.turn = this.pass;
      this.lastTurn = this.pass;
    }
    this.pass = -1;
  }

  write(reply: Reply, protocol: 2 | 3): void {
    if (reply === null) this.bytes(protocol === 3 ? nil3 : nil2);
    else if (reply instanceof Encoded) this.bytes(reply.bytes);
    else if (typeof reply === 'number') this.integer(reply);
    else if (Buffer.isBuffer(reply)) this.bulk(reply);
    else if (typeof reply === 'string') this.text(reply);
    else this.other(reply, protocol);
  }

  private other(reply: Exclude<Reply, null | number | string | Buffer | Encoded>, protocol: 2 | 3): void {
    if (typeof reply === 'bigint') this.line(`:${reply}`);
    else if (typeof reply === 'boolean') {
      if (protocol === 3) this.bytes(reply ? true3 : false3);
      else this.integer(reply ? 1 : 0);
    } else if (reply instanceof CairnError) this.line(`-${reply.line}`);
    else if (reply instanceof Simple) this.line(`+${oneLine(reply.text)}`);
    else if (reply instanceof NullArray) this.bytes(protocol === 3 ? nil3 : nilArray2);
    else if (reply instanceof MapReply) {
      if (protocol === 3) this.header(MAP, reply.entries.length);
      else this.header(ARRAY, reply.entries.length * 2);
      for (const [name, value] of reply.entries) {
        this.write(name, protocol);
        this.write(value, protocol);
      }
    } else if (reply instanceof Fields) this.fields(reply.members, protocol);
    else if (reply instanceof SetReply) this.list(protocol === 3 ? SET : ARRAY, reply.items, protocol);
    else if (reply instanceof Double) {
      const digits = formatDouble(reply.value);
      if (protocol === 3) this.line(`,${digits}`);
      else this.text(digits);
    } else if (reply instanceof Verbatim) {
      if (protocol === 3) {
        this.header(VERBATIM, Buffer.byteLength(reply.text) + 4);
        this.raw(`${reply.format}:${reply.text}\r\n`);
      } else this.text(reply.text);
    } else this.list(ARRAY, reply, protocol);
  }

  private fields(members: Fields['members'], protocol: 2 | 3): void {
    const names = Object.keys(members);
    if (protocol === 3) this.header(MAP, names.length);
    else this.header(ARRAY, names.length * 2);
    for (const name of names) {
      this.text(name);
      this.write(members[name] as Reply, protocol);
    }
  }

  private list(type: number, items: readonly Reply[], protocol: 2 | 3): void {
    this.header(type, items.length);
    for (let nth = 0; nth < items.length; nth++) this.write(items[nth] as Reply, protocol);
  }

  private integer(value: number): void {
    const known = smallIntegers[value];
    if (known !== undefined) this.bytes(known);
    else if (Number.isInteger(value) && value > 0 && value < MAX_HEADER) this.header(INTEGER, value);
    else this.line(`:${value}`);
  }

  private bulk(value: Buffer): void {
    const length = value.length;
    this.header(BULK, length);
    if (length >= PIECE_BYTES) {
      this.cut();
      this.pieces.push(value);
      this.pieceBytes += length;
      this.room(2);
    } else {
      this.room(length + 2);
      if (length < SHORT) for (let at = 0; at < length; at++) this.slab[this.position + at] = value[at] as number;
      else this.slab.set(value, this.position);
      this.position += length;
    }
    this.slab[this.position] = CR;
    this.slab[this.position + 1] = LF;
    this.position += 2;
  }

  private text(value: string): void {
    if (value.length >= SHORT || !this.shortText(value)) this.longText(value);
  }

  /** false: it is not all ASCII, and nothing was written. */
  private shortText(value: string): boolean {
    const length = value.length;
    this.room(HEADER_BYTES + length + 2);
    const before = this.position;
    this.header(BULK, length);
    const slab = this.slab;
    let at = this.position;
    for (let nth = 0; nth < length; nth++) {
      const code = value.charCodeAt(nth);
      if (code > 0x7f) {
        this.position = before;
        return false;
      }
      slab[at++] = code;
    }
    slab[at] = CR;
    slab[at + 1] = LF;
    this.position = at + 2;
    return true;
  }

  private longText(value: string): void {
    const length = Buffer.byteLength(value);
    if (length >= PIECE_BYTES) {
      this.bulk(Buffer.from(value));
      return;
    }
    this.header(BULK, length);
    this.raw(value, length + 2);
    this.slab[this.position] = CR;
    this.slab[this.position + 1] = LF;
    this.position += 2;
  }

  /** A type byte and a count or length, digit by digit: on the way of every value, a string would cost more. */
  private header(type: number, count: number): void {
    this.room(HEADER_BYTES);
    const slab = this.slab;
    let at = this.position;
    slab[at++] = type;
    let width = 1;
    for (let rest = count; rest >= 10; rest = Math.floor(rest / 10)) width++;
    const end = at + width;
    let rest = count;
    for (at = end - 1; width > 0; width--) {
      const next = Math.floor(rest / 10);
      slab[at--] = 48 + rest - next * 10;
      rest = next;
    }
    slab[end] = CR;
    slab[end + 1] = LF;
    this.position = end + 2;
  }

  private line(text: string): void {
    this.raw(`${text}\r\n`);
  }

  /** Text as it is, with room for at least `bytes` (default: the text's own length). */
  private raw(text: string, bytes = Buffer.byteLength(text)): void {
    this.room(bytes);
    this.position += this.slab.write(text, this.position, 'utf8');
  }

  private bytes(bytes: Buffer): void {
    const length = bytes.length;
    this.room(length);
    if (length < SHORT) for (let at = 0; at < length; at++) this.slab[this.position + at] = bytes[at] as number;
    else this.slab.set(bytes, this.position);
    this.position += length;
  }

  /** Makes sure that so many bytes fit; what was written stays in order. */
  private room(bytes: number): void {
    if (this.position + bytes <= this.slab.length) return;
    this.cut();
    this.slab = Buffer.allocUnsafeSlow(Math.max(SLAB_BYTES, bytes));
    this.start = 0;
    this.position = 0;
    this.turn = 0;
    this.lastTurn = 0;
    // What was taken lies in the slab before.
    if (this.pass > 0) this.pass = 0;
  }

  private cut(): void {
    if (this.position === this.start) return;
    this.pieces.push(this.slab.subarray(this.start, this.position));
    this.pieceBytes += this.position - this.start;
    this.start = this.position;
  }
}

/** One reply as bytes, for what is not on a connection's way. */
export function encodeReply(reply: Reply, protocol: 2 | 3): Buffer {
  const writer = new ReplyWriter();
  writer.write(reply, protocol);
  return Buffer.concat(writer.take());
}

function formatDouble(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  if (value === Number.POSITIVE_INFINITY) return 'inf';
  if (value === Number.NEGATIVE_INFINITY) return '-inf';
  return Object.is(value, -0) ? '-0' : String(value);
}
