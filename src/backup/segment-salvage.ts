/**
 * The last segment of a line, when its end is missing: a disk that lost the end of a file, a copy that was cut off. What
 * of it is whole commits becomes a segment of its own, durable before the torn one goes; the rest is captured again, as
 * far as the live log still has it. Anywhere else a torn segment is corruption.
 */
import { CairnError } from '../base/errors.js';
import { cutTorn, encodeSegment, FormatError, keyOfSegment } from '../format/index.js';
import type { Log } from '../observability/log.js';
import { StoreObjectMissing } from '../storage/store.js';
import type { Repository } from './repository.js';
import { MAX_SEGMENT_BYTES, openSegment } from './segment-object.js';

export async function salvageLast(repository: Repository, timeline: number, log: Log): Promise<void> {
  const { store, segments } = repository;
  const last = segments.last(timeline);
  if (last === null) return;
  const { key } = last;
  const bytes = await store.get(key, MAX_SEGMENT_BYTES).catch((error: unknown) => {
    if (error instanceof StoreObjectMissing || (error instanceof CairnError && error.code === 'BACKUPCORRUPT'))
      return null;
    throw error;
  });
  if (bytes === null) return;
  const damage = await openSegment(key, bytes).then(
    () => null,
    (error: unknown) => error as Error,
  );
  if (damage === null) return;
  try {
    const { header, content, droppedBytes } = cutTorn(bytes);
    if (content === null || content.sequenceTo >= header.sequenceTo) return;
    await store.put(keyOfSegment(content), encodeSegment(content));
    await store.delete(key);
    await segments.refresh();
    log.error('the last segment was torn: its whole commits were kept', {
      key,
      commits: content.commits,
      lost: header.commits - content.commits,
      droppedBytes,
    });
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    log.error('the last segment is damaged, nothing of it can be kept', { key, error });
  }
}
