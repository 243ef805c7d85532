/**
 * What the backup layer answers, as the outward contract names and orders it. Plain JSON values: the same object is
 * the reply, the FORMAT JSON text, and what the operations journal keeps. New fields are added at the end.
 */
import { formatTime } from '../base/time.js';
import type { BackupEntry } from './catalog.js';

export type BackupStatus = 'complete' | 'running' | 'incomplete' | 'corrupt';
export type VerifyMode = 'QUICK' | 'FULL' | 'DEEP';

/** A backup in LIST; INFO and CREATE add to it. */
export interface BackupRecord {
  id: number;
  type: string | null;
  status: BackupStatus;
  label: string | null;
  parent: number | null;
  base: number | null;
  timeline: number | null;
  sequence_from: number | null;
  sequence_to: number | null;
  timestamp: string | null;
  started_at: string | null;
  finished_at: string | null;
  duration_ms: number | null;
  files: number | null;
  size: number | null;
  stored_size: number | null;
  checksum: string | null;
  pinned: 0 | 1;
  verified_at: string | null;
  verify_status: 'never' | 'valid' | 'invalid';
}

export interface CreateRecord extends BackupRecord {
  /** Why an asked-for increment became a full; null: it did not. */
  promoted: string | null;
  /** Ids that retention removed after this create. */
  pruned: number[];
}

export interface FileVerdict {
  name: string;
  size: number;
  sha256: string;
  /** valid | corrupt | missing | size | unchecked */
  verdict: string;
}

export interface VerifyRecord {
  id: number;
  mode: VerifyMode;
  status: 'VALID' | 'running';
  files_total: number | null;
  files_verified: number | null;
  files_failed: number | null;
  bytes: number | null;
  duration_ms: number | null;
}

export interface RestoreRecord {
  id: number | null;
  target: string;
  sequence: number | null;
  timestamp: string | null;
  timeline: number | null;
  commits_replayed: number | null;
  bytes: number | null;
  duration_ms: number | null;
  downtime_ms: number | null;
  previous_dir: string | null;
  base: number | null;
  sequence_from: number | null;
  last_commit_at: string | null;
  timeline_new: number | null;
  commits_left_behind: number | null;
  /** Segments that were, or would be, read. */
  segments: number | null;
}

export interface DeleteRecord {
  deleted: number[];
  kept: number[];
  freed_bytes: number;
  dry_run: 0 | 1;
}

export interface PruneRecord extends DeleteRecord {
  reasons: { id: number; action: string; reason: string }[];
}

/** A catalogue entry as LIST shows it; a damaged one has what is still known. */
export function backupRecord(entry: BackupEntry): BackupRecord {
  const manifest = entry.manifest;
  const counted = entry.state.verifications.findLast(
    (verification) => verification.mode !== 'QUICK' || verification.status === 'invalid',
  );
  return {
    id: entry.id,
    type: manifest?.type ?? null,
    status: entry.status,
    label: manifest?.label ?? null,
    parent: manifest?.parent ?? null,
    base: manifest?.base ?? null,
    timeline: manifest?.timeline ?? null,
    sequence_from: manifest?.sequence_from ?? null,
    sequence_to: manifest?.sequence_to ?? null,
    timestamp: manifest?.timestamp ?? null,
    started_at: manifest?.started_at ?? null,
    finished_at: manifest?.finished_at ?? null,
    duration_ms: manifest?.duration_ms ?? null,
    files: manifest?.files ?? null,
    size: manifest?.size ?? null,
    stored_size: manifest?.stored_size ?? null,
    checksum: entry.manifestSha256 === null ? null : `sha256:${entry.manifestSha256}`,
    pinned: entry.state.pinned ? 1 : 0,
    verified_at: counted?.at ?? null,
    verify_status: counted?.status ?? 'never',
  };
}

/** The same for a backup that is being made. */
export function runningRecord(
  id: number,
  type: string | null,
  label: string | null,
  startedAtUs: number,
): BackupRecord {
  return {
    id,
    type,
    status: 'running',
    label,
    parent: null,
    base: null,
    timeline: null,
    sequence_from: null,
    sequence_to: null,
    timestamp: null,
    started_at: formatTime(startedAtUs),
    finished_at: null,
    duration_ms: null,
    files: null,
    size: null,
    stored_size: null,
    checksum: null,
    pinned: 0,
    verified_at: null,
    verify_status: 'never',
  };
}
