/**
 * What ACL LOG shows: requests and logins that were refused, the newest first. Equal ones within a minute are one entry
 * with a count. Bounded in entries and in the bytes of each: a refused key may be long.
 */
export type DeniedReason = 'command' | 'key' | 'auth';
export type DeniedContext = 'toplevel' | 'multi';

export interface Denied {
  reason: DeniedReason;
  context: DeniedContext;
  /** The command's name, the key, or the command that was to log in. */
  object: Buffer;
  user: string;
  /** The client as CLIENT LIST shows it, when it happened. */
  client: string;
}

export interface DeniedEntry extends Denied {
  count: number;
  atMs: number;
}

const mergeWithinMs = 60_000;
/** So many entries are looked at for an equal one. */
const mergeDepth = 10;
const longestObjectBytes = 256;

export class Denials {
  private entries: DeniedEntry[] = [];

  /** `maxEntries` is read at each use, so that a change of the setting holds at once. */
  constructor(private readonly maxEntries: () => number) {}

  add(denied: Denied, nowMs: number = Date.now()): void {
    const object = Buffer.from(denied.object.subarray(0, longestObjectBytes));
    const user = denied.user.slice(0, longestObjectBytes);
    const entry: DeniedEntry = { ...denied, object, user, count: 1, atMs: nowMs };
    const at = this.entries.slice(0, mergeDepth).findIndex((old) => isSame(old, entry));
    if (at >= 0) entry.count += (this.entries.splice(at, 1)[0] as DeniedEntry).count;
    this.entries = [entry, ...this.entries].slice(0, this.maxEntries());
  }

  newest(count: number): readonly DeniedEntry[] {
    return this.entries.slice(0, count);
  }

  clear(): void {
    this.entries = [];
  }
}

function isSame(a: DeniedEntry, b: DeniedEntry): boolean {
  return (
    a.reason === b.reason &&
    a.context === b.context &&
    a.user === b.user &&
    Math.abs(a.atMs - b.atMs) <= mergeWithinMs &&
    a.object.equals(b.object)
  );
}
