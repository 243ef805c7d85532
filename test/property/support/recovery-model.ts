/**
 * What happened, line by line of history: which commits in which order (as the live log has them), and what the commands
 * in them make of a plain map. The states that recovery promises follow from that and from nothing that recovery says.
 */
import assert from 'node:assert/strict';
import { decodeBatch } from '../../../src/engine/index.js';
import type { Database } from '../../../src/engine/types.js';
import { decodeCommitMark } from '../../../src/keyspace/commit-mark.js';
import { DATABASES, nativeLayout } from '../../../src/keyspace/layout.js';
import type { Transaction } from '../../../src/keyspace/transaction.js';

export type Command =
  | { kind: 'set'; database: number; key: string; value: string; expiresAtMs: number | null }
  | { kind: 'delete'; database: number; key: string }
  | { kind: 'flush'; database: number };

export interface Commit {
  /** Its last sequence. */
  to: number;
  us: number;
  commands: readonly Command[];
}

export interface Line {
  parent: number | null;
  fork: number;
  commits: Commit[];
}

/** Database and key → value and expiry. */
export type Content = Map<string, string>;

/** Every commit of a test says which it is, in this key. */
const ID_KEY = 'id';
const ID_MAIN_KEY = nativeLayout.mainKey(0, Buffer.from(ID_KEY));

export function runCommands(tx: Transaction, commands: readonly Command[]): void {
  for (const command of commands) {
    const { database } = command;
    if (command.kind === 'flush') tx.flush(database);
    else if (command.kind === 'delete') tx.delete(database, Buffer.from(command.key));
    else {
      const { key, value, expiresAtMs } = command;
      tx.put(database, Buffer.from(key), { type: 'string', bytes: Buffer.from(value), expiresAtMs });
    }
  }
}

export class RecoveryModel {
  readonly lines = new Map<number, Line>([[1, { parent: null, fork: 0, commits: [] }]]);
  /** The live line, and how far it was read. */
  timeline = 1;
  sequence = 0;
  readonly #commands = new Map<string, readonly Command[]>();

  /** Commands of one commit, which finds itself in the log by its last one. */
  plan(commands: readonly Command[]): readonly Command[] {
    const id = String(this.#commands.size + 1);
    const all = [...commands, { kind: 'set' as const, database: 0, key: ID_KEY, value: id, expiresAtMs: null }];
    this.#commands.set(id, all);
    return all;
  }

  /** Reads what a database's log has of the live line after what is known. */
  async read(database: Database): Promise<void> {
    const line = this.line(this.timeline);
    if (database.latestSequence() <= this.sequence) return;
    const reader = database.updatesSince(this.sequence + 1);
    for (let batches = await reader.next(1 << 20); batches.length > 0; batches = await reader.next(1 << 20)) {
      for (const { sequence, rep } of batches) {
        assert.equal(sequence, this.sequence + 1, 'the log goes on without a hole');
        for (const commit of commitsOf(sequence, rep, this.timeline)) {
          const before = line.commits.at(-1);
          assert.ok(before === undefined || commit.us > before.us, `times rise: ${commit.us} after ${before?.us}`);
          const commands = commit.id === null ? [] : this.#commands.get(commit.id);
          assert.ok(commands !== undefined, `commit ${commit.id} was made by the test`);
          line.commits.push({ to: commit.to, us: commit.us, commands });
          this.sequence = commit.to;
        }
      }
    }
    await reader.close();
    assert.equal(this.sequence, database.latestSequence(), 'the log was read to its end');
  }

  /** The live database goes on under another line. */
  begin(timeline: number, parent: number, fork: number): void {
    assert.ok(!this.lines.has(timeline), `the number of timeline ${timeline} was used before`);
    this.lines.set(timeline, { parent, fork, commits: [] });
    this.timeline = timeline;
    this.sequence = fork;
  }

  /** What the line lost is as if it had never been: an older copy was put back, and nobody has seen more. */
  cut(timeline: number, sequence: number): void {
    const line = this.line(timeline);
    line.commits = line.commits.filter(({ to }) => to <= sequence);
    this.timeline = timeline;
    this.sequence = sequence;
  }

  line(timeline: number): Line {
    const line = this.lines.get(timeline);
    assert.ok(line !== undefined, `timeline ${timeline} was live once`);
    return line;
  }

  /** The last sequence of a line. */
  end(timeline: number): number {
    const { commits, fork } = this.line(timeline);
    return commits.at(-1)?.to ?? fork;
  }

  /** Every commit of a line and of what it continues, up to a sequence. */
  commits(timeline: number, sequence: number): Commit[] {
    const { parent, fork, commits } = this.line(timeline);
    const own = commits.filter(({ to }) => to <= sequence);
    return parent === null ? own : [...this.commits(parent, Math.min(fork, sequence)), ...own];
  }

  /** True where a state ends: recovery never stops anywhere else. */
  isState(timeline: number, sequence: number): boolean {
    return (this.commits(timeline, sequence).at(-1)?.to ?? 0) === sequence;
  }

  content(timeline: number, sequence: number): Content {
    const content: Content = new Map();
    for (const { commands } of this.commits(timeline, sequence))
      for (const command of commands) apply(content, command);
    return content;
  }
}

function apply(content: Content, command: Command): void {
  const { database } = command;
  if (command.kind === 'set') content.set(`${database} ${command.key}`, `${command.value} ${command.expiresAtMs}`);
  else if (command.kind === 'delete') content.delete(`${database} ${command.key}`);
  else for (const key of content.keys()) if (key.startsWith(`${database} `)) content.delete(key);
}

export function keyCounts(content: Content): number[] {
  return counted(content.keys());
}

/** Of the keys with an expiry. */
export function expiryCounts(content: Content): number[] {
  return counted([...content].filter(([, value]) => !value.endsWith(' null')).map(([key]) => key));
}

function counted(keys: Iterable<string>): number[] {
  const counts = new Array<number>(DATABASES).fill(0);
  for (const key of keys) {
    const database = Number(key.split(' ')[0]);
    counts[database] = (counts[database] ?? 0) + 1;
  }
  return counts;
}

/** Commits of one write; `id` null: one that corrects the state record, and changes nothing else. */
function commitsOf(first: number, rep: Buffer, timeline: number): { to: number; us: number; id: string | null }[] {
  const commits: { to: number; us: number; id: string | null }[] = [];
  let sequence = first - 1;
  for (const record of decodeBatch(rep)) {
    if (record.kind === 'log-data') {
      const mark = decodeCommitMark(record.blob);
      assert.equal(mark?.timeline, timeline, 'a commit says its timeline');
      commits.push({ to: sequence, us: mark?.timeUs ?? 0, id: null });
      continue;
    }
    sequence += 1;
    const commit = commits.at(-1);
    assert.ok(commit !== undefined, 'a mark comes before what is committed');
    commit.to = sequence;
    if (record.kind === 'put' && record.key.equals(ID_MAIN_KEY)) {
      commit.id = nativeLayout.decode(record.value).bytes.toString();
    }
  }
  return commits;
}
