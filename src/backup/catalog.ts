/**
 * What the repository holds, in memory. The files are the truth: every look first compares names and versions (size,
 * time, inode) with what was read before and reads only what is new or changed, so that a manifest which somebody
 * damaged, removed or brought back is seen at the next LIST. One damaged entry never hides the others.
 *
 * A backup is listed when its manifest is there. Its state document (pin, verdicts) changes later; one that is lost or
 * damaged means pinned, because nobody can tell any more that it was not.
 */
import { CairnError } from '../base/errors.js';
import { sha256 } from '../base/hash.js';
import {
  type BackupState,
  decodeFileList,
  decodeManifest,
  decodeState,
  encodeState,
  type FileList,
  listKey,
  type Manifest,
  manifestKey,
  newState,
  parseManifestKey,
  parseStateKey,
  stateKey,
} from '../format/index.js';
import type { Log } from '../observability/log.js';
import { type Store, type StoreEntry, StoreObjectMissing } from '../storage/store.js';

export interface BackupEntry {
  id: number;
  /** null: unreadable, see manifestError. */
  manifest: Manifest | null;
  manifestError: CairnError | null;
  /** SHA-256 of the manifest file as it is now. */
  manifestSha256: string | null;
  state: BackupState;
  /** false: lost or damaged, `state` is the careful default. */
  stateKnown: boolean;
  /** Why the state that is there cannot be read; null: it can, or there is none. */
  stateError: string | null;
  status: 'complete' | 'incomplete' | 'corrupt';
}

const MAX_MANIFEST_BYTES = 1 << 20;
const MAX_STATE_BYTES = 1 << 20;
const MAX_LIST_BYTES = 256 << 20;
const READS_AT_ONCE = 16;
const LISTS_KEPT = 8;

interface OwnVerdict {
  status: BackupEntry['status'];
  reason: string | null;
  /** The state document that it was found beside; once the owner writes another one, that one counts. */
  beside: BackupState | null;
}

interface Loaded<T> {
  version: string;
  value: T;
}
type LoadedManifest = {
  manifest: Manifest | null;
  error: CairnError | null;
  sha256: string | null;
};
interface LoadedState {
  /** null: unreadable, see error. */
  state: BackupState | null;
  error: string | null;
}

/** A state whose manifest is not there. */
export interface OrphanState {
  id: number;
  /** null: unreadable. */
  state: BackupState | null;
}

export class Catalog {
  readonly #store: Store;
  readonly #log: Log;
  #manifests = new Map<number, Loaded<LoadedManifest>>();
  #states = new Map<number, Loaded<LoadedState>>();
  #entries = new Map<number, BackupEntry>();
  readonly #lists = new Map<string, FileList>();
  /** Verdicts of a server that may not write to the repository. */
  readonly #ownVerdicts = new Map<number, OwnVerdict>();
  #running: Promise<void> | null = null;
  #queued: Promise<void> | null = null;
  #stateWrites: Promise<unknown> = Promise.resolve();
  /** Being removed: there for nobody any more, though memory may still have them. */
  readonly #going = new Set<number>();

  constructor(store: Store, log: Log) {
    this.#store = store;
    this.#log = log;
  }

  /** Brings memory up to the files. A call made while one runs starts another after it, so that it sees what the caller did. */
  refresh(): Promise<void> {
    if (this.#running === null) {
      this.#running = this.#refresh().finally(() => {
        this.#running = null;
      });
      return this.#running;
    }
    this.#queued ??= this.#running
      .catch(() => undefined)
      .then(() => {
        this.#queued = null;
        return this.refresh();
      });
    return this.#queued;
  }

  /** The same for one backup, after its documents were written: nothing else is looked at. */
  async reload(id: number): Promise<void> {
    while (this.#running !== null) await this.#running.catch(() => undefined);
    this.#running = this.#reload(id).finally(() => {
      this.#running = null;
    });
    await this.#running;
  }

  /** Oldest first. */
  entries(): BackupEntry[] {
    return [...this.#entries.values()].filter(({ id }) => !this.#going.has(id)).sort((a, b) => a.id - b.id);
  }

  get(id: number): BackupEntry | null {
    return this.#going.has(id) ? null : (this.#entries.get(id) ?? null);
  }

  latestComplete(): BackupEntry | null {
    return this.entries().findLast((entry) => entry.status === 'complete') ?? null;
  }

  /** The highest id that any document bears. */
  highestId(): number {
    return Math.max(0, ...this.#manifests.keys(), ...this.#states.keys());
  }

  /** Ids of manifests that somebody lost: their states are there, and neither a create nor a delete accounts for that. */
  lostManifests(): number[] {
    return this.orphanStates().flatMap(({ id, state }) => (state?.transient === true ? [] : [id]));
  }

  /** States without a manifest: what an interrupted create or delete leaves, or what is left when somebody lost manifests. */
  orphanStates(): OrphanState[] {
    return [...this.#states]
      .filter(([id]) => !this.#manifests.has(id))
      .map(([id, { value }]) => ({ id, state: value.state }));
  }

  /** The file list of a backup, read anew where `fresh` (memory may know what the disk has lost meanwhile); errors are BACKUPINCOMPLETE (missing) or BACKUPMANIFEST (does not match its name). */
  async fileList(entry: BackupEntry, options: { fresh?: boolean } = {}): Promise<FileList> {
    const hash = entry.manifest?.list.sha256 ?? entry.state.list_sha256;
    if (hash === null) {
      throw new CairnError(
        'BACKUPMANIFEST',
        `backup ${entry.id}: neither its manifest nor its state says which files it has`,
      );
    }
    return this.readList(hash, entry.id, options);
  }

  async readList(hash: string, id: number, { fresh = false }: { fresh?: boolean } = {}): Promise<FileList> {
    const known = this.#lists.get(hash);
    if (known !== undefined && !fresh) return known;
    this.#lists.delete(hash);
    const bytes = await this.#store.get(listKey(hash), MAX_LIST_BYTES).catch((error) => {
      if (!(error instanceof StoreObjectMissing)) throw error;
      throw new CairnError('BACKUPINCOMPLETE', `backup ${id}: its file list ${listKey(hash)} is missing`, {
        hint: 'Bring the object back from a copy of the repository, or delete the backup.',
        details: { id, missing: [listKey(hash)] },
      });
    });
    const actual = sha256(bytes);
    if (actual !== hash) {
      throw new CairnError('BACKUPCORRUPT', `backup ${id}: its file list ${listKey(hash)} has SHA-256 ${actual}`, {
        hint: 'Bring the object back from a copy of the repository, or delete the backup.',
        details: { id, corrupt: [listKey(hash)], expected: hash, actual },
      });
    }
    let list: FileList;
    try {
      // Bytes of the same hash say the same.
      list = known ?? decodeFileList(bytes);
    } catch (error) {
      throw new CairnError(
        'BACKUPMANIFEST',
        `backup ${id}: its file list ${listKey(hash)} is not one (${(error as Error).message})`,
        { cause: error },
      );
    }
    this.#lists.set(hash, list);
    for (const oldest of this.#lists.keys()) {
      if (this.#lists.size <= LISTS_KEPT) break;
      this.#lists.delete(oldest);
    }
    return list;
  }

  forgetList(hash: string): void {
    this.#lists.delete(hash);
  }

  /**
   * Changes a backup's state document. `writable` false keeps the verdict in memory alone (another database's
   * repository: it is read, never written).
   */
  async updateState(id: number, writable: boolean, change: (state: BackupState) => BackupState): Promise<void> {
    const write = async (): Promise<void> => {
      const entry = this.get(id);
      if (entry === null) return;
      const next = change(entry.state);
      if (!writable) {
        const beside = this.#states.get(id)?.value.state ?? null;
        this.#ownVerdicts.set(id, { status: next.status, reason: next.reason, beside });
        return;
      }
      this.#ownVerdicts.delete(id);
      // A state that was lost is written anew, with the manifest as it is now; the careful default (pinned) stays.
      const { transient: _, ...settled } = next;
      await this.#store.put(stateKey(id), encodeState(settled));
    };
    // The next one in turn changes what this one wrote, not what memory had before it.
    await this.#inTurn(() => write().finally(() => this.reload(id)));
  }

  /**
   * Removes a backup's manifest. From when this is called nobody begins to read the backup, and nobody writes its state again:
   * without a manifest that would look as if somebody had lost it. Where the manifest stays, so does the backup.
   */
  async removeManifest(id: number): Promise<void> {
    this.#going.add(id);
    try {
      await this.#inTurn(async () => {
        await this.#markGoing(id);
        await this.#store.delete(manifestKey(id));
      });
    } catch (error) {
      this.#going.delete(id);
      await this.refresh();
      // It stays: should its manifest be lost some day, its state must not say that this was meant.
      if (this.get(id) !== null) await this.updateState(id, true, (state) => state).catch(() => undefined);
      throw error;
    }
  }

  /** A crash after its manifest went leaves a state that may go as well. One whose state cannot be changed stays. */
  async #markGoing(id: number): Promise<void> {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    try {
      await this.#store.put(stateKey(id), encodeState({ ...entry.state, transient: true }));
    } catch (error) {
      if (!(error instanceof CairnError && error.code === 'NOSPACE')) throw error;
      // On a full disk it cannot be said that the manifest goes; it goes all the same.
      this.#log.warn('that a backup goes could not be noted in its state', { id, error });
    }
  }

  async #inTurn(write: () => Promise<void>): Promise<void> {
    const turn = this.#stateWrites.then(write, write);
    this.#stateWrites = turn.catch(() => undefined);
    await turn;
  }

  async #refresh(): Promise<void> {
    const [manifests, states] = await Promise.all([
      this.#load('backups/', parseManifestKey, this.#manifests, (id, key) => this.#readManifest(id, key)),
      this.#load('states/', parseStateKey, this.#states, (id, key) => this.#readState(id, key)),
    ]);
    this.#manifests = manifests;
    this.#states = states;
    const entries = new Map<number, BackupEntry>();
    for (const [id, { value }] of manifests) entries.set(id, this.#entry(id, value, states.get(id)?.value));
    this.#entries = entries;
    for (const id of this.#going) if (!manifests.has(id)) this.#going.delete(id);
  }

  async #reload(id: number): Promise<void> {
    const manifest = await this.#loadOne(manifestKey(id), this.#manifests.get(id), (key) =>
      this.#readManifest(id, key),
    );
    const state = await this.#loadOne(stateKey(id), this.#states.get(id), (key) => this.#readState(id, key));
    setOrDelete(this.#manifests, id, manifest);
    setOrDelete(this.#states, id, state);
    setOrDelete(this.#entries, id, manifest === null ? null : this.#entry(id, manifest.value, state?.value));
    if (manifest === null) this.#going.delete(id);
  }

  async #loadOne<T>(
    key: string,
    known: Loaded<T> | undefined,
    read: (key: string) => Promise<T>,
  ): Promise<Loaded<T> | null> {
    const object = await this.#store.stat(key).catch((error: unknown) => {
      // Somebody put a link or a pipe there: no object, as in a listing.
      if (error instanceof CairnError && error.code === 'BACKUPCORRUPT') return null;
      throw error;
    });
    if (object === null) return null;
    if (known?.version === object.version) return known;
    try {
      return { version: object.version, value: await read(key) };
    } catch (error) {
      if (error instanceof StoreObjectMissing) return null;
      throw error;
    }
  }

  async #load<T>(
    prefix: string,
    idOf: (key: string) => number | null,
    known: Map<number, Loaded<T>>,
    read: (id: number, key: string) => Promise<T>,
  ): Promise<Map<number, Loaded<T>>> {
    const next = new Map<number, Loaded<T>>();
    const changed: { id: number; object: StoreEntry }[] = [];
    for await (const object of this.#store.list(prefix)) {
      const id = idOf(object.key);
      if (id === null) continue;
      const loaded = known.get(id);
      if (loaded?.version === object.version) next.set(id, loaded);
      else changed.push({ id, object });
    }
    const readSome = async (): Promise<void> => {
      for (let item = changed.pop(); item !== undefined; item = changed.pop()) {
        const { id, object } = item;
        try {
          next.set(id, {
            version: object.version,
            value: await read(id, object.key),
          });
        } catch (error) {
          if (!(error instanceof StoreObjectMissing)) throw error;
        }
      }
    };
    await Promise.all(Array.from({ length: READS_AT_ONCE }, readSome));
    return next;
  }

  async #readManifest(id: number, key: string): Promise<LoadedManifest> {
    const bytes = await this.#store.get(key, MAX_MANIFEST_BYTES).catch((error) => {
      if (error instanceof StoreObjectMissing) throw error;
      return error as Error;
    });
    if (bytes instanceof Error)
      return {
        manifest: null,
        sha256: null,
        error: unreadable(id, bytes.message),
      };
    try {
      return {
        manifest: decodeManifest(bytes, id),
        sha256: sha256(bytes),
        error: null,
      };
    } catch (error) {
      this.#log.warn('manifest unreadable', {
        id,
        key,
        reason: (error as Error).message,
      });
      return {
        manifest: null,
        sha256: sha256(bytes),
        error: unreadable(id, (error as Error).message),
      };
    }
  }

  async #readState(id: number, key: string): Promise<LoadedState> {
    try {
      return { state: decodeState(await this.#store.get(key, MAX_STATE_BYTES), id), error: null };
    } catch (error) {
      if (error instanceof StoreObjectMissing) throw error;
      const reason = (error as Error).message;
      this.#log.warn('state unreadable: the backup counts as pinned', { id, key, reason });
      return { state: null, error: reason };
    }
  }

  #entry(id: number, loaded: LoadedManifest, found: LoadedState | undefined): BackupEntry {
    const state = found?.state ?? null;
    let { manifest, error } = loaded;
    if (state !== null && manifest !== null && state.manifest_sha256 !== loaded.sha256) {
      error = unreadable(
        id,
        `it has SHA-256 ${loaded.sha256}, but ${state.manifest_sha256} was recorded when it was written`,
      );
      manifest = null;
    }
    const usable =
      state ??
      newState(id, loaded.sha256 ?? '0'.repeat(64), {
        pinned: true,
        list_sha256: manifest?.list.sha256 ?? null,
      });
    const verdict = this.#ownVerdicts.get(id);
    const own = verdict?.beside === state ? verdict : undefined;
    const status = manifest === null ? 'corrupt' : (own?.status ?? usable.status);
    return {
      id,
      manifest,
      manifestError: error,
      manifestSha256: loaded.sha256,
      state: usable,
      stateKnown: state !== null,
      stateError: found?.error ?? null,
      status,
    };
  }
}

function setOrDelete<T>(map: Map<number, T>, id: number, value: T | null): void {
  if (value === null) map.delete(id);
  else map.set(id, value);
}

function unreadable(id: number, reason: string): CairnError {
  return new CairnError(
    'BACKUPMANIFEST',
    `backup ${id}: its manifest ${manifestKey(id)} cannot be trusted: ${reason}`,
    {
      hint: 'Bring the manifest back from a copy of the repository, or use another backup.',
      details: { id, key: manifestKey(id) },
    },
  );
}
