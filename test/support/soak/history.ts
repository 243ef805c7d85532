/**
 * The Model of the soak: a tree of commits. Every commit of a model writer is one MULTI/EXEC that also leaves its number in the
 * key `id` and the number that was there before in `parent:<n>`. So the server itself says what each commit stands on, the
 * state says which commit it is, and what that state has to hold follows by applying commands from the root: no sequence, no
 * time and nothing that a recovery says is needed for it. A restore in place makes a branch; a kill leaves commits of which
 * nobody knows, until a state that has them says where they belong.
 */
import type { Random } from '../../property/support/random.js';
import { Violation } from './violation.js';

/** How many parents a state remembers: more than are ever in flight. */
const PARENTS_KEPT = 128;
const SNAPSHOT_EVERY = 256;
const DATABASES = 3;
export const COUNTERS = 3;
/** A FLUSHALL lets the counters go on above everything that they were: they never go back on one line. */
const COUNTER_STEP = 1_000_000_000;

export type Command =
  | { kind: 'set'; database: number; key: string; value: string; expiresAtMs: number | null }
  | { kind: 'delete'; database: number; key: string }
  | { kind: 'increment'; database: number; key: string; by: number }
  | { kind: 'append'; database: number; key: string; value: string }
  | { kind: 'copy'; database: number; from: string; key: string }
  | { kind: 'flush'; database: number }
  | { kind: 'flush-all' };

export interface Value {
  /** Long ones as compactText() writes them. */
  text: string;
  expiresAtMs: number | null;
}

/** `<database> <key>` → value. */
export type Content = Map<string, Value>;

export interface Commit {
  id: number;
  commands: readonly Command[];
  sentUs: number;
  /** null: nobody answered. */
  ackedUs: number | null;
  /** Under which durability it was answered; null where that changed meanwhile. */
  durability: string | null;
  /** The timeline that was live all the while; null: a restore in place was on its way. */
  timeline: number | null;
  /** What the counters were in it. */
  counters: readonly number[] | null;
  /** A power cut took it, as it may: it is never to be seen again on its timeline. */
  lost: boolean;
  node: Node | null;
}

/** Its place in the tree, with a jump pointer: ancestors are found in logarithmic time. */
interface Node {
  parent: number;
  depth: number;
  jump: number;
}

export class History {
  readonly #commits = new Map<number, Commit>();
  readonly #children = new Map<number, number[]>();
  /** Commits whose parent is not placed yet, by that parent. */
  readonly #waiting = new Map<number, number[]>();
  readonly #snapshots = new Map<number, Content>([[0, new Map()]]);
  #next = 1;

  constructor() {
    const node = { parent: 0, depth: 0, jump: 0 };
    const root = { commands: [], ackedUs: 0, durability: null, timeline: null, counters: null, lost: false };
    this.#commits.set(0, { id: 0, sentUs: 0, node, ...root });
  }

  get size(): number {
    return this.#commits.size;
  }

  plan(commands: readonly Command[], sentUs: number): Commit {
    const rest = { ackedUs: null, durability: null, timeline: null, counters: null, lost: false, node: null };
    const commit: Commit = { id: this.#next, commands, sentUs, ...rest };
    this.#next += 1;
    this.#commits.set(commit.id, commit);
    return commit;
  }

  /** The server refused it: it is nowhere. */
  refused(commit: Commit): void {
    if (commit.node !== null) throw new Violation(`commit ${commit.id} was refused, and a state has it`);
    this.#commits.delete(commit.id);
  }

  get(id: number): Commit {
    const commit = this.#commits.get(id);
    if (commit === undefined) throw new Violation(`a state names commit ${id}, which was never sent or was refused`);
    return commit;
  }

  /** A reply or a state says what a commit stands on. */
  place(id: number, parent: number): void {
    const commit = this.get(id);
    if (commit.node !== null) {
      if (commit.node.parent === parent) return;
      throw new Violation(`commit ${id} stands on ${commit.node.parent}, and now on ${parent}`);
    }
    const below = this.get(parent);
    if (below.node === null) {
      this.#waiting.set(parent, [...(this.#waiting.get(parent) ?? []), id]);
      return;
    }
    commit.node = { parent, depth: below.node.depth + 1, jump: this.#jumpFrom(parent) };
    this.#children.set(parent, [...(this.#children.get(parent) ?? []), id]);
    const waiting = this.#waiting.get(id) ?? [];
    this.#waiting.delete(id);
    for (const other of waiting) this.place(other, id);
  }

  isPlaced(id: number): boolean {
    return this.get(id).node !== null;
  }

  parent(id: number): number {
    return this.#node(id).parent;
  }

  depth(id: number): number {
    return this.#node(id).depth;
  }

  children(id: number): Commit[] {
    return (this.#children.get(id) ?? []).map((child) => this.get(child));
  }

  /** Whether `id` has everything of `ancestor`; a commit has itself. */
  has(id: number, ancestor: number): boolean {
    const depth = this.depth(ancestor);
    let at = id;
    while (this.depth(at) > depth) {
      const { jump, parent } = this.#node(at);
      at = this.depth(jump) >= depth ? jump : parent;
    }
    return at === ancestor;
  }

  /** The commits of `id` that `other` does not have, newest first. */
  *beyond(id: number, other: number): Iterable<Commit> {
    for (let at = id; !this.has(other, at); at = this.parent(at)) yield this.get(at);
  }

  /** What the state after this commit has to hold: every key, expired or not. */
  content(id: number): Content {
    const path: number[] = [];
    let at = id;
    for (; !this.#snapshots.has(at); at = this.parent(at)) path.push(at);
    const content: Content = new Map(this.#snapshots.get(at));
    for (const [nth, next] of path.reverse().entries()) {
      apply(content, this.get(next), this.parent(next));
      if (nth % SNAPSHOT_EVERY === SNAPSHOT_EVERY - 1) this.#snapshots.set(next, new Map(content));
    }
    return content;
  }

  /** How many commits were acknowledged of those that were planned after the first `size`. */
  acknowledgedSince(size: number): number {
    return [...this.#commits.values()].slice(size).filter(({ ackedUs }) => ackedUs !== null).length;
  }

  /** Every acknowledged commit of a timeline, in the order in which they were sent. */
  acknowledged(timeline: number): Commit[] {
    return [...this.#commits.values()].filter((commit) => commit.timeline === timeline);
  }

  #node(id: number): Node {
    const { node } = this.get(id);
    if (node === null) throw new Violation(`nothing says what commit ${id} stands on`);
    return node;
  }

  #jumpFrom(parent: number): number {
    const near = this.#node(parent);
    const far = this.#node(near.jump);
    const isEven = near.depth - this.depth(near.jump) === this.depth(near.jump) - this.depth(far.jump);
    return isEven ? far.jump : parent;
  }
}

// ── what commands do: to a server, and to a map ───────────────────────────────────────────────────────────────────

/** The words of a whole commit, for MULTI … EXEC. The reply of `idAt` is the parent, that of `countersAt` the counters. */
export function wordsOf(commit: Commit): { words: string[][]; idAt: number; countersAt: number } {
  const words: string[][] = [['get', 'id']];
  const flushesAll = commit.commands.some(({ kind }) => kind === 'flush-all');
  let database = 0;
  for (const command of commit.commands) {
    const wanted = command.kind === 'flush-all' ? 0 : command.database;
    if (wanted !== database) words.push(['select', String(wanted)]);
    database = wanted;
    words.push(commandWords(command));
  }
  if (database !== 0) words.push(['select', '0']);
  if (flushesAll) words.push(...firstWords(commit.id));
  else words.push(['copy', 'id', parentKey(commit.id), 'replace']);
  words.push(['set', 'id', String(commit.id)], ['del', parentKey(commit.id - PARENTS_KEPT)]);
  words.push(['mget', ...counterKeys]);
  return { words, idAt: 0, countersAt: words.length - 1 };
}

export const parentKey = (id: number): string => `parent:${id}`;
export const counterKeys = Array.from({ length: COUNTERS }, (_, at) => `counter:${at}`);
export const RING = 8;
export const ringKey = (at: number | string): string => `ring:${at}`;

/** After a FLUSHALL: the ring and the counters anew, in the same commit. */
function firstWords(id: number): string[][] {
  const ring = Array.from({ length: RING }, (_, at) => [ringKey(at), String((at + 1) % RING)]);
  return [
    ['mset', ...ring.flat()],
    ['mset', ...counterKeys.flatMap((key) => [key, String(id * COUNTER_STEP)])],
  ];
}

function commandWords(command: Command): string[] {
  switch (command.kind) {
    case 'set': {
      const expiry = command.expiresAtMs === null ? [] : ['pxat', String(command.expiresAtMs)];
      return ['set', command.key, longText(command.value), ...expiry];
    }
    case 'delete':
      return ['del', command.key];
    case 'increment':
      return ['incrby', command.key, String(command.by)];
    case 'append':
      return ['append', command.key, command.value];
    case 'copy':
      return ['copy', command.from, command.key, 'replace'];
    case 'flush':
      return ['flushdb'];
    case 'flush-all':
      return ['flushall'];
  }
}

function apply(content: Content, commit: Commit, parent: number): void {
  for (const command of commit.commands) applyCommand(content, command);
  const flushesAll = commit.commands.some(({ kind }) => kind === 'flush-all');
  // The very first commit has no id to copy.
  if (!flushesAll) content.set(`0 ${parentKey(commit.id)}`, { text: String(parent), expiresAtMs: null });
  content.set('0 id', { text: String(commit.id), expiresAtMs: null });
  content.delete(`0 ${parentKey(commit.id - PARENTS_KEPT)}`);
}

function applyCommand(content: Content, command: Command): void {
  if (command.kind === 'flush-all') {
    content.clear();
    return;
  }
  const { database } = command;
  if (command.kind === 'flush') {
    for (const key of content.keys()) if (key.startsWith(`${database} `)) content.delete(key);
    return;
  }
  const key = `${database} ${command.key}`;
  const before = content.get(key)?.text;
  const put = (text: string, expiresAtMs: number | null = null) => content.set(key, { text, expiresAtMs });
  if (command.kind === 'set') put(command.value, command.expiresAtMs);
  else if (command.kind === 'delete') content.delete(key);
  else if (command.kind === 'increment') put(String(Number(before ?? 0) + command.by));
  else if (command.kind === 'append') put(`${before ?? ''}${command.value}`);
  else {
    const source = content.get(`${database} ${command.from}`);
    if (source !== undefined) content.set(key, source);
  }
}

/** `7*50000` stands for 7 and x up to 50,000 characters: the model keeps no long values. */
function longText(text: string): string {
  const [head = '', length] = text.split('*');
  return length === undefined ? text : head.padEnd(Number(length), 'x');
}

export function compactText(bytes: Buffer): string {
  const text = bytes.toString('latin1');
  if (text.length < 200 || !/^\d+x+$/.test(text)) return text;
  return `${text.slice(0, text.indexOf('x'))}*${text.length}`;
}

/**
 * Commands whose outcome does not depend on when something expires: keys that expire (`e…`) are only set, deleted and
 * flushed.
 */
export function randomCommands(random: Random, nowMs: number): Command[] {
  return Array.from({ length: random.int(4) }, (): Command => {
    const database = random.int(DATABASES);
    const nth = random.int(8);
    switch (random.int(12)) {
      case 0:
        return { kind: 'delete', database, key: random.pick([`k${nth}`, `e${nth}`, `n${nth}`, `a${nth}`]) };
      case 1:
      case 2:
        return { kind: 'increment', database, key: `n${nth}`, by: random.int(100) - 50 };
      case 3: {
        const expiresAtMs = nowMs + (random.once(3) ? 600_000 : 50 + random.int(3000));
        return { kind: 'set', database, key: `e${nth}`, value: String(random.int(1e6)), expiresAtMs };
      }
      case 4:
        return { kind: 'copy', database, from: `k${random.int(8)}`, key: `c${nth}` };
      case 5:
        // Kept short by what sets and deletes them.
        return random.once(6)
          ? { kind: 'set', database, key: `a${nth}`, value: '', expiresAtMs: null }
          : { kind: 'append', database, key: `a${nth}`, value: `${random.int(10)}` };
      case 6:
        if (database > 0 && random.once(8)) return { kind: 'flush', database };
        break;
      case 7:
        if (random.once(6)) {
          const value = `${random.int(1e6)}*${1000 + random.int(60_000)}`;
          return { kind: 'set', database, key: `k${nth}`, value, expiresAtMs: null };
        }
        break;
    }
    return { kind: 'set', database, key: `k${nth}`, value: String(random.int(1e9)), expiresAtMs: null };
  });
}
