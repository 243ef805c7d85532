/**
 * The documents of one directory of the repository (manifests, or states), in memory, by the id in their names. The files are the
 * truth: every look compares all names and versions (inode, size, times) with what was read before, and reads what is new or changed.
 * Where nothing is, a look costs the listing alone.
 *
 *   look   all files, compared with what the last look saw; only what differs is read
 *   lookAt one document, after it was written
 */
import { CairnError } from '../base/errors.js';
import { type Seen, type Store, type StoreEntry, StoreObjectMissing } from '../storage/store.js';

/** More than so many, and everything is looked at anew. */
const MOST_APART = 64;
/** The version of what the system refused to read: no file has it. */
const UNREAD = '';

export interface DocumentsOptions<T> {
  store: Store;
  /** Ends with '/'. */
  prefix: string;
  keyOf: (id: number) => string;
  idOf: (key: string) => number | null;
  maxBytes: number;
  /** Bytes, or why there are none, as what is kept of them. Never throws: a damaged document is one too. */
  read: (id: number, bytes: Buffer | Error) => T;
}

export interface Loaded<T> {
  id: number;
  version: string;
  value: T;
}

/** What a look found to be otherwise than memory has it, to be taken over together with that of another directory. */
export interface Look<T> {
  seen: Seen;
  /** By key; null: gone. */
  changed: Map<string, Loaded<T> | null>;
  /** Keys for the next look's #apart. */
  apart: Set<string>;
}

export class Documents<T> {
  readonly #options: DocumentsOptions<T>;
  readonly #loaded = new Map<string, Loaded<T>>();
  /** What the last look saw that was taken over. */
  #seen: Seen | undefined;
  /** Keys of which memory may have something else than that look saw: until a look sees them change they are looked at by themselves. */
  #apart = new Set<string>();

  constructor(options: DocumentsOptions<T>) {
    this.#options = options;
  }

  get(id: number): T | undefined {
    return this.#loaded.get(this.#options.keyOf(id))?.value;
  }

  all(): Iterable<Loaded<T>> {
    return this.#loaded.values();
  }

  /** Compares the files with memory, which stays as it is. */
  async look(): Promise<Look<T>> {
    const { store, prefix, idOf } = this.#options;
    const since = this.#apart.size > MOST_APART ? undefined : this.#seen;
    const apart = since === undefined ? new Map<string, Loaded<T> | null>() : await this.#lookApart();
    const { seen, changed: listed, gone } = await store.changes(prefix, since);
    const changed = new Map<string, Loaded<T> | null>();
    const unread: Unread[] = [];
    for (const { key, version } of listed) {
      apart.delete(key);
      const id = idOf(key);
      if (id !== null && this.#loaded.get(key)?.version !== version) unread.push({ id, key, version });
    }
    const left = since === undefined ? without(this.#loaded.keys(), listed) : gone;
    for (const key of left) {
      apart.delete(key);
      if (this.#loaded.has(key)) changed.set(key, null);
    }
    for (const [key, found] of apart) if (found !== (this.#loaded.get(key) ?? null)) changed.set(key, found);
    const again = await this.#read(unread, changed);
    return { seen, changed, apart: new Set([...apart.keys(), ...again]) };
  }

  async #lookApart(): Promise<Map<string, Loaded<T> | null>> {
    const found = new Map<string, Loaded<T> | null>();
    for (const key of this.#apart) {
      const id = this.#options.idOf(key);
      found.set(key, id === null ? null : await this.lookAt(id));
    }
    return found;
  }

  /** Answers the keys of those that were gone when they were to be read, or that the system refused to read. */
  async #read(unread: readonly Unread[], into: Map<string, Loaded<T> | null>): Promise<string[]> {
    const { store, maxBytes, read } = this.#options;
    const oldestFirst = [...unread].sort((a, b) => a.id - b.id);
    const keys = oldestFirst.map(({ key }) => key);
    const again: string[] = [];
    let nth = 0;
    for await (const batch of store.getMany(keys, maxBytes)) {
      for (const { bytes, error } of batch) {
        const { id, key, version } = oldestFirst[nth++] as Unread;
        const isMissing = error instanceof StoreObjectMissing;
        const isRefused = error !== null && isPassing(error);
        into.set(
          key,
          isMissing ? null : { id, version: isRefused ? UNREAD : version, value: read(id, error ?? bytes) },
        );
        if (isMissing || isRefused) again.push(key);
      }
    }
    return again;
  }

  /** Answers the ids of what is otherwise now. */
  take({ seen, changed, apart }: Look<T>): number[] {
    this.#seen = seen;
    this.#apart = apart;
    const ids: number[] = [];
    for (const [key, found] of changed) {
      const id = found?.id ?? this.#options.idOf(key);
      if (id !== null) ids.push(id);
      this.#set(key, found);
    }
    return ids;
  }

  /** One document as its file is; null: there is none. Memory stays as it is. */
  async lookAt(id: number): Promise<Loaded<T> | null> {
    const { store, keyOf, maxBytes, read } = this.#options;
    const key = keyOf(id);
    for await (const [got] of store.getMany([key], maxBytes)) {
      if (got?.error !== null) break;
      const { bytes, version } = got;
      const known = this.#loaded.get(key);
      return known?.version === version ? known : { id, version, value: read(id, bytes) };
    }
    return this.#lookCloser(id, key);
  }

  /** What is there that cannot be read, if anything is. */
  async #lookCloser(id: number, key: string): Promise<Loaded<T> | null> {
    const { store, maxBytes, read } = this.#options;
    const object = await store.stat(key).catch((error: unknown) => {
      // Somebody put a link or a pipe there: no object, as in a listing.
      if (error instanceof CairnError && error.code === 'BACKUPCORRUPT') return null;
      throw error;
    });
    if (object === null) return null;
    const known = this.#loaded.get(key);
    if (known?.version === object.version) return known;
    const bytes = await store.get(key, maxBytes).catch((error: Error) => error);
    if (bytes instanceof StoreObjectMissing) return null;
    const isRefused = bytes instanceof Error && isPassing(bytes);
    return { id, version: isRefused ? UNREAD : object.version, value: read(id, bytes) };
  }

  takeOne(id: number, found: Loaded<T> | null): void {
    const key = this.#options.keyOf(id);
    if ((this.#loaded.get(key) ?? null) === found) return;
    this.#set(key, found);
    // It may become again what it was when it was listed, and no comparison of listings would tell.
    this.#apart.add(key);
  }

  #set(key: string, found: Loaded<T> | null): void {
    if (found === null) this.#loaded.delete(key);
    else this.#loaded.set(key, found);
  }
}

/** Not the file is at fault: the same one may be read the next time. */
function isPassing(error: Error): boolean {
  return !(error instanceof CairnError && error.code === 'BACKUPCORRUPT');
}

function without(keys: Iterable<string>, listed: readonly StoreEntry[]): string[] {
  const there = new Set(listed.map(({ key }) => key));
  return [...keys].filter((key) => !there.has(key));
}

interface Unread {
  id: number;
  key: string;
  version: string;
}
