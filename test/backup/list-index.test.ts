/** What many file lists name, in numbers: the same answers as from the lists themselves. */
import fc from 'fast-check';
import t from 'tap';
import { ListIndex } from '../../src/backup/list-index.js';
import { propertyRuns } from '../support/property-runs.js';

const sizeOf = (sha256: string): number => Number(sha256) + 1;
const list = (objects: readonly string[]) => ({
  files: objects.map((sha256, nth) => ({ name: `${nth}`, size: sizeOf(sha256), sha256 })),
});

t.test('objects of lists, and the bytes that only those that leave have', async () => {
  const objects = fc.array(fc.nat({ max: 12 }).map(String), { maxLength: 6 });
  const lists = fc.array(objects, { minLength: 1, maxLength: 6 });
  const choice = fc.array(fc.nat({ max: 7 }).map(String), { maxLength: 8 });
  fc.assert(
    fc.property(lists, choice, choice, choice, (all, forgotten, leaving, staying) => {
      const index = new ListIndex();
      const known = new Map(all.map((content, nth) => [String(nth), content]));
      for (const [hash, content] of known) index.add(hash, list(content));
      for (const hash of forgotten) {
        index.forget(hash);
        known.delete(hash);
      }
      const of = (hashes: readonly string[]) => new Set(hashes.flatMap((hash) => known.get(hash) ?? []));
      const kept = of(staying);
      const alone = [...of(leaving)].filter((object) => !kept.has(object));
      const bytes = alone.reduce((sum, object) => sum + sizeOf(object), 0);
      const found = index.objectsOf(leaving);
      return (
        index.bytesOfAlone(leaving, staying) === bytes &&
        found.size === of(leaving).size &&
        [...of(leaving)].every((object) => found.has(object)) &&
        all.every((_, nth) => index.has(String(nth)) === known.has(String(nth)))
      );
    }),
    propertyRuns(500),
  );
});

t.test('an index that has grown beyond what is worth its memory says so', async (t) => {
  const index = new ListIndex();
  t.notOk(index.isLarge);
  index.add('many', list(Array.from({ length: 100_001 }, (_, nth) => String(nth))));
  t.ok(index.isLarge);
  t.equal(index.objectsOf(['many']).size, 100_001, 'and answers all the same');
  const shared = new ListIndex();
  const objects = list(Array.from({ length: 1000 }, (_, nth) => String(nth)));
  for (let nth = 0; nth <= 2000; nth += 1) shared.add(String(nth), objects);
  t.ok(shared.isLarge);
  for (let nth = 0; nth < 10; nth += 1) shared.forget(String(nth));
  t.notOk(shared.isLarge);
});
