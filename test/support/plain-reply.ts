/** A reply as a RESP2 client sees it: maps flat, sets as arrays, text as strings. */
import {
  Double,
  Encoded,
  Fields,
  MapReply,
  NullArray,
  type Reply,
  SetReply,
  Simple,
  Verbatim,
} from '../../src/resp/reply.js';

export function plainReply(reply: Reply): unknown {
  if (Array.isArray(reply)) return reply.map(plainReply);
  if (reply instanceof MapReply) return reply.entries.flatMap(([name, value]) => [plainReply(name), plainReply(value)]);
  if (reply instanceof Fields) return Object.entries(reply.members).flat();
  if (reply instanceof SetReply) return reply.items.map(plainReply);
  if (reply instanceof Simple || reply instanceof Verbatim) return reply.text;
  if (reply instanceof Double) return String(reply.value);
  if (reply instanceof NullArray) return null;
  if (reply instanceof Encoded) return reply.bytes.toString().trimEnd();
  if (Buffer.isBuffer(reply)) return reply.toString();
  return reply;
}
