/** Merging and removing segments: the merged one before its parts go, nothing under a reader, nothing that does not fit. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { verifyArchive } from '../../src/backup/archive-verification.js';
import { Operation } from '../../src/backup/operations.js';
import { readKnownSegment } from '../../src/backup/segment-object.js';
import { tidySegments } from '../../src/backup/segment-upkeep.js';
import { nativeFiles } from '../../src/engine/index.js';
import {
  chainAnchor,
  describeRecords,
  encodeSegment,
  frameRecord,
  keyOfSegment,
  verifySegment,
} from '../../src/format/index.js';
import { openLocalStore } from '../../src/storage/index.js';
import { capturingLog, silentLog } from '../support/log.js';
import { flipBit, objectKeys } from '../support/repository-files.js';
import { scratch } from '../support/scratch.js';
import { repositoryOn } from './support/repository-on.js';

const nothing = async (): Promise<string[]> => [];
const running = new AbortController().signal;

/** A repository with `n` segments of one commit each. `anchored`: from there on another chain begins. */
async function repositoryOf(
  t: Test,
  n: number,
  options: { anchored?: number; log?: ReturnType<typeof silentLog> } = {},
) {
  const location = scratch(t);
  const store = await openLocalStore(location, { files: nativeFiles, create: true });
  t.teardown(() => store.close());
  const repository = repositoryOn(store, options.log);
  let digestFrom = chainAnchor(1, 0);
  const keys: string[] = [];
  for (let i = 0; i < n; i += 1) {
    const body = Buffer.from([1, 1, 65, 1, i % 256]);
    const record = frameRecord({ sequence: i + 1, timeUs: 1000 + i, count: 1, body });
    const commitsBefore = options.anchored !== undefined && i >= options.anchored ? i + 7 : i;
    const content = describeRecords({ timeline: 1, sequenceFrom: i, commitsBefore, digestFrom }, record);
    digestFrom = content.digestTo;
    const key = keyOfSegment(content);
    await store.put(key, encodeSegment(content));
    keys.push(key);
  }
  await repository.segments.refresh();
  return { repository, store, keys, location };
}

t.test('the merged segment holds every commit, and its parts are gone', async (t) => {
  const { repository, store, location } = await repositoryOf(t, 20);
  t.same(await tidySegments(repository, nothing, running, silentLog()), { merged: 20, removed: 0 });
  const [merged, ...others] = objectKeys(location, 'wal/');
  t.same(others, []);
  const content = verifySegment(await store.get(merged as string, 1 << 20));
  t.match(content, { sequenceFrom: 0, sequenceTo: 20, commits: 20, commitsBefore: 0 });
  t.equal(repository.segments.usable(1).length, 1);
});

t.test('what a reader holds stays until it lets go', async (t) => {
  const { repository, keys, location } = await repositoryOf(t, 20);
  const held = keys.slice(3, 6);
  const release = repository.segments.hold(held);
  const again = repository.segments.hold(held.slice(0, 1));
  await tidySegments(repository, nothing, running, silentLog());
  t.same(
    objectKeys(location, 'wal/').filter((key) => keys.includes(key)),
    held,
  );
  release();
  release();
  await tidySegments(repository, nothing, running, silentLog());
  t.same(
    objectKeys(location, 'wal/').filter((key) => keys.includes(key)),
    held.slice(0, 1),
    'the other reader still has it',
  );
  again();
  t.same(await tidySegments(repository, nothing, running, silentLog()), { merged: 0, removed: 1 });
});

t.test('a damaged part is named and left; what is whole around it is merged', async (t) => {
  const { log, records } = capturingLog();
  const { repository, keys, location } = await repositoryOf(t, 40, { log });
  flipBit(join(location, keys[20] as string), 190);
  await tidySegments(repository, nothing, running, log);
  t.ok(records.some(({ event, key }) => event === 'segment damaged' && key === keys[20]));
  const left = objectKeys(location, 'wal/');
  t.ok(left.includes(keys[20] as string), 'nothing damaged is removed');
  t.equal(left.length, 3, String(left));
  t.same(
    repository.segments.coverage().map(({ from, to }) => [from, to]),
    [
      [0, 20],
      [21, 40],
    ],
  );
});

t.test('whole segments that do not fit together stay, and are reported once', async (t) => {
  const { log, records } = capturingLog();
  const { repository, keys, location } = await repositoryOf(t, 20, { anchored: 10, log });
  const refused = new Set<string>();
  await tidySegments(repository, nothing, running, log, refused);
  await tidySegments(repository, nothing, running, log, refused);
  t.same(objectKeys(location, 'wal/'), keys);
  t.equal(records.filter(({ event }) => event.startsWith('segments do not fit together')).length, 1);
});

t.test('what nobody needs goes, unless somebody holds it; an aborted round stops', async (t) => {
  const { repository, keys, location } = await repositoryOf(t, 5);
  const release = repository.segments.hold([keys[1] as string]);
  const expendable = async () => keys.slice(0, 3);
  const stop = new AbortController();
  stop.abort();
  t.same(await tidySegments(repository, expendable, stop.signal, silentLog()), { merged: 0, removed: 0 });
  t.same(await tidySegments(repository, expendable, running, silentLog()), { merged: 0, removed: 2 });
  t.same(objectKeys(location, 'wal/'), [keys[1], keys[3], keys[4]]);
  release();
});

/** An operation that nobody watches. */
function verification(): Operation {
  const record = {
    number: 1,
    operation: 'verify' as const,
    ids: [],
    startedAtUs: 0,
    status: 'running' as const,
    paths: [],
  };
  return new Operation(record as unknown as ConstructorParameters<typeof Operation>[0], false);
}

for (const mode of ['QUICK', 'FULL'] as const) {
  t.test(`an archive that is merged and shortened while it is verified ${mode} is whole`, async (t) => {
    const { repository, store, keys, location } = await repositoryOf(t, 40);
    const stat = store.stat.bind(store);
    let looks = 0;
    store.stat = async (key) => {
      looks += 1;
      if (looks === 3) {
        const expendable = async () => keys.slice(5, 7);
        await repository.segments.remove(await expendable());
        await tidySegments(repository, nothing, running, silentLog());
      }
      return stat(key);
    };
    t.equal(await verifyArchive(repository, mode, verification(), new Map()), null);
    const left = objectKeys(location, 'wal/');
    t.ok(
      left.some((key) => !keys.includes(key)),
      'some were merged meanwhile',
    );
  });
}

t.test('a merged segment that is damaged is found by the verification during which it was made', async (t) => {
  const { repository, store, location, keys } = await repositoryOf(t, 40);
  const stat = store.stat.bind(store);
  let looks = 0;
  store.stat = async (key) => {
    looks += 1;
    if (looks === 1) {
      await tidySegments(repository, nothing, running, silentLog());
      const merged = objectKeys(location, 'wal/').find((other) => !keys.includes(other)) as string;
      flipBit(join(location, merged), 190);
    }
    return stat(key);
  };
  t.match(await verifyArchive(repository, 'FULL', verification(), new Map()), { code: 'BACKUPCORRUPT' });
});

t.test('a listing that saw a segment before it was removed does not bring it back', async (t) => {
  const { repository, store, keys } = await repositoryOf(t, 6);
  const { segments } = repository;
  const deleteAll = store.deleteAll.bind(store);
  const list = store.list.bind(store);
  // One listing from beginning to end while the files are still there, and one that ends after they are gone.
  let late: Promise<void> | null = null;
  let gone: () => void = () => {};
  const removal = new Promise<void>((resolve) => {
    gone = resolve;
  });
  store.deleteAll = async (going) => {
    await segments.refresh();
    store.list = async function* (prefix) {
      const seen = [];
      for await (const object of list(prefix)) seen.push(object);
      gone();
      await deleted;
      yield* seen;
    };
    late = segments.refresh();
    await removal;
    return deleteAll(going);
  };
  let finish: () => void = () => {};
  const deleted = new Promise<void>((resolve) => {
    finish = resolve;
  });
  await segments.remove(keys.slice(0, 2));
  finish();
  await late;
  t.same(
    segments
      .entries()
      .map(({ key }) => key)
      .sort(),
    keys.slice(2),
  );
});

t.test('what lies in a larger segment goes only once that one was read and is whole', async (t) => {
  const larger = await repositoryOf(t, 21);
  // In the middle of a line: its ends are read at every listing.
  await larger.repository.segments.remove(larger.keys.slice(0, 1));
  await tidySegments(larger.repository, nothing, running, silentLog());
  const [merged] = objectKeys(larger.location, 'wal/') as [string];
  const whole = readFileSync(join(larger.location, merged));
  // Too few that are new for another merge, which would read it as well.
  const { repository, location, keys } = await repositoryOf(t, 24);
  // Copied by hand, and not to its end.
  writeFileSync(join(location, merged), whole.subarray(0, whole.length - 9));
  await repository.segments.refresh();
  for (let round = 0; round < 2; round += 1) await tidySegments(repository, nothing, running, silentLog());
  await repository.segments.refresh();
  let through = 0;
  for (const { key } of repository.segments.usable(1)) {
    const { header } = await readKnownSegment(repository, key);
    t.equal(header.sequenceFrom, through);
    through = header.sequenceTo;
  }
  t.equal(through, keys.length, 'every commit is still there, and can be read');
});
