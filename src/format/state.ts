/**
 * states/<8 digits>.json: what changes about a backup after its manifest is written. Rewritten whole, by its
 * repository's owner only. One that is lost or damaged means pinned: nobody can tell any more that it was not.
 */
import { z } from 'zod';
import { FormatError } from './document.js';
import { backupId, count, document, moment, open, sha256Hex, text } from './fields.js';

export const MAX_STATE_BYTES = 1024 * 1024;
/** The newest are kept. */
export const VERIFICATIONS_KEPT = 20;
/** Of a backup with more damaged files the first are named; VERIFY finds the rest once these are mended. */
export const VERDICTS_KEPT = 1000;
const MAX_TEXT = 2000;

const verification = open({
  at: moment,
  mode: z.enum(['QUICK', 'FULL', 'DEEP']),
  status: z.enum(['valid', 'invalid']),
  files_total: count,
  files_verified: count,
  files_failed: count,
  bytes: count,
  duration_ms: count,
  error: text(MAX_TEXT).nullable(),
});

const schema = open({
  id: backupId,
  manifest_sha256: sha256Hex,
  /** Which files the backup has, for when its manifest is damaged. */
  list_sha256: sha256Hex.nullable(),
  pinned: z.boolean(),
  status: z.enum(['complete', 'incomplete', 'corrupt']),
  reason: text(MAX_TEXT).nullable(),
  verifications: z.array(verification).max(VERIFICATIONS_KEPT),
  /** The files that failed the last verification. */
  verdicts: z.array(open({ name: text(255), size: count, sha256: sha256Hex, verdict: text(64) })).max(VERDICTS_KEPT),
  logical_digest: open({ sha256: sha256Hex, key_counts: z.array(count).max(1024), at: moment }).nullable(),
  last_restored: open({ at: moment, target: text(4096), duration_ms: count }).nullable(),
  /** true: the manifest is about to be written, or to go. Where it is missing otherwise, somebody lost it. */
  transient: z.boolean().optional(),
});

export type BackupState = z.infer<typeof schema>;
export type Verification = BackupState['verifications'][number];

const stateDocument = document('state', schema, MAX_STATE_BYTES);

/** A backup as it is right after CREATE; `pinned: true` also for one whose state was lost. */
export function newState(
  id: number,
  manifestSha256: string,
  options: { pinned: boolean; list_sha256: string | null },
): BackupState {
  return {
    id,
    manifest_sha256: manifestSha256,
    list_sha256: options.list_sha256,
    pinned: options.pinned,
    status: 'complete',
    reason: null,
    verifications: [],
    verdicts: [],
    logical_digest: null,
    last_restored: null,
  };
}

/** Keeps the newest verifications, the first verdicts, and the start of long texts. */
export function encodeState(state: BackupState): Buffer {
  return stateDocument.encode({
    ...state,
    reason: clip(state.reason),
    verifications: state.verifications
      .slice(-VERIFICATIONS_KEPT)
      .map((verification) => ({ ...verification, error: clip(verification.error) })),
    verdicts: state.verdicts.slice(0, VERDICTS_KEPT),
  });
}

/** `id` is the one in the file's name. */
export function decodeState(bytes: Uint8Array, id: number): BackupState {
  const state = stateDocument.decode(bytes);
  if (state.id === id) return state;
  throw new FormatError('state', 'schema', `it says that it is of backup ${state.id}, its name says ${id}`);
}

function clip(value: string | null): string | null {
  return value === null || value.length <= MAX_TEXT ? value : value.slice(0, MAX_TEXT);
}
