/**
 * Keys that transactions missed in one pass of the event loop are read together: handing a read to the pool, which wakes one of its
 * threads, costs the event loop more than everything else of a GET.
 *
 *   a pass     a  b b  c  d d d  e          keys, by who waits for them
 *   its end    │ a bb c │ ddd e │           calls, at once in the pool
 */
import type { Database } from '../engine/types.js';

/** Of fewer keys nobody is helped by another thread. */
const SMALLEST_CALL = 8;

interface Waiting<R> {
  readonly database: Database;
  readonly keys: readonly Buffer[];
  readonly resolve: (records: R[] | null) => void;
  readonly reject: (error: unknown) => void;
  state: 'waits' | 'is read' | 'withdrawn';
}

export interface Asked<R> {
  /** null: withdrawn. */
  readonly records: Promise<R[] | null>;
  /** Nothing is read for it, unless that has begun. */
  withdraw(): void;
}

export interface ReadsTogetherOptions {
  /** Into so many calls a pass is divided. The pool has four threads by default, and writes need some of them as well. */
  calls: number;
  /** What comes while so many calls run waits for one of them to end. */
  running?: number;
  /** Keys of a call, about. */
  keys?: number;
}

/** R: what comes of one key. */
export class ReadsTogether<R> {
  private waiting: Waiting<R>[] = [];
  private scheduled = false;
  private running = 0;

  constructor(
    private readonly multiGet: (database: Database, keys: Buffer[]) => Promise<R[]>,
    private readonly options: ReadsTogetherOptions,
  ) {}

  /** What multiGet answers for these keys. What fails for others fails for them alone. */
  async read(database: Database, keys: readonly Buffer[]): Promise<R[]> {
    return (await this.ask(database, keys).records) ?? [];
  }

  ask(database: Database, keys: readonly Buffer[]): Asked<R> {
    let withdraw = (): void => {};
    const records = new Promise<R[] | null>((resolve, reject) => {
      const waiting: Waiting<R> = { database, keys, resolve, reject, state: 'waits' };
      this.waiting.push(waiting);
      withdraw = () => {
        if (waiting.state !== 'waits') return;
        waiting.state = 'withdrawn';
        resolve(null);
      };
    });
    if (!this.scheduled) {
      this.scheduled = true;
      setImmediate(() => {
        this.scheduled = false;
        this.flush();
      });
    }
    return { records, withdraw };
  }

  private flush(): void {
    const { calls, running = Number.MAX_SAFE_INTEGER, keys = Number.MAX_SAFE_INTEGER } = this.options;
    this.waiting = this.waiting.filter(({ state }) => state === 'waits');
    const total = this.waiting.reduce((sum, each) => sum + each.keys.length, 0);
    const share = Math.min(keys, Math.max(SMALLEST_CALL, Math.ceil(total / calls)));
    let at = 0;
    while (at < this.waiting.length && this.running < running) {
      const part = this.part(at, share);
      at += part.length;
      void this.call(part);
    }
    this.waiting = this.waiting.slice(at);
  }

  /** Who is served by one call: so many keys, of one database. */
  private part(from: number, share: number): Waiting<R>[] {
    const database = this.waiting[from]?.database;
    let keys = 0;
    let to = from;
    while (keys < share && this.waiting[to]?.database === database && to < this.waiting.length) {
      keys += (this.waiting[to] as Waiting<R>).keys.length;
      to++;
    }
    return this.waiting.slice(from, to);
  }

  private async call(part: readonly Waiting<R>[]): Promise<void> {
    this.running++;
    for (const each of part) each.state = 'is read';
    await this.readPart(part);
    this.running--;
    if (this.waiting.length > 0 && !this.scheduled) this.flush();
  }

  /** Never rejects: whoever waits hears how it went. */
  private async readPart(part: readonly Waiting<R>[]): Promise<void> {
    let records: R[];
    try {
      records = await this.multiGet(
        (part[0] as Waiting<R>).database,
        part.flatMap(({ keys }) => keys),
      );
    } catch (error) {
      // Of several it is not known which one it was.
      if (part.length > 1) await Promise.all(part.map((each) => this.readPart([each])));
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
