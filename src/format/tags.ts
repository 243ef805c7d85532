/** tags.json: named moments. Rewritten whole. A tag holds no commits by itself. */
import { z } from 'zod';
import { FormatError } from './document.js';
import { count, document, label, moment, open, timelineNumber } from './fields.js';

export const MAX_TAGS_BYTES = 16 * 1024 * 1024;
const MAX_TAGS = 50_000;

const tag = open({
  name: label.min(1),
  timestamp: moment,
  sequence: count,
  timeline: timelineNumber,
});

const schema = open({ tags: z.array(tag).max(MAX_TAGS) });

export type Tag = z.infer<typeof tag>;

const tagsDocument = document('tags', schema, MAX_TAGS_BYTES);

export function encodeTags(tags: Tag[]): Buffer {
  requireUnique(tags);
  return tagsDocument.encode({ tags });
}

export function decodeTags(bytes: Uint8Array): Tag[] {
  const { tags } = tagsDocument.decode(bytes);
  requireUnique(tags);
  return tags;
}

function requireUnique(tags: Tag[]): void {
  const names = new Set(tags.map((tag) => tag.name));
  if (names.size !== tags.length) throw new FormatError('tags', 'schema', 'it has a name twice');
}
