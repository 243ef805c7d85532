/**
 * The replies of one connection that cannot leave yet, in order: the first one waits for its write group, the others
 * for it or for groups of their own. A reply without a group waits for its turn alone.
 */
import type { CairnError } from '../base/errors.js';
import { encodeReply } from '../resp/encode.js';
import { Encoded, Fields, MapReply, NO_REPLY, type Reply, SetReply, Verbatim } from '../resp/reply.js';
import type { WriteGroup } from './write-groups.js';

export class ReplyQueue {
  private replies: Reply[] = [];
  private groups: (WriteGroup | null)[] = [];
  private head = 0;
  /** About what the waiting replies will take. */
  bytes = 0;

  get length(): number {
    return this.replies.length - this.head;
  }

  push(reply: Reply, group: WriteGroup | null): void {
    this.replies.push(reply);
    this.groups.push(group);
    this.bytes += weigh(reply);
  }

  /** The next reply that may leave; undefined while there is none. An undurable one is replaced by its group's error. */
  shift(): Reply | undefined {
    if (this.head === this.replies.length) return undefined;
    const group = this.groups[this.head] as WriteGroup | null;
    if (group !== null && !group.settled) return undefined;
    const reply = this.replies[this.head] as Reply;
    this.replies[this.head] = null;
    this.head++;
    this.bytes -= weigh(reply);
    if (this.head === this.replies.length) this.clear();
    else if (this.head >= 4096 && this.head * 2 > this.replies.length) this.compact();
    const error: CairnError | null = group === null ? null : group.error;
    return error === null || reply === NO_REPLY ? reply : error;
  }

  /** What the first reply waits for. */
  get awaited(): WriteGroup | null {
    return this.groups[this.head] ?? null;
  }

  /** Fixes what is waiting in a protocol. */
  encodeAll(protocol: 2 | 3): void {
    for (let at = this.head; at < this.replies.length; at++) {
      const reply = this.replies[at] as Reply;
      if (reply === NO_REPLY) continue;
      const encoded = new Encoded(encodeReply(reply, protocol));
      this.replies[at] = encoded;
      this.bytes += weigh(encoded) - weigh(reply);
    }
  }

  clear(): void {
    this.replies = [];
    this.groups = [];
    this.head = 0;
    this.bytes = 0;
  }

  private compact(): void {
    this.replies = this.replies.slice(this.head);
    this.groups = this.groups.slice(this.head);
    this.head = 0;
  }
}

function weigh(reply: Reply): number {
  if (reply instanceof Encoded) return reply.bytes.length;
  if (Buffer.isBuffer(reply) || typeof reply === 'string') return reply.length + 16;
  if (reply === null || typeof reply !== 'object') return 16;
  if (reply instanceof Verbatim) return reply.text.length + 16;
  if (reply instanceof Fields)
    return Object.values(reply.members).reduce<number>((sum, value) => sum + 32 + weigh(value), 16);
  if (reply instanceof MapReply) return reply.entries.reduce((sum, [, value]) => sum + 32 + weigh(value), 16);
  const items = reply instanceof SetReply ? reply.items : Array.isArray(reply) ? (reply as readonly Reply[]) : null;
  return items === null ? 64 : items.reduce<number>((sum, item) => sum + weigh(item), 16);
}
