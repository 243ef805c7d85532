/**
 * backups/<8 digits>.json: the document that makes a backup a backup. Immutable, written last. Fields and order are
 * those of docs/backup-format.md; the summary comes first, for people who read the file.
 */
import { z } from 'zod';
import { sha256 } from '../base/hash.js';
import { FormatError } from './document.js';
import { backupId, count, document, identity, label, moment, open, sha256Hex, text, timelineNumber } from './fields.js';

export const MAX_MANIFEST_BYTES = 1024 * 1024;
const MAX_DATABASES = 1024;

/** What an increment adds to its base: commits in (sequence_from, sequence_to], between two running digests. */
const span = open({
  timeline: timelineNumber,
  sequence_from: count,
  sequence_to: count,
  first_at: moment.nullable(),
  last_at: moment.nullable(),
  commit_count: count,
  digest_from: sha256Hex,
  digest_to: sha256Hex,
});

const schema = open({
  id: backupId,
  type: z.enum(['full', 'incremental', 'differential']),
  label: label.nullable(),
  parent: backupId.nullable(),
  base: backupId.nullable(),
  timeline: timelineNumber,
  sequence_from: count,
  sequence_to: count,
  timestamp: moment,
  started_at: moment,
  finished_at: moment,
  duration_ms: count,
  files: count,
  size: count,
  stored_size: count,
  list: open({ sha256: sha256Hex, files: count, size: count }),
  cut: open({
    last_commit_at: moment.nullable(),
    commit_count: count,
    key_counts: z.array(count).min(1).max(MAX_DATABASES),
    keyspace: z.enum(['native', 'raw']),
  }),
  span: span.nullable(),
  database_id: identity,
  repository_id: identity,
  host: text(255),
  trigger: open({ command: text(4096), user: text(1024).nullable(), address: text(1024).nullable() }),
  versions: open({ cairn: text(64), rocksdb: text(64), node: text(64) }),
  engine_options: z.record(text(256), text(4096)).optional(),
});

export type Manifest = z.infer<typeof schema>;

const manifestDocument = document('manifest', schema, MAX_MANIFEST_BYTES);

/** Throws FormatError when the manifest contradicts itself: none is ever written that a reader would refuse. */
export function encodeManifest(manifest: Manifest): Buffer {
  requireConsistent(manifest);
  return manifestDocument.encode(manifest);
}

/** `id` is the one in the file's name. */
export function decodeManifest(bytes: Uint8Array, id: number): Manifest {
  const manifest = manifestDocument.decode(bytes);
  if (manifest.id !== id) throw contradiction(`it says that it is backup ${manifest.id}, its name says ${id}`);
  requireConsistent(manifest);
  return manifest;
}

/** What users see as `checksum` and can compare with the sha256sum of the file. */
export function manifestChecksum(bytes: Uint8Array): string {
  return `sha256:${sha256(bytes)}`;
}

function requireConsistent(manifest: Manifest): void {
  const { type, list, span, cut } = manifest;
  const rules: [boolean, string][] = [
    [manifest.sequence_from <= manifest.sequence_to, 'its sequence_from is after its sequence_to'],
    [manifest.parent === null || manifest.parent < manifest.id, 'its parent is not older than itself'],
    [manifest.base === null || manifest.base <= manifest.id, 'its base is newer than itself'],
    [cut.keyspace === 'native' || cut.key_counts.length === 1, 'a raw keyspace has one database'],
  ];
  if (type === 'full') {
    rules.push(
      [manifest.sequence_from === 0, 'a full starts at sequence 0'],
      [manifest.parent === null && span === null, 'a full has neither parent nor span'],
      [manifest.files === list.files, `it counts ${manifest.files} files, its list ${list.files}`],
      [manifest.size === list.size, `it has ${manifest.size} bytes, its list ${list.size}`],
    );
  } else {
    rules.push(
      [manifest.parent !== null && manifest.base !== null, 'an increment has a parent and a base'],
      [span !== null && span.sequence_from <= span.sequence_to, 'an increment has a span, from before to after'],
      [span === null || span.sequence_to === manifest.sequence_to, 'its span does not end where it ends'],
    );
  }
  for (const [holds, what] of rules) if (!holds) throw contradiction(what);
}

function contradiction(what: string): FormatError {
  return new FormatError('manifest', 'schema', what);
}
