/** STATUS and INFO: what runs, what ran last, what a monitoring system asks. */
import { CairnError, oneLine } from '../base/errors.js';
import { formatTime, parseTime } from '../base/time.js';
import type { ArchiveLag } from './archiver.js';
import type { Catalog } from './catalog.js';
import type { OperationRecord, Operations } from './operations.js';
import type { WindowSummary } from './window.js';

export interface StatusRecord {
  state: 'idle' | 'running';
  operation: string | null;
  id: number | null;
  phase: string | null;
  bytes_done: number | null;
  bytes_total: number | null;
  percent: number | null;
  started_at: string | null;
  eta_ms: number | null;
  last_operation: string | null;
  last_id: number | null;
  /** ok | err | cancelled | none */
  last_status: string;
  last_error: string | null;
  last_finished_at: string | null;
  last_success_id: number | null;
  last_success_at: string | null;
  last_failure_id: number | null;
  last_failure_at: string | null;
  last_failure_error: string | null;
  archive_lag_ms: number | null;
  archive_lag_commits: number | null;
  prune_error: string | null;
  archive_lag_bytes: number | null;
  archive_error: string | null;
}

export interface StatusFacts {
  pruneError: string | null;
  /** null: this server archives nothing. */
  lag: ArchiveLag | null;
  nowUs: number;
}

/** Without an id: what runs now (the exclusive operation before others) and the last ended one. With one: that operation's. */
export function statusRecord(
  operations: Operations,
  id: number | null,
  { pruneError, lag, nowUs }: StatusFacts,
): StatusRecord {
  const found = id === null ? null : operations.find(id);
  if (id !== null && found === null) {
    throw new CairnError('BACKUPNOTFOUND', `no operation on backup ${id} is on record`, {
      hint: 'ADMIN.BACKUP INFO shows the backup itself.',
    });
  }
  const running = found === null ? (operations.exclusive() ?? operations.running().at(-1) ?? null) : found.running;
  const ended = found === null ? operations.last(() => true) : found.running === null ? found.record : null;
  const success = operations.last(({ operation, status }) => operation === 'create' && status === 'ok');
  const failure = operations.last(({ operation, status }) => operation === 'create' && status !== 'ok');
  const total = running?.bytesTotal ?? null;
  const done = running === null ? null : total === null ? running.bytesDone : Math.min(running.bytesDone, total);
  return {
    state: running === null ? 'idle' : 'running',
    operation: running?.record.operation ?? null,
    id: running?.id ?? null,
    phase: running?.phase ?? null,
    bytes_done: done,
    bytes_total: total,
    percent: total === null || done === null ? null : total === 0 ? 100 : Math.floor((done / total) * 100),
    started_at: running === null ? null : formatTime(running.record.startedAtUs),
    eta_ms: running === null ? null : remainingMs(done ?? 0, total, nowUs - running.record.startedAtUs),
    last_operation: ended?.operation ?? null,
    last_id: ended?.ids[0] ?? null,
    last_status: ended?.status ?? 'none',
    last_error: ended === null ? null : errorLine(ended),
    last_finished_at: timeOf(ended),
    last_success_id: success?.ids[0] ?? null,
    last_success_at: timeOf(success),
    last_failure_id: failure?.ids[0] ?? null,
    last_failure_at: timeOf(failure),
    last_failure_error: failure === null ? null : errorLine(failure),
    archive_lag_ms: lag?.ms ?? null,
    archive_lag_commits: lag?.commits ?? null,
    prune_error: pruneError,
    archive_lag_bytes: lag?.bytes ?? null,
    archive_error: lag?.error ?? null,
  };
}

export interface InfoFields {
  backup: Record<string, string | number>;
  persistence: Record<string, string | number>;
}

export interface InfoFacts {
  sameDevice: boolean;
  repositoryBytes: number;
  timeline: number;
  lag: ArchiveLag | null;
  window: WindowSummary;
}

/** The fields of `INFO backup`, and those of `INFO persistence` that backups decide. */
export function infoFields(catalog: Catalog, operations: Operations, facts: InfoFacts): InfoFields {
  const running = operations.exclusive() ?? operations.running().at(-1) ?? null;
  const create = operations.last(({ operation }) => operation === 'create');
  const success = operations.last(({ operation, status }) => operation === 'create' && status === 'ok');
  const failure = operations.last(({ operation, status }) => operation === 'create' && status !== 'ok');
  const verify = operations.last(({ operation }) => operation === 'verify');
  const restore = operations.last(({ operation, status }) => operation === 'restore' && status === 'ok');
  const latest = catalog.latestComplete();
  const lastSave = latest?.manifest ? Math.floor(parseTime(latest.manifest.timestamp).us / 1_000_000) : 0;
  const lastStatus = create === null ? 'none' : create.status === 'ok' ? 'ok' : 'err';
  const creating = running?.record.operation === 'create';
  return {
    backup: {
      backup_in_progress: creating ? 1 : 0,
      backup_operation: running?.record.operation ?? 'none',
      backup_last_status: lastStatus,
      backup_last_error: create === null ? '' : (errorLine(create) ?? ''),
      backup_last_success_time: seconds(success),
      backup_last_failure_time: seconds(failure),
      backup_last_duration_ms:
        create?.finishedAtUs == null ? 0 : Math.round((create.finishedAtUs - create.startedAtUs) / 1000),
      backup_count: catalog.entries().filter((entry) => entry.status === 'complete').length,
      backup_repository_bytes: facts.repositoryBytes,
      backup_same_device: facts.sameDevice ? 1 : 0,
      backup_last_verify_time: seconds(verify),
      backup_last_verify_status: verify === null ? 'none' : verify.status === 'ok' ? 'ok' : 'err',
      recovery_window_from: unixSeconds(facts.window.fromUs),
      recovery_window_to: unixSeconds(facts.window.toUs),
      recovery_gaps: facts.window.gaps,
      wal_archive_lag_ms: facts.lag?.ms ?? 0,
      wal_archive_lag_commits: facts.lag?.commits ?? 0,
      timeline: facts.timeline,
      last_restore_time: seconds(restore),
      last_restore_duration_ms:
        restore?.finishedAtUs == null ? 0 : Math.round((restore.finishedAtUs - restore.startedAtUs) / 1000),
      wal_archive_lag_bytes: facts.lag?.bytes ?? 0,
      wal_archive_error: facts.lag?.error ?? '',
    },
    persistence: {
      rdb_bgsave_in_progress: creating ? 1 : 0,
      rdb_last_save_time: lastSave,
      rdb_last_bgsave_status: lastStatus === 'err' ? 'err' : 'ok',
    },
  };
}

function remainingMs(done: number, total: number | null, elapsedUs: number): number | null {
  if (total === null || done === 0) return null;
  return Math.round((elapsedUs / 1000) * ((total - done) / done));
}

function seconds(record: OperationRecord | null): number {
  return record?.finishedAtUs == null ? 0 : Math.floor(record.finishedAtUs / 1_000_000);
}

function unixSeconds(us: number | null): number {
  return us === null ? 0 : Math.floor(us / 1_000_000);
}

function timeOf(record: OperationRecord | null): string | null {
  return record?.finishedAtUs == null ? null : formatTime(record.finishedAtUs);
}

function errorLine(record: OperationRecord): string | null {
  if (record.error === null) return null;
  return oneLine(`${record.error.code} ${record.error.message}`);
}
