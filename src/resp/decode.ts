/**
 * Requests from bytes that arrive in pieces.
 *
 * redis-parser takes multibulk requests apart. It knows no inline commands and no limits, and a request that it sees in
 * pieces goes through a buffer pool of the whole process, sized at two to three times the argument and not given back
 * (seen: 300 MB for an argument of 100 MB, of which 200 MB stayed). So a guard stands in front: it follows the framing
 * byte by byte, enforces every limit before memory is taken, and hands on complete requests alone.
 *
 *   chunk     │…rest of A│ B │ C │ first part of D│
 *   A         completes the assembly buffer, which is parsed
 *   B C       a run: parsed where it lies, in one call
 *   D         begins a new assembly, with room for what its current argument announces, but for no more than eight
 *             times what has come: a length that is only claimed takes nothing
 *
 * An argument that came in one piece is not copied at all, one that came in pieces once, and a seventh of it once more
 * where the assembly had to grow.
 *
 * Where Redis would look at a request only when the one before has run (AUTH lifts limits), `restricted` makes feed
 * stop after each request; `more` goes on.
 */
import Parser from 'redis-parser';
import { CairnError } from '../base/errors.js';
import { splitInline } from './inline.js';

/** Most arguments of a request. */
export const MAX_ARGUMENTS = 1024 * 1024;
/** Longest inline request, and longest line that announces a count or a length. */
export const MAX_LINE_BYTES = 64 * 1024;
/** Longest request while it is incomplete. */
export const MAX_REQUEST_BYTES = 1024 * 1024 * 1024;
/** While not authenticated. */
export const RESTRICTED_ARGUMENTS = 10;
export const RESTRICTED_BULK_BYTES = 16 * 1024;

export interface DecoderLimits {
  /** Longest argument; read anew at each request. */
  readonly protoMaxBulkLen: number;
}

/** Where in the current request the guard is. */
enum At {
  Start,
  Inline,
  /** In the digits after '*'. */
  Count,
  /** Before '$'. */
  Argument,
  /** In the digits after '$'. */
  Length,
  /** In an argument's bytes, or in the line end after them. */
  Body,
}

const STAR = 0x2a;
const DOLLAR = 0x24;
const MINUS = 0x2d;
const ZERO = 0x30;
const CR = 0x0d;
const LF = 0x0a;
const SMALLEST_ASSEMBLY = 512;
/** How much room a byte that has come may reserve for those that are announced. */
const ROOM_PER_BYTE = 8;
const noRequests: Buffer[][] = [];

export class RequestDecoder {
  /** Not authenticated: small limits, and one request at a time. */
  restricted = false;
  /** Set by a protocol error: what to answer after the requests before it; nothing is decoded any more. */
  failure: CairnError | null = null;

  private at: At = At.Start;
  private argumentsLeft = 0;
  private bodyLeft = 0;

  /** The count or length being read: a line may be cut anywhere. */
  private value = 0;
  private digits = 0;
  private lineBytes = 0;
  private negative = false;
  private wellFormed = true;
  private sawCr = false;

  private assembly: Buffer | null = null;
  private assembled = 0;
  /** What follows a request after which a restricted decoder stopped. */
  private held: Buffer | null = null;

  constructor(private readonly limits: DecoderLimits) {}

  /** Bytes kept of requests that are not complete. */
  get bufferedBytes(): number {
    return this.assembled + (this.held?.length ?? 0);
  }
  /** Bytes of memory that are reserved for them. */
  get reservedBytes(): number {
    return (this.assembly?.length ?? 0) + (this.held?.buffer.byteLength ?? 0);
  }

  /** The requests that the chunk completes. The chunk must not change afterwards: arguments lie in it. */
  feed(chunk: Buffer): Buffer[][] {
    if (this.failure !== null || chunk.length === 0) return noRequests;
    if (this.held === null) return this.decode(chunk);
    const whole = Buffer.concat([this.held, chunk]);
    this.held = null;
    return this.decode(whole);
  }

  /** After the requests of `feed` have run: what it held back, empty when there is nothing more. */
  more(): Buffer[][] {
    const chunk = this.held;
    if (chunk === null || this.failure !== null) return noRequests;
    this.held = null;
    return this.decode(chunk);
  }

  private decode(chunk: Buffer): Buffer[][] {
    const requests: Buffer[][] = [];
    const end = chunk.length;
    const mostArguments = this.restricted ? RESTRICTED_ARGUMENTS : MAX_ARGUMENTS;
    const longestBulk = this.longestBulk;
    let position = 0;
    /** Complete requests from here to `position` are not parsed yet. */
    let run = 0;
    /** Where the current request begins in this chunk. */
    let start = 0;
    while (position < end) {
      if (this.idle) {
        start = position;
        if (chunk[position] === STAR) {
          const after = this.restricted ? -1 : afterRequest(chunk, position, end, mostArguments, longestBulk);
          if (after !== -1) {
            position = after;
            continue;
          }
          this.at = At.Count;
          this.beginNumber();
          position++;
        } else {
          parse(chunk, run, position, requests);
          run = position;
          this.at = At.Inline;
        }
      }
      if (this.at === At.Inline) {
        position = this.followInline(chunk, position, start, requests);
        // With a line complete (or failed) nothing before it is left to parse.
        if (this.idle) run = position;
      } else {
        position = this.follow(chunk, position, end);
        if (this.idle && this.assembled > 0 && this.failure === null) {
          run = position;
          if (this.keep(chunk, start, position)) this.parseAssembly(requests);
        }
      }
      if (this.failure !== null) {
        parse(chunk, run, Math.max(run, start), requests);
        this.forget();
        return requests;
      }
      if (this.restricted && this.idle) {
        parse(chunk, run, position, requests);
        run = position;
        if (requests.length > 0) {
          if (position < end) this.held = chunk.subarray(position);
          return requests;
        }
      }
    }
    if (this.idle) {
      parse(chunk, run, position, requests);
    } else {
      parse(chunk, run, Math.max(run, start), requests);
      if (!this.keep(chunk, start, end)) this.forget();
    }
    return requests;
  }

  /** Between two requests. */
  private get idle(): boolean {
    return this.at === At.Start;
  }

  private get longestBulk(): number {
    const longest = this.limits.protoMaxBulkLen;
    return this.restricted ? Math.min(longest, RESTRICTED_BULK_BYTES) : longest;
  }

  /** Follows a multibulk request to its end, to the end of the chunk or to an error. */
  private follow(chunk: Buffer, from: number, end: number): number {
    let position = from;
    while (position < end) {
      switch (this.at) {
        case At.Body: {
          const step = Math.min(this.bodyLeft, end - position);
          position += step;
          this.bodyLeft -= step;
          if (this.bodyLeft > 0) return position;
          if (--this.argumentsLeft === 0) {
            this.at = At.Start;
            return position;
          }
          this.at = At.Argument;
          break;
        }
        case At.Argument: {
          const byte = chunk[position] as number;
          if (byte !== DOLLAR) return this.fail(`expected '$', got '${String.fromCharCode(byte)}'`, position);
          position++;
          this.at = At.Length;
          this.beginNumber();
          break;
        }
        default:
          position = this.followNumber(chunk, position, end);
          if (this.failure !== null || this.idle) return position;
      }
    }
    return position;
  }

  private beginNumber(): void {
    this.value = 0;
    this.digits = 0;
    this.lineBytes = 1;
    this.negative = false;
    this.wellFormed = true;
    this.sawCr = false;
  }

  /** Reads on in a line that holds a number; its second line-end byte is skipped unseen, as Redis does. */
  private followNumber(chunk: Buffer, from: number, end: number): number {
    let position = from;
    while (position < end && !this.sawCr) {
      const byte = chunk[position++] as number;
      if (byte === CR) this.sawCr = true;
      else this.digit(byte);
      if (++this.lineBytes > MAX_LINE_BYTES && !this.sawCr) {
        return this.fail(this.at === At.Count ? 'too big mbulk count string' : 'too big bulk count string', position);
      }
    }
    if (position === end) return position;
    position++;
    const valid = this.wellFormed && this.digits > 0;
    if (this.at === At.Count) this.beginArguments(valid);
    else this.beginBody(valid);
    return position;
  }

  /** Redis's notion of an integer: no plus, no leading zero, no minus zero. */
  private digit(byte: number): void {
    if (byte === MINUS && this.lineBytes === 1) {
      this.negative = true;
      return;
    }
    const digit = byte - ZERO;
    const leadingZero = this.digits > 0 && this.value === 0;
    if (digit < 0 || digit > 9 || leadingZero || (this.negative && this.digits === 0 && digit === 0)) {
      this.wellFormed = false;
    }
    // Beyond 2^63 a number is malformed for Redis; all limits lie far below.
    if (++this.digits > 19) this.wellFormed = false;
    this.value = this.value * 10 + digit;
  }

  private beginArguments(valid: boolean): void {
    const count = this.negative ? 0 : this.value;
    if (!valid || count > MAX_ARGUMENTS) this.fail('invalid multibulk length', 0);
    else if (this.restricted && count > RESTRICTED_ARGUMENTS) this.fail('unauthenticated multibulk length', 0);
    this.argumentsLeft = count;
    this.at = count === 0 ? At.Start : At.Argument;
  }

  private beginBody(valid: boolean): void {
    if (!valid || this.negative || this.value > this.limits.protoMaxBulkLen) this.fail('invalid bulk length', 0);
    else if (this.restricted && this.value > RESTRICTED_BULK_BYTES) this.fail('unauthenticated bulk length', 0);
    this.bodyLeft = this.value + 2;
    this.at = At.Body;
  }

  private followInline(chunk: Buffer, from: number, start: number, requests: Buffer[][]): number {
    const lineEnd = chunk.indexOf(LF, from);
    const upTo = lineEnd === -1 ? chunk.length : lineEnd;
    if (this.assembled + upTo - start > MAX_LINE_BYTES) return this.fail('too big inline request', upTo);
    if (lineEnd === -1) return upTo;
    let line = chunk.subarray(start, lineEnd);
    if (this.assembled > 0) {
      this.keep(chunk, start, lineEnd);
      line = (this.assembly as Buffer).subarray(0, this.assembled);
      this.forget();
    }
    if (line[line.length - 1] === CR) line = line.subarray(0, -1);
    const words = splitInline(line);
    this.at = At.Start;
    if (words === null) return this.fail('unbalanced quotes in request', lineEnd);
    if (words.length > 0) requests.push(words);
    return lineEnd + 1;
  }

  /** Adds a part of the current request to the assembly, with room for the argument that it is in; false: too long. */
  private keep(chunk: Buffer, from: number, to: number): boolean {
    const needed = this.assembled + to - from;
    const announced = needed + (this.at === At.Body ? this.bodyLeft : 0);
    if (announced > MAX_REQUEST_BYTES) {
      this.fail(`request longer than ${MAX_REQUEST_BYTES} bytes`, to);
      return false;
    }
    if (this.assembly === null || this.assembly.length < needed) {
      const doubled = 2 * (this.assembly?.length ?? 0);
      // An eighth of what is announced, of that an eighth …: the steps up to the whole copy a seventh of it in all.
      let room = announced;
      while (room > needed * ROOM_PER_BYTE) room = Math.ceil(room / ROOM_PER_BYTE);
      const grown = Buffer.allocUnsafeSlow(Math.max(room, Math.min(doubled, MAX_REQUEST_BYTES), SMALLEST_ASSEMBLY));
      this.assembly?.copy(grown, 0, 0, this.assembled);
      this.assembly = grown;
    }
    chunk.copy(this.assembly, this.assembled, from, to);
    this.assembled = needed;
    return true;
  }

  private parseAssembly(requests: Buffer[][]): void {
    const assembly = this.assembly as Buffer;
    const length = this.assembled;
    // The arguments lie in the assembly from now on: it is theirs.
    this.forget();
    parse(assembly, 0, length, requests);
  }

  /** Lets go of what is not complete; the decoder is not used again. */
  drop(): void {
    this.forget();
    this.held = null;
  }

  private forget(): void {
    this.assembly = null;
    this.assembled = 0;
  }

  private fail(what: string, position: number): number {
    this.failure = new CairnError('ERR', `Protocol error: ${what}`);
    return position;
  }
}

/**
 * The guard's fast path: where the request that begins at `from` ends, -1 unless it is in the chunk as a whole and
 * written the plain way. What is refused here is looked at again, and judged, by `follow`.
 */
function afterRequest(chunk: Buffer, from: number, end: number, mostArguments: number, longestBulk: number): number {
  // The shortest line is a type byte, a digit, CR and LF: with four bytes in reach no read is out of bounds.
  if (from + 4 > end) return -1;
  let position = from + 1;
  let byte = chunk[position] as number;
  if (byte <= ZERO || byte > 57) return -1;
  let left = 0;
  do {
    left = left * 10 + byte - ZERO;
    if (++position >= end || left > mostArguments) return -1;
    byte = chunk[position] as number;
  } while (byte >= ZERO && byte <= 57);
  if (byte !== CR) return -1;
  position += 2;
  for (; left > 0; left--) {
    if (position + 4 > end || chunk[position] !== DOLLAR) return -1;
    byte = chunk[++position] as number;
    if (byte < ZERO || byte > 57) return -1;
    let length = 0;
    const first = position;
    do {
      length = length * 10 + byte - ZERO;
      if (++position >= end || length > longestBulk) return -1;
      byte = chunk[position] as number;
    } while (byte >= ZERO && byte <= 57);
    if (byte !== CR || (chunk[first] === ZERO && position > first + 1)) return -1;
    position += 4 + length;
    if (position > end) return -1;
  }
  return position;
}

/**
 * One parser for all connections: it is given complete requests only and keeps nothing between two calls. What it has
 * parsed goes to `sink`.
 */
let sink: Buffer[][] = noRequests;
const parser = new Parser({
  returnBuffers: true,
  returnReply(reply) {
    // *0 and *-1 are no requests.
    if (Array.isArray(reply) && reply.length > 0) sink.push(reply as Buffer[]);
  },
  returnError(error) {
    throw error;
  },
});

function parse(bytes: Buffer, from: number, to: number, requests: Buffer[][]): void {
  if (from === to) return;
  sink = requests;
  try {
    parser.execute(bytes.subarray(from, to));
    if (parser.buffer !== null) throw new Error(`the guard passed an incomplete request of ${to - from} bytes`);
  } finally {
    sink = noRequests;
    if (parser.buffer !== null) parser.reset();
  }
}
