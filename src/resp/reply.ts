/**
 * What a command answers, before it is bytes. Plain JavaScript values stand for themselves; the few RESP
 * shapes that JavaScript lacks have a class here.
 *
 *   null            nil                       ($-1 / _)        use `nullArray` for *-1
 *   number, bigint  integer                   (:)
 *   string, Buffer  bulk string               ($)              a string is UTF-8
 *   boolean         :1 / :0 in RESP2          (#t / #f)
 *   Reply[]         array                     (*)
 *   Simple          simple string             (+)
 *   MapReply        flat array in RESP2       (%)
 *   SetReply        array in RESP2            (~)
 *   Verbatim        bulk string in RESP2      (=)
 *   Double          bulk string in RESP2      (,)
 *   CairnError      error line                (-)
 *   Encoded         bytes that are already RESP, same in both versions (constants on hot paths)
 */
import type { CairnError } from '../base/errors.js';

export class Simple {
  constructor(readonly text: string) {}
}
export class MapReply {
  constructor(readonly entries: ReadonlyArray<readonly [Reply, Reply]>) {}
}
/** The same as a MapReply of an object's members, in their order, and nothing made of it: for answers of ten thousand structures. */
export class Fields {
  constructor(readonly members: Readonly<Record<string, null | number | string>>) {}
}
export class SetReply {
  constructor(readonly items: readonly Reply[]) {}
}
export class Verbatim {
  /** format: three letters, e.g. 'txt'. */
  constructor(
    readonly format: string,
    readonly text: string,
  ) {}
}
export class Double {
  constructor(readonly value: number) {}
}
export class Encoded {
  constructor(readonly bytes: Buffer) {}
}
export class NullArray {}

export type Reply =
  | null
  | number
  | bigint
  | string
  | boolean
  | Buffer
  | Simple
  | MapReply
  | Fields
  | SetReply
  | Verbatim
  | Double
  | Encoded
  | NullArray
  | CairnError
  | readonly Reply[];

export const OK = new Encoded(Buffer.from('+OK\r\n'));
export const QUEUED = new Encoded(Buffer.from('+QUEUED\r\n'));
/** Nothing at all: what CLIENT REPLY makes of a reply. */
export const NO_REPLY = new Encoded(Buffer.alloc(0));
export const nullArray = new NullArray();

/** A structure: a map in RESP3, a flat field/value array in RESP2; undefined values become null. */
export function record(fields: Record<string, Reply | undefined>): MapReply {
  return new MapReply(Object.entries(fields).map(([name, value]) => [name, value ?? null]));
}
