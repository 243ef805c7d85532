/**
 * The Counter and the Ring: three pipelined counters and two ring writers under a built server that backs up, is killed or
 * stopped, and restored in place once. Every state that comes back is exactly right for its moment.
 */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import type { Redis } from 'ioredis';
import t, { type Test } from 'tap';
import { formatTime, parseTime } from '../../src/base/time.js';
import { admin } from '../support/admin.js';
import { type Server, startServer } from '../support/built-server.js';
import { scratch } from '../support/scratch.js';
import { waitFor } from '../support/wait.js';
import { COUNTERS, Counter, makeRing, readRestored, requireLive, turnRing } from './support/counter-ring.js';
import { again, Random, seeds } from './support/random.js';

const ROUNDS = 3;
const COUNTS = 120;
const CHECKS = 8;

interface Moment {
  words: string[];
  timeline: number;
  us: number;
}

interface Window {
  timeline: number;
  from: string;
  to: string;
  gaps: unknown[];
}

class Drill {
  readonly #t: Test;
  readonly #random: Random;
  readonly #dir: string;
  readonly #counters = Array.from({ length: COUNTERS }, (_, at) => new Counter(at));
  /** Backups and tags. */
  readonly #named: Moment[] = [];
  #timeline = 1;

  constructor(t: Test, seed: number) {
    this.#t = t;
    this.#random = new Random(seed);
    this.#dir = scratch(t);
  }

  #start(): Promise<Server> {
    // The server refuses settings that it does not know.
    return startServer(this.#t, { dir: this.#dir, env: { CAIRN_SEED: undefined, CAIRN_RUNS: undefined } });
  }

  async run(): Promise<void> {
    for (let round = 0; round < ROUNDS; round += 1) {
      const server = await this.#start();
      const client = await server.client();
      if (round === 0) {
        await makeRing(client);
        for (const { key } of this.#counters) await client.set(key, '0');
        await this.#create(client, 'full');
      } else {
        await requireLive(client, this.#counters, `after round ${round}`);
        await this.#check(client);
      }
      await this.#write(server, client, round === 1);
      if (this.#random.once(2)) await server.kill9();
      else await server.stop();
      await Promise.all(this.#writing);
    }
    const server = await this.#start();
    const client = await server.client();
    await requireLive(client, this.#counters, 'in the end');
    await this.#check(client);
    await server.stop();
  }

  #writing: Promise<unknown>[] = [];

  /** Writers and an operator, until every counter has counted enough; they still write when the server ends. */
  async #write(server: Server, client: Redis, restores: boolean): Promise<void> {
    const goOn = () => false;
    this.#writing = [];
    for (const counter of this.#counters) this.#writing.push(counter.run(await server.client(), goOn));
    for (let i = 0; i < 2; i += 1) this.#writing.push(turnRing(await server.client(), this.#random, goOn));
    await this.#counted(COUNTS / 2);
    await this.#operate(client);
    if (restores) await this.#restoreInPlace(client);
    await this.#counted(COUNTS / 2);
    await this.#operate(client);
    await this.#counted(COUNTS / 2);
  }

  async #counted(more: number): Promise<void> {
    const before = this.#counters.map(({ steps }) => steps);
    const counts = before.map((steps) => steps.length);
    await waitFor(
      () =>
        this.#counters.every(({ steps }, i) => steps.length > (steps === before[i] ? (counts[i] as number) : 0) + more),
      { what: `${more} more of each counter`, timeoutMs: 60_000 },
    );
  }

  async #operate(client: Redis): Promise<void> {
    const type = this.#random.pick(['full', 'incremental', 'differential', 'auto']);
    await this.#create(client, type);
    const name = `tag-${this.#named.length}`;
    const tag = await admin<{ timestamp: string; timeline: number }>(client, 'TAG', name);
    this.#named.push({ words: ['LATEST', 'TAG', name], timeline: tag.timeline, us: parseTime(tag.timestamp).us });
  }

  async #create(client: Redis, type: string): Promise<void> {
    const words = type === 'full' ? [] : [type.toUpperCase()];
    const { id, timestamp, timeline } = await admin<{ id: number; timestamp: string; timeline: number }>(
      client,
      'CREATE',
      ...words,
    );
    this.#named.push({ words: [String(id)], timeline, us: parseTime(timestamp).us });
  }

  /** To a moment well before: every counter steps back, and is seen to. */
  async #restoreInPlace(client: Redis): Promise<void> {
    const [first] = this.#counters;
    const moments = first?.moments(this.#timeline) ?? [];
    const us = moments[Math.floor(moments.length / 2)] ?? 0;
    const answer = await admin<{ timeline_new: number }>(client, 'RESTORE', 'LATEST', 'AT', formatTime(us));
    this.#timeline = answer.timeline_new;
    assert.equal(this.#timeline, 2);
  }

  async #check(client: Redis): Promise<void> {
    const { windows } = await admin<{ windows: Window[] }>(client, 'WINDOW');
    const moments: Moment[] = [this.#random.pick(this.#named), this.#random.pick(this.#named)];
    for (const { timeline, from, to, gaps } of windows) {
      assert.deepEqual(gaps, [], `timeline ${timeline} has no gap: nothing was lost`);
      const [fromUs, toUs] = [parseTime(from).us, parseTime(to).us];
      const inside = this.#counters
        .flatMap((counter) => counter.moments(timeline))
        .filter((us) => us >= fromUs && us <= toUs);
      for (let i = 0; i < CHECKS / windows.length && inside.length > 0; i += 1) {
        const us = this.#random.pick(inside) + this.#random.int(3) - 1;
        if (us < fromUs || us > toUs) continue;
        moments.push({ words: ['LATEST', 'AT', formatTime(us), 'TIMELINE', String(timeline)], timeline, us });
      }
    }
    for (const { words, timeline, us } of moments) {
      const { target } = await admin<{ target: string }>(client, 'RESTORE', ...words, 'TO', 'checked');
      const what = words.join(' ');
      const { counters } = await readRestored(target, what);
      for (const [i, counter] of this.#counters.entries()) {
        counter.require(counters[i] as number, timeline, us, what);
      }
      rmSync(target, { recursive: true });
    }
  }
}

t.setTimeout(0);

t.test('a ring stays one ring and a counter is right for its moment, in every state that comes back', async (t) => {
  t.setTimeout(0);
  const { first, runs } = seeds();
  for (let run = 0; run < (runs ?? 1); run += 1) {
    const seed = first + run;
    try {
      await new Drill(t, seed).run();
    } catch (error) {
      t.comment(again('counter-ring.test', seed));
      throw error;
    }
  }
  t.pass(`from seed ${first}`);
});
