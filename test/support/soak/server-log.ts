/** What a server wrote on stderr, held to what it may say: nothing unexpected, nothing broken, and everything that was answered. */
import type { LogRecord } from '../log.js';
import { Violation } from './violation.js';
import { INJECTED } from './world.js';

const BUG = /internal error|unhandled|uncaught|assert|unexpectedly|TypeError|RangeError|not a function/i;

/** Warnings and errors that may come while everything is right. */
const EXPECTED = new Set([
  'fault points are armed: this is a test',
  'backups share the disk of the data: one dying disk takes both; set backup.dir to another one',
  'an increment became a full backup',
  'an operation was interrupted by a stop of the server',
  'the log ended in a write that was never whole',
]);

/** Those that tell of commits which were not archived, after archiving was off. */
const AFTER_ARCHIVE_OFF = new Set([
  'commits before the newest full are not in the log: the recovery window begins anew with it',
  'the recovery window is closed: commits are not in the log any more. The next backup has to be a full',
  'the recovery window is closed: commits are not in the log any more. The full starts a new one',
]);

export function readLog(stderr: string): LogRecord[] {
  return stderr
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      try {
        return JSON.parse(line) as LogRecord;
      } catch {
        throw new Violation(`the log has a line that is none: ${line.slice(0, 300)}`);
      }
    });
}

export function requireQuietLog(
  records: readonly LogRecord[],
  { mayHaveGaps, injects }: { mayHaveGaps: boolean; injects: boolean },
): void {
  for (const record of records) {
    const { level, event } = record;
    const text = JSON.stringify(record);
    if (BUG.test(text)) throw new Violation(`the log tells of a bug: ${text.slice(0, 2000)}`);
    if (level !== 'warn' && level !== 'error') continue;
    if (injects && INJECTED.test(text)) continue;
    if (EXPECTED.has(event) || (mayHaveGaps && AFTER_ARCHIVE_OFF.has(event))) continue;
    throw new Violation(`the log says what it should not: ${text.slice(0, 2000)}`);
  }
}

/** Every backup that was answered is in the log, once, and every restore in place. */
export function requireLogged(
  records: readonly LogRecord[],
  created: readonly number[],
  restoredInPlace: number,
): void {
  const logged = records.filter(({ event }) => event === 'backup created').map(({ id }) => id as number);
  if (new Set(logged).size !== logged.length) throw new Violation(`the log has a backup twice: ${logged.join(' ')}`);
  const silent = created.filter((id) => !logged.includes(id));
  if (silent.length > 0) throw new Violation(`the log does not know of backups ${silent.join(' ')}`);
  const events = ['backup restored', 'previous database restored'];
  const restored = records.filter(({ event, target }) => events.includes(event) && target === 'in-place').length;
  if (restored < restoredInPlace)
    throw new Violation(`the log has ${restored} restores in place of ${restoredInPlace}`);
}
