/**
 * Which logical database is where. Keys carry the number of a *slot*; a database is in the slot of its own number until
 * SWAPDB exchanges two of them, which moves no key: one record says it, and is part of the commit like any other.
 *
 *   00 'cairn.databases'     there only while a database is in another slot than its own
 *
 *   offset  bytes
 *   0       1      version, 1
 *   1       16     the slot of database 0 … 15, each once
 */
import { CairnError } from '../base/errors.js';
import type { Database } from '../engine/types.js';
import { DATABASES, DATABASES_KEY } from './layout.js';
import type { KeyspaceKind } from './port.js';

const VERSION = 1;

export class DatabaseMap {
  /** By database. */
  private readonly slots: readonly number[];
  /** By slot. */
  private readonly databases: readonly number[];

  private constructor(slots: readonly number[]) {
    this.slots = slots;
    const databases = slots.slice();
    for (const [database, slot] of slots.entries()) databases[slot] = database;
    this.databases = databases;
  }

  /** Each in the slot of its number. */
  static plain(databases: number): DatabaseMap {
    return new DatabaseMap(Array.from({ length: databases }, (_, index) => index));
  }

  /** undefined: there is no record. */
  static decode(record: Buffer | undefined, databases: number): DatabaseMap {
    if (record === undefined) return DatabaseMap.plain(databases);
    const slots = [...record.subarray(1)];
    const sound = slots.length === databases && new Set(slots).size === databases && slots.every((n) => n < databases);
    if (record[0] === VERSION && sound) return new DatabaseMap(slots);
    throw new CairnError('MISCONF', `the record of swapped databases is not of a known form (${record.length} bytes)`, {
      hint: 'It was written by a newer version; serve the directory with that one.',
    });
  }

  /** null: no record is needed. */
  encode(): Buffer | null {
    return this.isPlain ? null : Buffer.of(VERSION, ...this.slots);
  }

  get isPlain(): boolean {
    return this.slots.every((slot, database) => slot === database);
  }

  /** A database that there is not keeps its number: whoever uses it is told so by the layout. */
  slotOf(database: number): number {
    return this.slots[database] ?? database;
  }

  databaseIn(slot: number): number {
    return this.databases[slot] ?? slot;
  }

  swapped(first: number, second: number): DatabaseMap {
    const slots = this.slots.slice();
    [slots[first], slots[second]] = [this.slotOf(second), this.slotOf(first)];
    return new DatabaseMap(slots);
  }
}

/** As a database that was opened says it. */
export async function loadDatabaseMap(database: Database, kind: KeyspaceKind): Promise<DatabaseMap> {
  return kind === 'raw' ? DatabaseMap.plain(1) : DatabaseMap.decode(await database.get(DATABASES_KEY), DATABASES);
}
