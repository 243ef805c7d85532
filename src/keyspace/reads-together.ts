/**
 * Keys that transactions missed in one pass of the event loop are read together: handing a read to the pool, which wakes one of its
 * threads, costs the event loop more than everything else of a GET.
 *
 *   a pass     a  b b  c  d d d  e          keys, by who waits for them
 *   its end    │ a bb c │ ddd e │           parts, read at once in the pool
 */
import type { Database } from '../engine/types.js';

/** Of fewer keys nobody is helped by another thread. */
const SMALLEST_PART = 8;
/** The pool has four threads by default, and writes need one. */
const MOST_PARTS = 3;

interface Waiting<R> {
  readonly keys: readonly Buffer[];
  readonly resolve: (records: R[]) => void;
  readonly reject: (error: unknown) => void;
}

/** R: what comes of one key. */
export class ReadsTogether<R> {
  private database: Database | null = null;
  private waiting: Waiting<R>[] = [];
  private scheduled = false;

  constructor(private readonly multiGet: (database: Database, keys: Buffer[]) => Promise<R[]>) {}

  /** What multiGet answers for these keys. What fails for others fails for them alone. */
  read(database: Database, keys: readonly Buffer[]): Promise<R[]> {
    if (this.database !== database) {
      this.flush();
      this.database = database;
    }
    const records = new Promise<R[]>((resolve, reject) => this.waiting.push({ keys, resolve, reject }));
    this.schedule();
    return records;
  }

  private schedule(): void {
    if (this.scheduled) return;
    this.scheduled = true;
    setImmediate(() => {
      this.scheduled = false;
      this.flush();
    });
  }

  private flush(): void {
    const { database, waiting } = this;
    this.database = null;
    if (database === null || waiting.length === 0) return;
    this.waiting = [];
    const keys = waiting.reduce((sum, each) => sum + each.keys.length, 0);
    const parts = Math.min(MOST_PARTS, Math.ceil(keys / SMALLEST_PART));
    let part: Waiting<R>[] = [];
    let partKeys = 0;
    for (const each of waiting) {
      part.push(each);
      partKeys += each.keys.length;
      if (partKeys * parts < keys) continue;
      void this.readPart(database, part);
      part = [];
      partKeys = 0;
    }
    if (part.length > 0) void this.readPart(database, part);
  }

  /** Never rejects: whoever waits hears how it went. */
  private async readPart(database: Database, part: readonly Waiting<R>[]): Promise<void> {
    let records: R[];
    try {
      records = await this.multiGet(
        database,
        part.flatMap(({ keys }) => keys),
      );
    } catch (error) {
      // Of several it is not known which one it was.
      if (part.length > 1) await Promise.all(part.map((each) => this.readPart(database, [each])));
      else part[0]?.reject(error);
      return;
    }
    let at = 0;
    for (const { keys, resolve } of part) {
      resolve(records.slice(at, at + keys.length));
      at += keys.length;
    }
  }
}
