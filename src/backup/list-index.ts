/**
 * Which objects the file lists of many backups name, in little memory: ten thousand lists mostly name the same ones. A list is
 * called by the hash of its content, so that what was read of it stays true, whatever becomes of its file.
 *
 *   list A   0 1 2 3        object 0   sha256, size
 *   list B   0 1 2 4        object 1   sha256, size
 */
import type { FileList } from '../format/index.js';

/** Above these an index is not worth its memory: some 30 MB. */
const MOST_OBJECTS = 100_000;
const MOST_NAMED = 2_000_000;

export class ListIndex {
  readonly #numbers = new Map<string, number>();
  readonly #objects: { sha256: string; size: number }[] = [];
  readonly #lists = new Map<string, { objects: Uint32Array; marking: number }>();
  #named = 0;
  /** The number of the last marking: each looks at a list once, however many backups have it. */
  #marking = 0;

  get isLarge(): boolean {
    return this.#objects.length > MOST_OBJECTS || this.#named > MOST_NAMED;
  }

  has(hash: string): boolean {
    return this.#lists.has(hash);
  }

  add(hash: string, { files }: FileList): void {
    this.forget(hash);
    const objects = Uint32Array.from(files, ({ sha256, size }) => this.#numberOf(sha256, size));
    this.#lists.set(hash, { objects, marking: 0 });
    this.#named += files.length;
  }

  forget(hash: string): void {
    this.#named -= this.#lists.get(hash)?.objects.length ?? 0;
    this.#lists.delete(hash);
  }

  /** The hashes of all objects that these lists name; of lists that are not known none. */
  objectsOf(hashes: Iterable<string>): Set<string> {
    const found = new Set<string>();
    this.#mark(hashes, ({ sha256 }) => found.add(sha256));
    return found;
  }

  /** The bytes of the objects that only the lists of `leaving` name. */
  bytesOfAlone(leaving: Iterable<string>, staying: Iterable<string>): number {
    let bytes = 0;
    const kept = this.#mark(staying, () => undefined);
    this.#mark(
      leaving,
      ({ size }) => {
        bytes += size;
      },
      kept,
    );
    return bytes;
  }

  /** Calls `first` once for each object that is named and not marked yet. */
  #mark(
    hashes: Iterable<string>,
    first: (object: { sha256: string; size: number }) => void,
    marked: Uint8Array = new Uint8Array(this.#objects.length),
  ): Uint8Array {
    this.#marking += 1;
    for (const hash of hashes) {
      const list = this.#lists.get(hash);
      if (list === undefined || list.marking === this.#marking) continue;
      list.marking = this.#marking;
      for (const number of list.objects) {
        if (marked[number] === 1) continue;
        marked[number] = 1;
        first(this.#objects[number] as { sha256: string; size: number });
      }
    }
    return marked;
  }

  #numberOf(sha256: string, size: number): number {
    const known = this.#numbers.get(sha256);
    if (known !== undefined) return known;
    const number = this.#objects.push({ sha256, size }) - 1;
    this.#numbers.set(sha256, number);
    return number;
  }
}
