/**
 * The audit log: one JSON line per call of an administrative command, refused ones too, appended to a file of its own.
 * The log on stderr says what the server did; this says who asked for it.
 *
 *   {"time":"2026-01-28T10:30:04.123456Z","user":"default","client":"127.0.0.1:40112","client_id":7,
 *    "command":"config|set","argv":["CONFIG","SET","maxclients","500"],"outcome":"ok","duration_us":412}
 *
 * Callers never wait: a record joins a queue in memory, and one write at a time takes what is queued, in order. What was
 * written is synced within a second, and all of it before `close` resolves. The queue is bounded. While the file cannot be
 * written to, records wait in it; what does not fit is counted, and a line in the file says how many are missing there.
 * Nothing of this is silent: it is in the log and in `state`, which INFO shows.
 *
 * Refusals cost a client nothing, so a flood of them must not fill the disk: beyond a rate they are counted, and a line says
 * how many there were.
 *
 * The file is opened without following a link and must be a regular one. A record that was cut by a full disk is continued
 * when there is space; one that was cut by a crash is ended by a line end at the next start.
 */

import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { WallClock } from '../base/clock.js';
import { CairnError } from '../base/errors.js';
import { errnoOf, FILE_MODE, fsyncDirectory } from '../base/fs.js';
import { escapedJson } from '../base/printable.js';
import { formatTime } from '../base/time.js';
import type { Log } from './log.js';

/** One call. Everything in it is printable and bounded: whoever makes it sees to that. */
export interface AuditRecord {
  /** When it began. */
  readonly timeUs: number;
  /** null: nobody had logged in. */
  readonly user: string | null;
  readonly client: string;
  readonly clientId: number;
  /** As in protocol/: 'config|set'; for what is no command, its first word. */
  readonly command: string;
  /** The request as it came, secrets masked. */
  readonly argv: readonly string[];
  /** 'ok', or the error's code. */
  readonly outcome: string;
  readonly error?: string;
  readonly durationUs: number;
  /** It came between MULTI and EXEC. */
  readonly inTransaction?: boolean;
  /** The client had gone when it ended. */
  readonly disconnected?: boolean;
}

export interface AuditState {
  readonly enabled: boolean;
  readonly records: number;
  /** Never written: the queue was full, or the file could not be written to until the end. */
  readonly recordsLost: number;
  readonly refusalsSuppressed: number;
  readonly writeErrors: number;
  /** '' when the last write went well. */
  readonly lastError: string;
}

export interface AuditLog {
  readonly state: AuditState;
  nowUs(): number;
  /** Never waits, never throws. `refusal`: it cost the client nothing, and may be counted only. */
  write(record: AuditRecord, refusal: boolean): void;
  /** After rotation: goes on in the file that has the name now. Keeps the old one when that fails, and says so. */
  reopen(): Promise<void>;
  /** Resolves when everything is on the disk; false when that could not be. */
  close(): Promise<boolean>;
}

export interface AuditOptions {
  /** Absolute; null: off. */
  readonly path: string | null;
  readonly clock: WallClock;
  readonly log: Log;
  /** How much may wait in memory. */
  readonly queueBytes?: number;
  readonly retryMs?: number;
}

const QUEUE_BYTES = 8 * 1024 * 1024;
const WRITE_BYTES = 256 * 1024;
const SYNC_MS = 1000;
const RETRY_MS = 1000;
/** While it fails, the log repeats it this often. */
const REPEAT_MS = 60_000;
/** So many refusals at once, and so many per second. */
const REFUSAL_BURST = 200;
const REFUSALS_PER_SECOND = 20;

/** Throws, with what to do, when the file cannot be used. */
export async function openAudit(options: AuditOptions): Promise<AuditLog> {
  if (options.path === null) return auditOff(options.clock);
  const { file, endsWithin } = await openFile(options.path, options.log);
  return new AuditFile(options.path, file, endsWithin, options);
}

export function auditOff(clock: WallClock): AuditLog {
  const state = { enabled: false, records: 0, recordsLost: 0, refusalsSuppressed: 0, writeErrors: 0, lastError: '' };
  return { state, nowUs: () => clock.nowUs(), write() {}, async reopen() {}, close: async () => true };
}

interface Line {
  readonly bytes: Buffer;
  /** How much of it is in the file: more than nothing only for the first one, after a write that was cut. */
  written: number;
}

interface Missing {
  count: number;
  sinceUs: number;
}

class AuditFile implements AuditLog {
  private queue: Line[] = [];
  private queuedBytes = 0;
  private readonly queueBytes: number;
  /** Work on the file, one after the other. */
  private turn: Promise<unknown> = Promise.resolve();
  private draining = false;
  private retryTimer: NodeJS.Timeout | null = null;
  private syncTimer: NodeJS.Timeout | null = null;
  private closed = false;

  private records = 0;
  private recordsLost = 0;
  private refusalsSuppressed = 0;
  private writeErrors = 0;
  private lastError = '';
  private saidAtMs = Number.NEGATIVE_INFINITY;
  /** Not yet said in the file. */
  private lost: Missing | null = null;
  private suppressed: Missing | null = null;

  private allowance = REFUSAL_BURST;
  private allowanceAtMs = performance.now();
  private suppressedTimer: NodeJS.Timeout | null = null;

  constructor(
    private readonly path: string,
    private file: FileHandle,
    endsWithin: boolean,
    private readonly options: AuditOptions,
  ) {
    this.queueBytes = options.queueBytes ?? QUEUE_BYTES;
    if (endsWithin) this.push(Buffer.from('\n'));
  }

  get state(): AuditState {
    const { records, recordsLost, refusalsSuppressed, writeErrors, lastError } = this;
    return { enabled: true, records, recordsLost, refusalsSuppressed, writeErrors, lastError };
  }

  nowUs(): number {
    return this.options.clock.nowUs();
  }

  write(record: AuditRecord, refusal: boolean): void {
    if (refusal && !this.mayRefuse()) {
      this.refusalsSuppressed++;
      this.suppressed = counted(this.suppressed, record.timeUs);
      this.suppressedTimer ??= setTimeout(() => this.saySuppressed(), 1000).unref();
      return;
    }
    if (!refusal) this.saySuppressed();
    this.records++;
    this.add(lineOf(record), record.timeUs);
  }

  reopen(): Promise<void> {
    const work = async () => {
      if (this.closed) return;
      let next: Awaited<ReturnType<typeof openFile>>;
      try {
        next = await openFile(this.path, this.options.log);
      } catch (error) {
        this.failed(error, 'the audit log could not be opened anew: records go on in the file that was open before');
        return;
      }
      const before = this.file;
      this.file = next.file;
      // The whole record, in one file.
      for (const line of this.queue) {
        this.queuedBytes += line.written;
        line.written = 0;
      }
      if (next.endsWithin) this.push(Buffer.from('\n'), true);
      await before.datasync().catch((error: unknown) => this.failed(error, 'the audit log could not be synced'));
      await before.close().catch((error: unknown) => this.failed(error, 'the audit log could not be closed'));
      this.options.log.info('audit log opened anew', { file: this.path });
    };
    return this.inTurn(work);
  }

  async close(): Promise<boolean> {
    if (this.suppressedTimer !== null) clearTimeout(this.suppressedTimer);
    this.saySuppressed();
    if (this.retryTimer !== null) clearTimeout(this.retryTimer);
    if (this.syncTimer !== null) clearTimeout(this.syncTimer);
    await this.inTurn(() => this.drain());
    this.closed = true;
    if (this.retryTimer !== null) clearTimeout(this.retryTimer);
    if (this.syncTimer !== null) clearTimeout(this.syncTimer);
    let clean = this.queue.length === 0;
    try {
      await this.file.datasync();
    } catch (error) {
      clean = false;
      this.failed(error, 'the audit log could not be synced');
    }
    if (this.queue.length > 0) {
      this.recordsLost += this.queue.length;
      this.options.log.error('the audit log ends without its last records', {
        file: this.path,
        records: this.queue.length,
        reason: this.lastError,
      });
    }
    await this.file.close().catch((error: unknown) => this.failed(error, 'the audit log could not be closed'));
    return clean;
  }

  private mayRefuse(): boolean {
    const nowMs = performance.now();
    const gained = ((nowMs - this.allowanceAtMs) / 1000) * REFUSALS_PER_SECOND;
    this.allowance = Math.min(REFUSAL_BURST, this.allowance + gained);
    this.allowanceAtMs = nowMs;
    if (this.allowance < 1) return false;
    this.allowance--;
    return true;
  }

  private saySuppressed(): void {
    if (this.suppressedTimer !== null) clearTimeout(this.suppressedTimer);
    this.suppressedTimer = null;
    const { suppressed } = this;
    if (suppressed === null) return;
    this.suppressed = null;
    this.add(this.note('refusals_suppressed', suppressed), suppressed.sinceUs);
  }

  /** Where records are missing, once everything before them is written. */
  private sayLost(): void {
    if (this.lost === null) return;
    this.push(this.note('records_lost', this.lost));
    this.lost = null;
  }

  private note(event: string, { count, sinceUs }: Missing): Buffer {
    const [time, since] = [formatTime(this.nowUs()), formatTime(sinceUs)];
    return Buffer.from(`${JSON.stringify({ time, event, count, since })}\n`);
  }

  private add(line: Buffer, timeUs: number): void {
    if (!this.closed && this.lost === null && this.queuedBytes + line.length <= this.queueBytes) {
      this.push(line);
      return;
    }
    this.recordsLost++;
    if (this.lost === null) {
      this.options.log.error('audit records are lost: too many wait to be written', {
        file: this.path,
        reason: this.lastError,
      });
    }
    this.lost = counted(this.lost, timeUs);
  }

  private push(bytes: Buffer, first = false): void {
    const line = { bytes, written: 0 };
    if (first) this.queue.unshift(line);
    else this.queue.push(line);
    this.queuedBytes += bytes.length;
    if (this.draining || this.retryTimer !== null) return;
    this.draining = true;
    void this.inTurn(() => this.drain());
  }

  private inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.turn.then(work);
    this.turn = done.catch((error: unknown) => this.failed(error, 'the audit log failed'));
    return done;
  }

  private async drain(): Promise<void> {
    this.draining = true;
    try {
      while (this.queue.length > 0) {
        await this.writeSome();
        if (this.queue.length === 0) this.sayLost();
      }
      this.syncTimer ??= setTimeout(() => void this.inTurn(() => this.sync()), SYNC_MS).unref();
    } catch (error) {
      this.failed(error, 'the audit log cannot be written to');
      const again = () => {
        this.retryTimer = null;
        void this.inTurn(() => this.drain());
      };
      this.retryTimer ??= setTimeout(again, this.options.retryMs ?? RETRY_MS).unref();
    } finally {
      this.draining = false;
    }
  }

  /** One write; what of it arrived leaves the queue, also when it was less than all. */
  private async writeSome(): Promise<void> {
    const pieces: Buffer[] = [];
    let length = 0;
    for (const { bytes, written } of this.queue) {
      if (length >= WRITE_BYTES) break;
      pieces.push(bytes.subarray(written));
      length += bytes.length - written;
    }
    const { bytesWritten } = await this.file.write(Buffer.concat(pieces, length));
    let left = bytesWritten;
    let whole = 0;
    while (left > 0) {
      const line = this.queue[whole] as Line;
      const taken = Math.min(left, line.bytes.length - line.written);
      line.written += taken;
      left -= taken;
      if (line.written === line.bytes.length) whole++;
    }
    this.queue.splice(0, whole);
    this.queuedBytes -= bytesWritten;
    if (bytesWritten === length) this.wentWell();
  }

  private async sync(): Promise<void> {
    this.syncTimer = null;
    if (this.closed) return;
    try {
      await this.file.datasync();
      if ((await this.file.stat()).nlink > 0) return;
    } catch (error) {
      this.failed(error, 'the audit log could not be synced');
      return;
    }
    this.options.log.error('the audit log was removed while it was written to: what was in it is gone', {
      file: this.path,
    });
    void this.reopen();
  }

  private wentWell(): void {
    if (this.lastError === '') return;
    this.options.log.info('the audit log can be written to again', { file: this.path, recordsLost: this.recordsLost });
    this.lastError = '';
    this.saidAtMs = Number.NEGATIVE_INFINITY;
  }

  private failed(error: unknown, event: string): void {
    this.writeErrors++;
    const reason = error instanceof Error ? error.message : String(error);
    const nowMs = performance.now();
    if (reason !== this.lastError || nowMs - this.saidAtMs > REPEAT_MS) {
      this.options.log.error(event, { file: this.path, reason, waiting: this.queue.length });
      this.saidAtMs = nowMs;
    }
    this.lastError = reason;
  }
}

function counted(missing: Missing | null, timeUs: number): Missing {
  return missing === null ? { count: 1, sinceUs: timeUs } : { ...missing, count: missing.count + 1 };
}

function lineOf(record: AuditRecord): Buffer {
  const { timeUs, user, client, clientId, command, argv, outcome, error, durationUs } = record;
  const fields = {
    time: formatTime(timeUs),
    user,
    client,
    client_id: clientId,
    command,
    argv,
    outcome,
    error,
    duration_us: durationUs,
    multi: record.inTransaction ? 1 : undefined,
    disconnected: record.disconnected ? 1 : undefined,
  };
  return Buffer.from(`${escapedJson(JSON.stringify(fields))}\n`);
}

/** `endsWithin`: a crash cut its last record. */
async function openFile(path: string, log: Log): Promise<{ file: FileHandle; endsWithin: boolean }> {
  const { O_RDWR, O_APPEND, O_CREAT, O_NOFOLLOW, O_NONBLOCK } = constants;
  let file: FileHandle;
  try {
    file = await open(path, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK, FILE_MODE);
  } catch (error) {
    throw cannotUse(path, error);
  }
  try {
    const stats = await file.stat();
    if (!stats.isFile()) throw cannotUse(path, Object.assign(new Error('not a regular file'), { code: 'EINVAL' }));
    if ((stats.mode & 0o077) !== 0) {
      await file.chmod(FILE_MODE);
      log.warn('the audit log could be read by others: it is private now', {
        file: path,
        mode: (stats.mode & 0o777).toString(8),
      });
    }
    if (stats.size === 0) await fsyncDirectory(dirname(path));
    const last = Buffer.alloc(1);
    const { bytesRead } = await file.read(last, 0, 1, Math.max(0, stats.size - 1));
    return { file, endsWithin: bytesRead === 1 && last[0] !== 0x0a };
  } catch (error) {
    await file.close();
    throw error instanceof CairnError ? error : cannotUse(path, error);
  }
}

function cannotUse(path: string, error: unknown): CairnError {
  const code = errnoOf(error);
  const reason =
    code === 'ELOOP'
      ? 'it is a symbolic link, which is not followed'
      : code === 'EINVAL' || code === 'EISDIR' || code === 'ENXIO'
        ? 'it is not a regular file'
        : (error as Error).message;
  return new CairnError('ERR', `the audit log ${path} cannot be used: ${reason}`, {
    hint: 'Set audit.file to a file in a directory that the server may write to, or to nothing for no audit log.',
    cause: error,
  });
}
