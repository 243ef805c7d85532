/**
 * Writers whose restored states prove themselves. A counter remembers between which two moments of the server each value was
 * made; a ring of keys stays one ring, whatever neighbours change places.
 */
import assert from 'node:assert/strict';
import type { Redis } from 'ioredis';
import { openDatabase } from '../../../src/engine/index.js';
import { openKeyspace } from '../../../src/keyspace/open.js';
import { silentLog } from '../../support/log.js';
import type { Random } from './random.js';

export const COUNTERS = 3;
export const RING = 8;
const AT_ONCE = 5;
/** The commit clock gives every commit a microsecond of its own, so it may lead the wall clock, which TIME answers, by a little. */
const LEAD_US = 2000;

interface Step {
  value: number;
  /** Not made before. */
  fromUs: number;
  /** Made by then; null: nobody answered, perhaps it was not made. */
  toUs: number | null;
}

export class Counter {
  readonly key: string;
  /** By timeline: a restore in place begins the next one. */
  readonly #steps: Step[][] = [[]];
  /** What each timeline began with. */
  readonly #begins: number[] = [0];
  #last = 0;

  constructor(at: number) {
    this.key = `counter:${at}`;
  }

  get last(): number {
    return this.#last;
  }

  /** Steps of the newest timeline. */
  get steps(): readonly Step[] {
    return this.#steps.at(-1) as Step[];
  }

  moments(timeline: number): number[] {
    return (this.#steps[timeline - 1] ?? []).flatMap(({ fromUs, toUs }) => (toUs === null ? [fromUs] : [fromUs, toUs]));
  }

  /** Counts until told to stop, or until the server is gone. */
  async run(client: Redis, isOver: () => boolean): Promise<void> {
    while (!isOver()) {
      const pipeline = client.pipeline();
      for (let i = 0; i < AT_ONCE; i += 1) pipeline.time().incr(this.key).time();
      const sentUs = Date.now() * 1000;
      const answers = (await pipeline.exec().catch(() => null)) ?? [];
      let predicted = this.#last;
      for (let i = 0; i < AT_ONCE; i += 1) {
        const [before, made, after] = answers.slice(i * 3, i * 3 + 3);
        if (made?.[0] instanceof Error && /^LOADING/.test(made[0].message)) continue;
        const isAnswered = made !== undefined && made[0] === null;
        predicted = isAnswered ? Number(made[1]) : predicted + 1;
        const [fromUs, toUs] = [timeUs(before) ?? sentUs, isAnswered ? timeUs(after) : null];
        this.#note({ value: predicted, fromUs, toUs }, isAnswered);
      }
      if (answers.length === 0 || answers.some(([error]) => error !== null && !/^LOADING/.test(error.message))) return;
    }
  }

  #note(step: Step, isAnswered: boolean): void {
    if (isAnswered && step.value <= this.#last) {
      this.#begins.push(step.value - 1);
      this.#steps.push([]);
    }
    this.#steps.at(-1)?.push(step);
    if (isAnswered) this.#last = step.value;
  }

  /** After a restart: nothing that was answered is missing, nothing is there that was not sent. */
  found(value: number): void {
    const sent = Math.max(this.#last, ...this.steps.map((step) => step.value));
    assert.ok(value >= this.#last && value <= sent, `${this.key} is ${value}: answered ${this.#last}, sent ${sent}`);
    const kept = this.steps.filter((step) => step.value <= value);
    this.#steps[this.#steps.length - 1] = kept;
    this.#last = value;
  }

  /** A state at this moment holds a value that was sent by then, and none older than what was answered before. */
  require(value: number, timeline: number, us: number, what: string): void {
    const steps = this.#steps[timeline - 1] ?? [];
    const begin = this.#begins[timeline - 1] ?? 0;
    const least = steps.filter(({ toUs }) => toUs !== null && toUs + LEAD_US <= us).map((step) => step.value);
    const most = steps.filter(({ fromUs }) => fromUs <= us).map((step) => step.value);
    const [low, high] = [Math.max(begin, ...least), Math.max(begin, ...most)];
    assert.ok(value >= low && value <= high, `${what}: ${this.key} is ${value}, it has to be ${low} to ${high}`);
  }
}

function timeUs(answer: [Error | null, unknown] | undefined): number | null {
  if (answer === undefined || answer[0] !== null) return null;
  const [seconds, us] = (answer[1] as (string | number)[]).map(Number);
  return (seconds ?? 0) * 1_000_000 + (us ?? 0);
}

const ringKey = (at: number | string): string => `ring:${at}`;

export async function makeRing(client: Redis): Promise<void> {
  const multi = client.multi();
  for (let at = 0; at < RING; at += 1) multi.set(ringKey(at), String((at + 1) % RING));
  await multi.exec();
}

/** Lets neighbours change places, until told to stop or until the server is gone. Answers how often it did. */
export async function turnRing(client: Redis, random: Random, isOver: () => boolean): Promise<number> {
  let turns = 0;
  try {
    while (!isOver()) {
      const keys = Array.from({ length: RING }, (_, at) => ringKey(at));
      await client.watch(...keys);
      const next = (await client.mget(...keys)).map(Number);
      const a = random.int(RING);
      const b = next[a] as number;
      const c = next[b] as number;
      const d = next[c] as number;
      const multi = client.multi();
      multi.set(ringKey(a), String(c)).set(ringKey(c), String(b)).set(ringKey(b), String(d));
      if ((await multi.exec()) !== null) turns += 1;
    }
  } catch (error) {
    if (error instanceof Error && /LOADING|EXECABORT/.test(error.message))
      return turns + (await turnRing(client, random, isOver));
  }
  return turns;
}

function requireRing(next: readonly (string | null)[], what: string): void {
  let at = 0;
  const seen = new Set<number>();
  for (let i = 0; i < RING; i += 1) {
    seen.add(at);
    at = Number(next[at] ?? Number.NaN);
  }
  assert.ok(at === 0 && seen.size === RING, `${what}: one ring of ${RING}: ${next.join(' ')}`);
}

export interface Restored {
  counters: number[];
}

/** What a restored directory holds; its ring is one. */
export async function readRestored(path: string, what: string): Promise<Restored> {
  const database = await openDatabase(path, { createIfMissing: false });
  const keyspace = await openKeyspace({
    ...{ database, kind: 'native', timeline: 1, clockFloorUs: 0, durability: () => 'no', expire: false },
    ...{ log: silentLog(), wallClock: { nowUs: () => 0 } },
  });
  try {
    const read = async (key: string): Promise<string | null> => {
      const { value } = await keyspace.execute((tx) => tx.get(0, Buffer.from(key)));
      return value?.bytes.toString() ?? null;
    };
    const ring = await Promise.all(Array.from({ length: RING }, (_, at) => read(ringKey(at))));
    requireRing(ring, what);
    const counters = await Promise.all(Array.from({ length: COUNTERS }, (_, at) => read(`counter:${at}`)));
    return { counters: counters.map(Number) };
  } finally {
    await keyspace.close();
  }
}

export async function requireLive(client: Redis, counters: readonly Counter[], what: string): Promise<void> {
  requireRing(await client.mget(...Array.from({ length: RING }, (_, at) => ringKey(at))), what);
  for (const counter of counters) counter.found(Number(await client.get(counter.key)));
}
