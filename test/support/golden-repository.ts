/**
 * A small repository with real databases in it, and what each backup holds. test/fixtures/restorable-v1 was made by it
 * once, by the first version, and its bytes never change; a test also makes one anew.
 *
 *   node dist-test/test/support/golden-repository.js DIRECTORY      makes one
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Fixture, openFixture } from './backup-fixture.js';

export interface GoldenBackup {
  id: number;
  label: string | null;
  timeline: number;
  /** Of databases 0 and 5. */
  content: Record<number, Record<string, string>>;
}

const first = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`stone:${i}`, `${i}`.repeat(i)]));

/** Backup 3 is taken after a restore to backup 1. */
export const goldenBackups: readonly GoldenBackup[] = [
  { id: 1, label: 'the first stones', timeline: 1, content: { 0: first, 5: { café: 'é\r\n\0🪨' } } },
  { id: 2, label: null, timeline: 1, content: { 0: { ...first, 'stone:0': 'moved', later: 'yes' }, 5: {} } },
  { id: 3, label: 'another way', timeline: 2, content: { 0: { ...first, other: 'future' }, 5: { café: 'é\r\n\0🪨' } } },
];

/** Makes the repository; the data that it was made from is thrown away. */
export async function makeGoldenRepository(repository: string): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'cairn-golden-'));
  const fixture = await openFixture(join(dir, 'data'), { repository });
  try {
    const [one, two, three] = goldenBackups as [GoldenBackup, GoldenBackup, GoldenBackup];
    for (const number of [0, 5]) {
      for (const [key, value] of Object.entries(one.content[number] ?? {})) await fixture.set(key, value, number);
    }
    await fixture.keyspace.database?.flush();
    await fixture.create({ label: one.label, verify: true, pin: true });
    await fixture.set('stone:0', 'moved');
    await fixture.set('later', 'yes');
    await remove(fixture, 'café', 5);
    await fixture.create({ label: two.label });
    await (await fixture.backup.restore({ backup: 1, target: null, timeline: null, to: null, ifTimeline: null })).done;
    await fixture.set('other', 'future');
    await fixture.create({ label: three.label, verify: true });
    await (await fixture.backup.verify(3, 'DEEP')).done;
  } finally {
    await fixture.close();
    rmSync(dir, { recursive: true, force: true });
  }
}

async function remove(fixture: Fixture, key: string, database: number): Promise<void> {
  const outcome = await fixture.keyspace.execute((tx) => tx.delete(database, Buffer.from(key)));
  await outcome.durable;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  await makeGoldenRepository(process.argv[2] ?? 'golden-repository');
}
