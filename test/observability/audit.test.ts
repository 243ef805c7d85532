/** The file of the audit log: what it refuses, what is in it after trouble, and that nothing of it is silent. */
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { systemClock } from '../../src/base/clock.js';
import { type AuditLog, type AuditRecord, openAudit } from '../../src/observability/audit.js';
import { capturingLog, silentLog } from '../support/log.js';
import { scratch } from '../support/scratch.js';
import { cannotMount, smallDisk } from '../support/small-disk.js';
import { waitFor } from '../support/wait.js';

const clock = systemClock();

function record(changes: Partial<AuditRecord> = {}): AuditRecord {
  return {
    timeUs: clock.nowUs(),
    user: 'default',
    client: '127.0.0.1:4000',
    clientId: 1,
    command: 'flushall',
    argv: ['FLUSHALL'],
    outcome: 'ok',
    durationUs: 10,
    ...changes,
  };
}

function numbered(audit: AuditLog, from: number, to: number, pad = 0): void {
  for (let nth = from; nth <= to; nth++) audit.write(record({ clientId: nth, argv: ['x'.repeat(pad)] }), false);
}

interface Line {
  client_id: number;
  event?: string;
  count?: number;
}

function lines(path: string): Line[] {
  const text = readFileSync(path, 'utf8');
  if (text === '') return [];
  if (!text.endsWith('\n')) throw new Error('the last line has no end');
  return text
    .slice(0, -1)
    .split('\n')
    .map((line) => JSON.parse(line) as Line);
}

function ids(path: string): number[] {
  return lines(path).flatMap((line) => (line.event === undefined ? [line.client_id] : []));
}

function sequence(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, nth) => from + nth);
}

t.test('10,000 records in one turn are all there, in order, when close resolves; the file is private', async (t) => {
  const path = join(scratch(t), 'audit.jsonl');
  const mask = process.umask(0);
  const audit = await openAudit({ path, clock, log: silentLog() });
  process.umask(mask);
  numbered(audit, 1, 10_000);
  t.equal(await audit.close(), true);
  t.same(ids(path), sequence(1, 10_000));
  t.equal(statSync(path).mode & 0o777, 0o600);
  t.match(audit.state, { records: 10_000, recordsLost: 0, writeErrors: 0, lastError: '' });
});

t.test('a link, a directory, a pipe and a missing directory are refused with what to do', async (t) => {
  const dir = scratch(t, { 'target.txt': 'untouched' });
  symlinkSync(join(dir, 'target.txt'), join(dir, 'link'));
  symlinkSync(join(dir, 'nothing'), join(dir, 'dangling'));
  mkdirSync(join(dir, 'directory'));
  execFileSync('mkfifo', [join(dir, 'pipe')]);
  for (const [name, reason] of [
    ['link', 'it is a symbolic link, which is not followed'],
    ['dangling', 'it is a symbolic link, which is not followed'],
    ['directory', 'it is not a regular file'],
    ['pipe', 'it is not a regular file'],
    ['missing/audit.jsonl', 'ENOENT'],
  ] as const) {
    const opening = openAudit({ path: join(dir, name), clock, log: silentLog() });
    await t.rejects(opening, { message: new RegExp(reason), hint: /audit\.file/ }, name);
  }
  t.equal(readFileSync(join(dir, 'target.txt'), 'utf8'), 'untouched');
  t.notOk(existsSync(join(dir, 'nothing')));
});

t.test('a file that others could read is made private, and that is said', async (t) => {
  const path = join(scratch(t, { 'audit.jsonl': '' }), 'audit.jsonl');
  chmodSync(path, 0o644);
  const { log, records } = capturingLog();
  const audit = await openAudit({ path, clock, log });
  await audit.close();
  t.equal(statSync(path).mode & 0o777, 0o600);
  t.match(records, [{ level: 'warn', mode: '644' }]);
});

t.test('a record that a crash cut is ended, and the next one has a line of its own', async (t) => {
  const path = join(scratch(t, { 'audit.jsonl': '{"time":"cut' }), 'audit.jsonl');
  const audit = await openAudit({ path, clock, log: silentLog() });
  numbered(audit, 1, 1);
  await audit.close();
  const [cut, whole, rest] = readFileSync(path, 'utf8').split('\n');
  t.equal(cut, '{"time":"cut');
  t.equal((JSON.parse(whole ?? '') as Line).client_id, 1);
  t.equal(rest, '');
});

t.test('after a rotation it goes on in the new file, and no record is in both or in none', async (t) => {
  const path = join(scratch(t), 'audit.jsonl');
  const audit = await openAudit({ path, clock, log: silentLog() });
  const found: number[] = [];
  for (let round = 0; round < 5; round++) {
    numbered(audit, round * 100 + 1, round * 100 + 50);
    renameSync(path, `${path}.${round}`);
    const reopened = audit.reopen();
    numbered(audit, round * 100 + 51, round * 100 + 100);
    await reopened;
  }
  await audit.close();
  for (let round = 0; round < 5; round++) found.push(...ids(`${path}.${round}`));
  found.push(...ids(path));
  t.same(found, sequence(1, 500));
});

t.test('a file that cannot be opened anew is said, and records go on in the old one', async (t) => {
  const path = join(scratch(t), 'audit.jsonl');
  const { log, records } = capturingLog();
  const audit = await openAudit({ path, clock, log });
  renameSync(path, `${path}.1`);
  symlinkSync('/dev/null', path);
  await audit.reopen();
  t.match(audit.state, { writeErrors: 1, lastError: /symbolic link/ });
  t.match(records, [{ level: 'error', event: /could not be opened anew/ }]);
  numbered(audit, 1, 3);
  await audit.close();
  t.same(ids(`${path}.1`), [1, 2, 3]);
});

t.test('a file that was removed meanwhile is missed, made anew, and said', async (t) => {
  const path = join(scratch(t), 'audit.jsonl');
  const { log, records } = capturingLog();
  const audit = await openAudit({ path, clock, log });
  rmSync(path);
  numbered(audit, 1, 1);
  await waitFor(() => existsSync(path), { what: 'the file to be made anew' });
  numbered(audit, 2, 2);
  await audit.close();
  t.same(ids(path), [2]);
  t.match(
    records.filter(({ level }) => level === 'error'),
    [{ event: /removed while it was written to/ }],
  );
});

t.test('refusals beyond a rate are counted and said in one line; calls that ran are all recorded', async (t) => {
  const path = join(scratch(t), 'audit.jsonl');
  const audit = await openAudit({ path, clock, log: silentLog() });
  for (let nth = 0; nth < 5000; nth++) audit.write(record({ clientId: -1, outcome: 'NOAUTH' }), true);
  numbered(audit, 1, 300);
  await audit.close();
  const refused = ids(path).filter((id) => id === -1).length;
  t.ok(refused >= 200 && refused < 1000, `${refused} refusals`);
  const notes = lines(path).filter((line) => line.event === 'refusals_suppressed');
  t.equal(
    notes.reduce((sum, note) => sum + (note.count ?? 0), refused),
    5000,
  );
  t.equal(audit.state.refusalsSuppressed, 5000 - refused);
  t.same(
    ids(path).filter((id) => id !== -1),
    sequence(1, 300),
  );
});

t.test(
  'A2: a full disk: the failure is said, what fits waits, what does not is counted, and it goes on',
  {
    skip: cannotMount,
  },
  async (t) => {
    const disk = smallDisk(t, 1);
    const path = join(disk.path, 'audit.jsonl');
    const { log, records } = capturingLog();
    const audit = await openAudit({ path, clock, log, queueBytes: 64 * 1024, retryMs: 20 });
    disk.fillUpTo(0);
    numbered(audit, 1, 20, 1000);
    await waitFor(() => audit.state.writeErrors > 0, { what: 'the disk to be full' });
    t.match(audit.state.lastError, /ENOSPC|no space/i);
    numbered(audit, 21, 200, 1000);
    t.ok(audit.state.recordsLost > 100, `${audit.state.recordsLost} lost`);
    disk.free();
    await waitFor(() => audit.state.lastError === '', { what: 'the audit log to go on' });
    numbered(audit, 201, 210, 1000);
    t.equal(await audit.close(), true);
    const kept = 200 - audit.state.recordsLost;
    t.same(ids(path), [...sequence(1, kept), ...sequence(201, 210)]);
    const note = lines(path)[kept];
    t.match(note, { event: 'records_lost', count: audit.state.recordsLost });
    const events = records.map(({ event }) => event);
    t.ok(events.includes('the audit log cannot be written to'));
    t.ok(events.includes('audit records are lost: too many wait to be written'));
    t.ok(events.includes('the audit log can be written to again'));
    t.ok(events.length < 10, `the log is not flooded: ${events.length} lines`);
  },
);

t.test('what cannot be written until the end is said by close', { skip: cannotMount }, async (t) => {
  const disk = smallDisk(t, 1);
  const { log, records } = capturingLog();
  const audit = await openAudit({ path: join(disk.path, 'audit.jsonl'), clock, log });
  disk.fillUpTo(0);
  numbered(audit, 1, 50, 1000);
  t.equal(await audit.close(), false);
  t.ok(audit.state.recordsLost > 0);
  t.ok(records.some(({ event }) => event === 'the audit log ends without its last records'));
});

t.test('audit.file empty: nothing is written and nothing fails', async (t) => {
  const audit = await openAudit({ path: null, clock, log: silentLog() });
  numbered(audit, 1, 3);
  await audit.reopen();
  t.equal(await audit.close(), true);
  t.equal(audit.state.enabled, false);
});
