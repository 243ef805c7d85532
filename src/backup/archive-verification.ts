/**
 * VERIFY ALL's look at the archive: every segment, also those that no backup's span leads to, because the window rests on
 * them. The archive changes meanwhile: what is merged is looked at in its new form, what is removed is nobody's any more.
 */
import { CairnError } from '../base/errors.js';
import type { Operation } from './operations.js';
import type { VerifyMode } from './records.js';
import type { Repository } from './repository.js';
import type { SegmentEntry } from './segments.js';
import { type CheckedObjects, checkSegment } from './verify.js';

/**
 * null: all segments are as they were written. QUICK looks at headers and sizes. What is damaged is remembered: no restore
 * is planned across it.
 */
export async function verifyArchive(
  repository: Repository,
  mode: VerifyMode,
  operation: Operation,
  checked: CheckedObjects,
): Promise<CairnError | null> {
  const { segments } = repository;
  const ends = new Map(segments.timelines().map((timeline) => [timeline, segments.last(timeline)?.to ?? 0]));
  const judged = new Set<string>();
  // What came after the beginning is the next verification's.
  const unjudged = () =>
    segments.entries().filter(({ key, timeline, from }) => !judged.has(key) && from < (ends.get(timeline) ?? 0));
  const bad: string[] = [];
  for (let some = unjudged(); some.length > 0; some = unjudged()) {
    for (const entry of some) {
      operation.checkpoint();
      judged.add(entry.key);
      const text = await damageOf(repository, entry, mode, operation, checked);
      if (text !== null) bad.push(text);
    }
  }
  if (bad.length === 0) return null;
  const named = bad.slice(0, 5).join('; ');
  const more = bad.length > 5 ? `, and ${bad.length - 5} more` : '';
  return new CairnError('BACKUPCORRUPT', `${bad.length} segments of the archive are damaged: ${named}${more}`, {
    hint: 'Moments behind them cannot be reached: ADMIN.BACKUP WINDOW shows the gaps. Take a full backup, or bring them back from a copy.',
  });
}

/** What is wrong with it; null: nothing, or it was merged or removed since. */
async function damageOf(
  repository: Repository,
  { key }: SegmentEntry,
  mode: VerifyMode,
  operation: Operation,
  checked: CheckedObjects,
): Promise<string | null> {
  const { segments, store } = repository;
  const release = segments.hold([key]);
  try {
    const entry = segments.get(key);
    if (entry === null) return null;
    const { verdict, text } = await checkSegment(
      repository,
      entry,
      mode === 'QUICK' ? 'QUICK' : 'FULL',
      operation,
      checked,
    );
    if (verdict === 'valid') return null;
    // One that this server holds does not go by itself. In a repository of another server it may: that one merges.
    if (repository.held || (await store.stat(key)) !== null) return text;
    await segments.refresh();
    return null;
  } finally {
    release();
  }
}
