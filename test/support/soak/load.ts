/**
 * Those who write: model writers, whose commits make the history, counters that only count, as fast as they are answered, and
 * ring writers that let neighbours change places under WATCH. They go on until they are told to stop or the server is gone.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import type { Random } from '../../property/support/random.js';
import { type Commit, counterKeys, type History, RING, randomCommands, ringKey, wordsOf } from './history.js';
import type { Line } from './line.js';
import { isGone, Violation } from './violation.js';

const MAX_BATCH = 6;
/** How long a writer rests between two batches at most: a soak is about hours, not about load. */
const MAX_REST_MS = 25;

export interface Load {
  /** Writers hold still from when this resolves until `resume()`. */
  pause(): Promise<void>;
  resume(): void;
  stop(): Promise<void>;
}

interface Tools {
  client: () => Promise<Redis>;
  history: History;
  line: Line;
  random: (role: string) => Random;
  /** What ended a writer that was not told to. */
  failed: (error: unknown) => void;
}

export async function startLoad(tools: Tools): Promise<Load> {
  const gate = new Gate();
  const roles: Promise<void>[] = [];
  const begin = (name: string, write: (client: Redis, random: Random) => Promise<void>, client: Redis): void => {
    const random = tools.random(name);
    const run = async (): Promise<void> => {
      while (await gate.enter()) {
        try {
          await write(client, random);
        } finally {
          gate.leave();
        }
        await delay(random.int(MAX_REST_MS));
      }
    };
    roles.push(
      run().catch((error: unknown) => {
        if (!isGone(error)) tools.failed(error);
      }),
    );
  };
  for (const name of ['model-0', 'model-1']) {
    begin(name, (client, random) => commitSome(client, random, tools), await tools.client());
  }
  begin('counters', countOn, await tools.client());
  begin('ring-0', turnRing, await tools.client());
  begin('ring-1', turnRing, await tools.client());
  return {
    pause: () => gate.close(),
    resume: () => gate.open(),
    async stop() {
      gate.end();
      await Promise.all(roles);
    },
  };
}

/** Lets writers in, one batch at a time each, and waits until all are out. */
class Gate {
  #isOpen = true;
  #isOver = false;
  #inside = 0;
  #changed: (() => void)[] = [];

  async enter(): Promise<boolean> {
    while (!this.#isOpen && !this.#isOver) await this.#change();
    if (this.#isOver) return false;
    this.#inside += 1;
    return true;
  }

  leave(): void {
    this.#inside -= 1;
    this.#tell();
  }

  async close(): Promise<void> {
    this.#isOpen = false;
    while (this.#inside > 0) await this.#change();
  }

  open(): void {
    this.#isOpen = true;
    this.#tell();
  }

  end(): void {
    this.#isOver = true;
    this.#tell();
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#changed.push(resolve);
    });
  }

  #tell(): void {
    for (const resolve of this.#changed.splice(0)) resolve();
  }
}

async function commitSome(client: Redis, random: Random, tools: Tools): Promise<void> {
  const count = 1 + random.int(MAX_BATCH);
  if (random.once(400)) return commit(client, tools, [{ kind: 'flush-all' }]);
  const commits = Array.from({ length: count }, () => commit(client, tools, randomCommands(random, Date.now())));
  // Every one is waited for, also when one fails: what was answered is noted.
  const ends = await Promise.allSettled(commits);
  for (const end of ends) if (end.status === 'rejected') throw end.reason;
}

/** One commit, from the plan to what the reply says about where it stands. */
export async function commit(
  client: Redis,
  { history, line }: Pick<Tools, 'history' | 'line'>,
  commands: Commit['commands'],
): Promise<void> {
  const sent = history.plan(commands, Date.now() * 1000);
  const { words, idAt, countersAt } = wordsOf(sent);
  const before = { durability: line.durability, timeline: line.timeline };
  let replies: [Error | null, unknown][] | null;
  try {
    replies = await client.multi(words).exec();
  } catch (error) {
    if (isGone(error)) throw error;
    // Not one of its commands was run.
    history.refused(sent);
    if (isLoading(error)) return;
    throw new Violation(`a commit was refused: ${error}`, { cause: error });
  }
  const failed = replies?.find(([error]) => error !== null)?.[0];
  if (replies === null || failed != null) throw new Violation(`a commit was done in part: ${failed}`);
  const replyAt = (at: number): unknown => replies[at]?.[1];
  sent.ackedUs = Date.now() * 1000 + 999;
  sent.durability = line.durability === before.durability ? before.durability : null;
  sent.timeline = line.timeline === before.timeline ? before.timeline : null;
  sent.counters = (replyAt(countersAt) as (string | null)[]).map(Number);
  history.place(sent.id, Number(replyAt(idAt) ?? 0));
  line.acknowledged(sent);
}

/** LOADING, or a transaction that was aborted because of it. */
function isLoading(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { previousErrors = [] } = error as Error & { previousErrors?: Error[] };
  const causes = /^EXECABORT /.test(error.message) ? previousErrors : [error];
  return causes.length > 0 && causes.every(({ message }) => /^LOADING /.test(message));
}

async function countOn(client: Redis): Promise<void> {
  const pipeline = client.pipeline();
  for (let i = 0; i < 4; i += 1) for (const key of counterKeys) pipeline.incr(key);
  for (const [error] of (await pipeline.exec()) ?? []) {
    if (error !== null && !/^LOADING /.test(error.message)) throw error;
  }
}

async function turnRing(client: Redis, random: Random): Promise<void> {
  try {
    const keys = Array.from({ length: RING }, (_, at) => ringKey(at));
    await client.watch(...keys);
    const next = (await client.mget(...keys)).map(Number);
    const a = random.int(RING);
    const b = next[a] as number;
    const c = next[b] as number;
    const d = next[c] as number;
    await client.multi().set(ringKey(a), String(c)).set(ringKey(c), String(b)).set(ringKey(b), String(d)).exec();
  } catch (error) {
    if (!isLoading(error)) throw error;
  }
}
