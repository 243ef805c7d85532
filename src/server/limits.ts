/**
 * What one client may make the server hold, and all of them together.
 *
 * Output that a client does not read waits in memory. From a certain amount on its further requests wait too, which is
 * kinder than cutting it off; but a client that sends a whole pipeline before it reads an answer would wait for ever,
 * so the amount is generous for one client and small when many do it. Beyond the hard limit (one huge reply, or a
 * lower limit by configuration) the client is cut off, as it is when nothing moves for a minute.
 */

/** Commands without an answer, of one client, before its further ones wait. */
export const PENDING_REPLIES = 20_000;
/** Bytes of output of one client before its further commands wait … */
export const OUTPUT_PAUSE_BYTES = 256 * 1024 * 1024;
/** … and once all clients together have this much, … */
export const TOTAL_OUTPUT_PAUSE_BYTES = 512 * 1024 * 1024;
/** … of those that have at least this much themselves. */
export const CROWDED_OUTPUT_PAUSE_BYTES = 1024 * 1024;
/** Nobody may have more unread output than this, whatever is configured. */
export const OUTPUT_HARD_LIMIT_BYTES = 1024 * 1024 * 1024;
/** Encoded replies are handed to the socket from this amount on, also in the middle of a turn. */
export const SEND_AT_BYTES = 256 * 1024;
/** Replies of one turn up to this amount leave with those of the other connections. */
export const SENT_TOGETHER_BYTES = 16 * 1024;
/** A client that has to read before anything goes on, and reads nothing for this long, is cut off. */
export const OUTPUT_STALL_MS = 60_000;

/** Unread replies of a client that is not authenticated; beyond, it is cut off. */
export const STRANGER_OUTPUT_BYTES = 16 * 1024;

/** What all connections together hold. */
export class OutputBudget {
  totalBytes = 0;

  /** Whether a connection with so much output has to wait before it makes more. */
  exhausted(ownBytes: number): boolean {
    if (ownBytes <= CROWDED_OUTPUT_PAUSE_BYTES) return false;
    return ownBytes > OUTPUT_PAUSE_BYTES || this.totalBytes > TOTAL_OUTPUT_PAUSE_BYTES;
  }
}
