/** Reads a database's WAL as groups of commits, and what is in it. */

import type { BatchRecord } from '../../src/engine/index.js';
import { decodeBatch } from '../../src/engine/index.js';
import type { Database } from '../../src/engine/types.js';
import { type CommitMark, decodeCommitMark } from '../../src/keyspace/commit-mark.js';

export interface WalCommit {
  mark: CommitMark;
  records: BatchRecord[];
}

export interface WalGroup {
  sequence: number;
  count: number;
  commits: WalCommit[];
  /** Values of the reserved key. */
  states: Buffer[];
  /** Records ahead of the first mark, the reserved key left out. */
  unmarked: BatchRecord[];
}

const STATE = '\x00cairn.state';

export async function readWal(database: Database, from = 1): Promise<WalGroup[]> {
  const groups: WalGroup[] = [];
  const reader = database.updatesSince(from);
  for (let batches = await reader.next(1 << 20); batches.length > 0; batches = await reader.next(1 << 20)) {
    for (const { sequence, count, rep } of batches) groups.push({ sequence, count, ...groupOf([...decodeBatch(rep)]) });
  }
  await reader.close();
  return groups;
}

function groupOf(records: BatchRecord[]): Omit<WalGroup, 'sequence' | 'count'> {
  const group: Omit<WalGroup, 'sequence' | 'count'> = { commits: [], states: [], unmarked: [] };
  for (const record of records) {
    if (record.kind === 'log-data') {
      const mark = decodeCommitMark(record.blob);
      if (mark === null) throw new Error('log data that is no commit mark');
      group.commits.push({ mark, records: [] });
    } else if (record.kind === 'put' && record.key.toString('latin1') === STATE) {
      group.states.push(record.value);
    } else {
      (group.commits.at(-1)?.records ?? group.unmarked).push(record);
    }
  }
  return group;
}

/** Applies a record to raw content: main key → value, both latin1. */
export function apply(content: Map<string, string>, record: BatchRecord): void {
  if (record.kind === 'put') content.set(record.key.toString('latin1'), record.value.toString('latin1'));
  else if (record.kind === 'delete') content.delete(record.key.toString('latin1'));
  else if (record.kind === 'delete-range') {
    const [from, to] = [record.from.toString('latin1'), record.to.toString('latin1')];
    for (const key of content.keys()) if (key >= from && key < to) content.delete(key);
  }
}
