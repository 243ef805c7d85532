/** ADMIN.BACKUP VERIFY and RESTORE: what proves a backup, and what it is for. */
import type { TargetWords } from '../backup/moments.js';
import type { RestoreRecord, VerifyMode, VerifyRecord } from '../backup/records.js';
import type { BackupReference } from '../backup/service.js';
import { adminCommand, replyOf, required, type Values } from './admin-call.js';
import type { ServerCommand } from './command.js';

function runningVerify(id: number, mode: VerifyMode): VerifyRecord {
  return {
    id,
    mode,
    status: 'running',
    files_total: null,
    files_verified: null,
    files_failed: null,
    bytes: null,
    duration_ms: null,
  };
}

const verify = adminCommand('admin.backup|verify', async (values, { services }) => {
  const reference = required(values.either('id'), 'id');
  const mode = (values.word('mode') ?? 'FULL') as VerifyMode;
  if (reference === 'ALL') {
    const { operation, done } = await services.backup.verifyAll(mode);
    if (!values.flag('async')) return replyOf(await done);
    done.catch(() => undefined);
    return replyOf(operation.record.ids.map((id) => runningVerify(id, mode)));
  }
  const { operation, done } = await services.backup.verify(reference as BackupReference, mode);
  if (!values.flag('async')) return replyOf(await done);
  done.catch(() => undefined);
  return replyOf(runningVerify(operation.record.ids[0] ?? 0, mode));
});

function runningRestore(id: number | null, target: string): RestoreRecord & { status: string } {
  return {
    id,
    target,
    sequence: null,
    timestamp: null,
    timeline: null,
    commits_replayed: null,
    bytes: null,
    duration_ms: null,
    downtime_ms: null,
    previous_dir: null,
    base: null,
    sequence_from: null,
    last_commit_at: null,
    timeline_new: null,
    commits_left_behind: null,
    segments: null,
    status: 'running',
  };
}

function target(values: Values): TargetWords | null {
  const at = values.word('at');
  if (at !== null) return { at };
  const seq = values.number('seq');
  if (seq !== null) return { seq };
  const tag = values.word('tag');
  return tag === null ? null : { tag };
}

const restore = adminCommand('admin.backup|restore', async (values, { services }) => {
  const request = {
    backup: required(values.either('id'), 'id') as BackupReference | 'PREVIOUS',
    target: target(values),
    timeline: values.number('timeline'),
    to: values.word('to'),
    ifTimeline: values.number('iftimeline'),
  };
  if (values.flag('dryrun')) return replyOf(await services.backup.restoreDryRun(request));
  const { operation, done } = await services.backup.restore(request);
  if (!values.flag('async')) return replyOf(await done);
  done.catch(() => undefined);
  return replyOf(runningRestore(operation.id, request.to ?? 'in-place'));
});

export const backupCheckCommands: readonly ServerCommand[] = [verify, restore];
