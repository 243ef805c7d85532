/** What a keyspace answers while it cannot do what is asked. */
import { CairnError, toCairnError } from '../base/errors.js';

/** During an exchange. */
export function loading(): CairnError {
  return new CairnError('LOADING', 'Cairn is swapping in a restored state', {
    hint: 'Send the command again in a moment; the connection stays open.',
  });
}

/** While the database is closed and opened anew, because its log takes no more writes. */
export function reopening(): CairnError {
  return new CairnError('LOADING', 'the database is opened anew after a failed write', {
    hint: 'Send the command again in a moment; the connection stays open.',
  });
}

/** Opened paused and not begun. */
export function starting(): CairnError {
  return new CairnError('LOADING', 'the server is starting', { hint: 'Send the command again in a moment.' });
}

export function stopping(): CairnError {
  return new CairnError('LOADING', 'the server is stopping');
}

/** After ADMIN.READONLY ON. */
export function writesStopped(): CairnError {
  return new CairnError('READONLY', "You can't write against a read only database: writes were stopped", {
    hint: 'ADMIN.READONLY OFF allows them again.',
  });
}

/** No database is open; `failure` says why. */
export function didNotOpen(failure: CairnError | undefined): CairnError {
  const why = failure === undefined ? 'no database is open' : `the database did not open: ${failure.message}`;
  return new CairnError('MISCONF', why, {
    hint:
      failure?.details.kind === 'lost'
        ? failure.hint
        : 'ADMIN.BACKUP LIST, VERIFY and RESTORE work; a restore brings a database back.',
    details: failure?.details ?? {},
    cause: failure,
  });
}

/** After a storage error. */
export function refusedAfter(cause: unknown): CairnError {
  const error = toCairnError(cause, 'MISCONF');
  return new CairnError('MISCONF', `writes are refused after a storage error: ${error.message}`, {
    hint: 'Remove the cause, then ADMIN.READONLY OFF checks the storage and resumes writes.',
    details: error.details,
    cause,
  });
}

/** The disk lost what it had taken, before it was synced. */
export function commitsLost(path: string, expected: number, actual: number): CairnError {
  return new CairnError(
    'MISCONF',
    `${path} ends at sequence ${actual}, and was at ${expected}: the disk lost what it failed to sync`,
    {
      hint: 'Restart the server: it serves what the disk has. RESTORE LATEST with a target has what was archived.',
      details: { kind: 'lost', path, expected, actual },
    },
  );
}

/** The check of ADMIN.READONLY OFF found that nothing is better. */
export function stillRefused(cause: unknown, path: string): CairnError {
  const error = toCairnError(cause, 'MISCONF');
  return new CairnError('MISCONF', `the storage still refuses writes: ${error.message}`, {
    hint: 'Remove the cause, then ADMIN.READONLY OFF again.',
    details: { ...error.details, path },
    cause,
  });
}
