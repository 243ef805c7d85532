/** A whole state, read from a server or from a restored directory, and held to the history. */
import type { Redis } from 'ioredis';
import { openDatabase } from '../../../src/engine/index.js';
import { openKeyspace } from '../../../src/keyspace/open.js';
import { silentLog } from '../log.js';
import {
  type Content,
  compactText,
  counterKeys,
  type History,
  parentKey,
  RING,
  ringKey,
  type Value,
} from './history.js';
import { Violation } from './violation.js';

const DATABASES = 16;

export interface State {
  content: Content;
  counters: number[];
  /** Keys whose time had come by then may be there or not. */
  expiredByMs: number;
}

/** What is served; nobody may write meanwhile. */
export async function readLive(client: Redis): Promise<State> {
  const all: Content = new Map();
  for (let database = 0; database < DATABASES; database += 1) {
    await client.select(database);
    for (const key of await scanAll(client)) {
      const [bytes, expiresAtMs] = await Promise.all([client.getBuffer(key), client.pexpiretime(key)]);
      if (bytes === null || expiresAtMs === -2) continue; // it expired before the one or the other
      all.set(`${database} ${key}`, { text: compactText(bytes), expiresAtMs: expiresAtMs === -1 ? null : expiresAtMs });
    }
  }
  await client.select(0);
  return stateOf(all, Date.now(), 'the live state');
}

async function scanAll(client: Redis): Promise<string[]> {
  const keys: string[] = [];
  let cursor = '0';
  do {
    const [next, page] = await client.scan(cursor, 'COUNT', 1000);
    keys.push(...page);
    cursor = next;
  } while (cursor !== '0');
  return keys;
}

/** What a directory that RESTORE … TO made holds, with its own word on how many keys that is. */
export async function readRestored(path: string, what: string): Promise<State> {
  const database = await openDatabase(path, { createIfMissing: false });
  const keyspace = await openKeyspace({
    ...{ database, kind: 'native', timeline: 1, clockFloorUs: 0, durability: () => 'no', expire: false },
    ...{ log: silentLog(), wallClock: { nowUs: () => 0 } },
  });
  try {
    const all: Content = new Map();
    for (let at = 0; at < DATABASES; at += 1) {
      const everything = { database: at, after: null, prefix: Buffer.alloc(0), limit: 1_000_000, accept: () => true };
      const { keys } = await keyspace.scan(everything);
      const counted = keyspace.position.keyCounts[at] ?? 0;
      if (keys.length !== counted)
        throw new Violation(`${what}: database ${at} has ${keys.length} keys, it says ${counted}`);
      let expiring = 0;
      for (const key of keys) {
        const { value } = await keyspace.execute((tx) => tx.get(at, key));
        if (value === null || value === undefined) throw new Violation(`${what}: ${key} is counted and is not there`);
        all.set(`${at} ${key}`, { text: compactText(Buffer.from(value.bytes)), expiresAtMs: value.expiresAtMs });
        if (value.expiresAtMs !== null) expiring += 1;
      }
      const said = keyspace.position.expiryCounts?.[at];
      if (said !== expiring)
        throw new Violation(`${what}: ${expiring} keys of database ${at} have an expiry, it says ${said}`);
    }
    return stateOf(all, Math.floor(keyspace.position.lastCommitUs / 1000), what);
  } finally {
    await keyspace.close();
  }
}

/** Takes ring and counters out: the ring is one, whatever the state. */
function stateOf(all: Content, expiredByMs: number, what: string): State {
  const take = (key: string): number => {
    const text = all.get(`0 ${key}`)?.text;
    all.delete(`0 ${key}`);
    return text === undefined ? Number.NaN : Number(text);
  };
  const ring = Array.from({ length: RING }, (_, at) => take(ringKey(at)));
  const counters = counterKeys.map(take);
  requireRing(ring, what);
  return { content: all, counters, expiredByMs };
}

function requireRing(next: readonly number[], what: string): void {
  let at = 0;
  const seen = new Set<number>();
  for (let i = 0; i < RING; i += 1) {
    seen.add(at);
    at = next[at] ?? Number.NaN;
  }
  if (at !== 0 || seen.size !== RING) throw new Violation(`${what}: no ring of ${RING}: ${next.join(' ')}`);
}

/**
 * The state is one that existed: the one after the commit that it names, key by key, and its counters are none that came
 * before that commit or after the next one. Answers the commit; `head` is what a lone FLUSHALL that nobody answered stands on.
 */
export function requireKnown(
  history: History,
  state: State,
  { head, timeline, what }: { head: number; timeline: number | null; what: string },
): number {
  const id = Number(state.content.get('0 id')?.text ?? Number.NaN);
  if (!Number.isInteger(id)) throw new Violation(`${what}: it names no commit, it has ${state.content.size} keys`);
  for (const [key, { text }] of state.content) {
    const child = /^0 parent:(\d+)$/.exec(key)?.[1];
    if (child !== undefined) history.place(Number(child), Number(text));
  }
  if (!history.isPlaced(id) && !state.content.has(`0 ${parentKey(id)}`)) history.place(id, head);
  requireContent(history.content(id), state, `${what}, commit ${id}`);
  requireCounters(history, state, id, timeline, what);
  return id;
}

function requireContent(expected: Content, { content, expiredByMs }: State, what: string): void {
  const wrong: string[] = [];
  for (const [key, value] of expected) {
    const found = content.get(key);
    if (found === undefined && value.expiresAtMs !== null && value.expiresAtMs <= expiredByMs) continue;
    if (found?.text !== value.text || found.expiresAtMs !== value.expiresAtMs) {
      wrong.push(`${key} is ${shown(found)}, it has to be ${shown(value)}`);
    }
  }
  for (const [key, value] of content)
    if (!expected.has(key)) wrong.push(`${key} is ${shown(value)}, it has to be nothing`);
  if (wrong.length > 0) throw new Violation(`${what}: ${wrong.length} keys differ: ${wrong.slice(0, 5).join('; ')}`);
}

function shown(value: Value | undefined): string {
  return value === undefined ? 'nothing' : `'${value.text}' until ${value.expiresAtMs}`;
}

function requireCounters(history: History, state: State, id: number, timeline: number | null, what: string): void {
  const { counters: least } = history.get(id);
  // On one timeline there is one commit that comes next. A FLUSHALL sets the counters anew.
  const next = history.children(id).find((child) => !child.lost && timeline !== null && child.timeline === timeline);
  const most = next?.commands.some(({ kind }) => kind === 'flush-all') === true ? null : next?.counters;
  for (const [at, value] of state.counters.entries()) {
    const [low, high] = [least?.[at] ?? 0, most?.[at] ?? Number.MAX_SAFE_INTEGER];
    if (!(value >= low && value <= high)) {
      throw new Violation(`${what}: counter ${at} is ${value} with commit ${id}, it has to be ${low} to ${high}`);
    }
  }
}
