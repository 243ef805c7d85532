/**
 * FORMAT JSON: a reply as one JSON text. Maps keep the order of their fields, yes/no is 1/0 as everywhere, bytes are
 * read as UTF-8, absent is null. Numbers that JSON has no form for (NaN, infinities) become text.
 */
import { CairnError } from '../base/errors.js';
import { Double, Encoded, Fields, MapReply, NullArray, type Reply, SetReply, Simple, Verbatim } from '../resp/reply.js';

/** What a command answers when FORMAT JSON was asked for: a verbatim string in RESP3, a bulk string in RESP2. */
export function jsonReply(reply: Reply): Reply {
  return reply instanceof CairnError ? reply : new Verbatim('txt', toJson(reply));
}

export function toJson(reply: Reply): string {
  if (reply === null || reply instanceof NullArray) return 'null';
  if (typeof reply === 'boolean') return reply ? '1' : '0';
  if (typeof reply === 'bigint') return reply.toString();
  if (typeof reply === 'number') return number(reply);
  if (reply instanceof Double) return number(reply.value);
  if (reply instanceof MapReply) {
    return `{${reply.entries.map(([name, value]) => `${JSON.stringify(plainText(name))}:${toJson(value)}`).join(',')}}`;
  }
  if (reply instanceof Fields) {
    const isPlain = Object.values(reply.members).every((value) => typeof value !== 'number' || Number.isFinite(value));
    if (isPlain) return JSON.stringify(reply.members);
    return toJson(new MapReply(Object.entries(reply.members)));
  }
  if (reply instanceof SetReply) return list(reply.items);
  if (reply instanceof Encoded) return encoded(reply.bytes);
  if (isList(reply)) return list(reply);
  return JSON.stringify(plainText(reply));
}

function plainText(reply: Reply): string {
  if (typeof reply === 'string') return reply;
  if (Buffer.isBuffer(reply)) return reply.toString('utf8');
  if (reply instanceof Simple || reply instanceof Verbatim) return reply.text;
  if (reply instanceof CairnError) return reply.line;
  return toJson(reply);
}

function number(value: number): string {
  return Number.isFinite(value) ? JSON.stringify(value) : JSON.stringify(String(value));
}

function list(items: readonly Reply[]): string {
  return `[${items.map(toJson).join(',')}]`;
}

function isList(reply: Reply): reply is readonly Reply[] {
  return Array.isArray(reply);
}

/** Encoded replies are one-line constants: a status, or an integer. */
function encoded(bytes: Buffer): string {
  const line = bytes.toString('utf8').trimEnd();
  if (line.startsWith(':')) return line.slice(1);
  return JSON.stringify(line.startsWith('+') ? line.slice(1) : line);
}
