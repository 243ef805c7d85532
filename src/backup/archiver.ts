/**
 * The archiver: keeps the repository's segments up to the live log, on a timer and whenever an operation asks for it.
 *
 *   detached ──attach──→ attached ──tick──→ captured through S ──→ logs up to S may go
 *      ↑                    │ log is gone or damaged
 *      │ exchange, error    └→ window closes loudly; a new chain begins at the newest full, or at the present
 *
 * Attaching compares the live database with the archive (archive-start.ts). Everything runs under one lock, in turns:
 * `turn()` is how create, restore and TAG get theirs. Whoever needs a pause of the keyspace as well takes the turn first.
 */
import { assert } from '../base/assert.js';
import type { WallClock } from '../base/clock.js';
import { CairnError, toCairnError } from '../base/errors.js';
import type { LivePort, Position } from '../keyspace/port.js';
import type { Log } from '../observability/log.js';
import { disagreement } from './archive-count.js';
import {
  beginTimeline,
  endAt,
  findEnd,
  isUntouched,
  type LineContext,
  newestFull,
  removeUnlivedTimelines,
} from './archive-line.js';
import { Capture, type ChainEnd } from './capture.js';
import type { DataDirectory } from './data-directory.js';
import type { LiveLine } from './facts.js';
import { keepLogs } from './log-upkeep.js';
import type { Repository } from './repository.js';

/** Read anew at each use. */
export interface ArchiveSettings {
  archive(): boolean;
  intervalMs(): number;
  /** Bytes; 0: no limit. */
  spoolMaxBytes(): number;
}

export interface ArchiverOptions {
  live: LivePort;
  directory: DataDirectory;
  repository: Repository;
  settings: ArchiveSettings;
  clock: WallClock;
  log: Log;
  /** Called after a tick that archived something. */
  archived?: () => void;
}

export interface ArchiveLag {
  /** null: nothing is archived (switched off, or another database's repository). */
  ms: number | null;
  commits: number | null;
  bytes: number | null;
  /** What keeps the archive behind; null: nothing. */
  error: string | null;
}

const LOOK_MS = 1000;
/** How long a stop may archive. */
const CLOSE_MS = 4000;
const WAL_BYTES = 'rocksdb.wal.bytes';

export class Archiver {
  readonly #options: ArchiverOptions;
  #capture: Capture | null = null;
  /** As of the last turn that archived everything: the current line ends at this sequence, and has no later commit up to the moment. */
  #complete: { sequence: number; throughUs: number } | null = null;
  /** When everything was archived last, by the wall clock; at first when the server began. */
  #caughtUpUs: number;
  #walBytes = 0;
  #error: CairnError | null = null;
  #turns: Promise<unknown> = Promise.resolve();
  #timer: NodeJS.Timeout | null = null;
  #ticking: Promise<void> | null = null;
  #lastTickMs = performance.now();
  #closed = false;
  readonly #abort = new AbortController();

  constructor(options: ArchiverOptions) {
    this.#options = options;
    this.#caughtUpUs = options.clock.nowUs();
  }

  // ── turns ─────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Runs `work` while nobody else captures, cuts or exchanges. Whoever aborts before its turn came does not wait for it. */
  turn<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    let hasBegun = false;
    const run = (): Promise<T> => {
      signal?.throwIfAborted();
      hasBegun = true;
      return work();
    };
    const turn = this.#turns.then(run);
    this.#turns = turn.catch(() => undefined);
    if (signal === undefined) return turn;
    return new Promise((resolve, reject) => {
      const abandon = (): void => {
        if (!hasBegun) reject(signal.reason);
      };
      signal.addEventListener('abort', abandon, { once: true });
      if (signal.aborted) abandon();
      turn.then(resolve, reject).finally(() => signal.removeEventListener('abort', abandon));
    });
  }

  start(): void {
    assert(this.#timer === null, 'the archiver was started twice');
    this.#schedule();
  }

  /** Looks at the interval at least every second: it may be changed while the server runs. */
  #schedule(): void {
    if (this.#closed) return;
    const waitMs = this.#lastTickMs + this.#options.settings.intervalMs() - performance.now();
    const wake = (): void => {
      if (performance.now() < this.#lastTickMs + this.#options.settings.intervalMs()) {
        this.#schedule();
        return;
      }
      this.#lastTickMs = performance.now();
      this.#ticking = this.tick().finally(() => {
        this.#ticking = null;
        this.#schedule();
      });
    };
    this.#timer = setTimeout(wake, Math.min(Math.max(waitMs, 0), LOOK_MS));
    this.#timer.unref();
  }

  /** One round: archive what is new, let go of logs. Never rejects. */
  async tick(): Promise<void> {
    await this.turn(async () => {
      if (this.#closed) return;
      try {
        const archived = await this.#archiveNew();
        this.#recovered();
        if (archived) this.#options.archived?.();
      } catch (thrown) {
        this.#failed(thrown);
      }
      await this.#keepLogs().catch((error: unknown) => {
        this.#options.log.warn('logs could not be tidied', { error });
      });
    });
  }

  async #archiveNew(): Promise<boolean> {
    const { live, settings } = this.#options;
    if (live.database === null) {
      await this.detach();
      return false;
    }
    if (!settings.archive()) {
      this.#complete = null;
      return false;
    }
    return this.#captureWritten();
  }

  async #captureWritten(signal?: AbortSignal): Promise<boolean> {
    await this.#attach();
    const walBytes = this.#walTicker();
    const { sequence, throughUs } = this.#options.live.written();
    const captured = await this.#through(sequence, signal);
    this.#complete = { sequence, throughUs };
    this.#caughtUpUs = this.#options.clock.nowUs();
    this.#walBytes = walBytes;
    return captured > 0;
  }

  // ── what operations ask for; each inside a turn. Their signal stops between two segments ──────────────────────

  /** Attaches, so that what follows in this turn finds the line that the archive goes on with. */
  async ready(): Promise<void> {
    await this.#attach();
  }

  /**
   * Before the cut of a full: archives what the log holds, and where archive and database count differently begins a new
   * timeline, on which they agree. Nothing of it rests on what was counted before.
   */
  async agree(signal?: AbortSignal): Promise<void> {
    const { live } = this.#options;
    await this.#attach();
    const position = await live.pausedBetweenGroups(async (at) => at);
    if (this.on) await this.#through(position.sequence, signal);
    const why = this.#capture === null ? null : disagreement(this.#capture.end, position);
    if (why === null) return;
    const { sequence, commitCount } = position;
    await this.#begin(await beginTimeline(this.#lineContext, { sequence, commitCount, timeUs: null }, why));
  }

  /** Whether commits are archived continuously. */
  get on(): boolean {
    return this.#options.settings.archive();
  }

  /**
   * Archives what the log holds now, so that now is reachable. While continuous archiving is off only where a backup of
   * the live line is there for it to rest on. Throws what keeps it from that. `line()` in the same turn says how far that is.
   */
  async captureNow(signal?: AbortSignal): Promise<void> {
    if (!this.on && !this.#rests()) return;
    try {
      await this.#captureWritten(signal);
      this.#recovered();
    } catch (thrown) {
      if (signal?.aborted !== true) this.#failed(thrown);
      throw thrown;
    }
  }

  /** Archives up to a position that the keyspace just told, and answers where the chain ends then. */
  async captureThrough(position: Position, signal?: AbortSignal): Promise<ChainEnd> {
    const capture = await this.#attach();
    await this.#through(position.sequence, signal);
    const { end } = this.#capture ?? capture;
    assert(end.sequence >= position.sequence, `archived up to ${end.sequence}, asked for ${position.sequence}`);
    return end;
  }

  /**
   * The end of a line, while the keyspace is drained for another database. A log that has lost it is no reason to keep
   * the old state: what it lost is said, and the old directory is kept anyway. Anything else throws.
   */
  async captureEnd(position: Position): Promise<void> {
    const capture = this.#capture;
    if (capture === null || !this.#options.settings.archive()) return;
    try {
      await capture.through(position.sequence, this.#abort.signal);
    } catch (thrown) {
      const error = toCairnError(thrown, 'BACKUPFAILED');
      if (!isLost(error)) throw error;
      const { timeline, sequence } = capture.end;
      this.#options.log.error('the end of a timeline could not be archived: its log has lost it', {
        timeline,
        after: sequence,
        before: position.sequence,
        error,
      });
    }
  }

  /**
   * For a full: the chain has to go on from its cut. Archives up to there; where that cannot be done any more, or is
   * not wanted, what comes after the full begins at an anchor.
   */
  async continueFrom(position: Position, signal?: AbortSignal): Promise<void> {
    const { settings, log } = this.#options;
    const capture = await this.#attach();
    if (position.sequence <= capture.end.sequence) return;
    if (settings.archive()) {
      try {
        await capture.through(position.sequence, this.#stopping(signal));
        return;
      } catch (thrown) {
        const error = toCairnError(thrown, 'BACKUPFAILED');
        if (!isLost(error)) throw error;
        const { timeline, sequence: after } = capture.end;
        const gap = { timeline, after, before: position.sequence, error };
        if (isUntouched(this.#lineContext, capture.end)) log.info('archiving begins with the full', gap);
        else
          log.error(
            'the recovery window is closed: commits are not in the log any more. The full starts a new one',
            gap,
          );
      }
    }
    await this.#begin(await endAt(this.#lineContext, position));
  }

  /** Lets go of the live database: before another one is exchanged for it. The next turn attaches anew. */
  async detach(): Promise<void> {
    const capture = this.#capture;
    this.#capture = null;
    this.#complete = null;
    await capture?.close();
  }

  /** Attaches if that is possible now; a failure is remembered and tried again at the next tick. */
  async attachEarly(): Promise<void> {
    if (this.#options.live.database === null) return;
    await this.turn(async () => {
      await this.#attach();
    }).catch((error: unknown) => this.#failed(error));
  }

  // ── attach ────────────────────────────────────────────────────────────────────────────────────────────────────

  async #attach(): Promise<Capture> {
    const { live, repository, directory } = this.#options;
    const { database } = live;
    if (database === null) throw new CairnError('MISCONF', 'there is no open database to archive');
    if (this.#capture !== null) {
      const { end } = this.#capture;
      if (this.#capture.database === database && end.timeline === directory.live?.timeline) return this.#capture;
      await this.detach();
    }
    await repository.writable();
    await repository.catalog.refresh();
    await repository.segments.refresh();
    await repository.timelines.refresh();
    await removeUnlivedTimelines(this.#lineContext);
    return this.#begin(await findEnd(this.#lineContext, database));
  }

  get #lineContext(): LineContext {
    const { live, directory, repository, log } = this.#options;
    return { live, directory, repository, log, isOn: this.on };
  }

  async #begin(end: ChainEnd): Promise<Capture> {
    const { live, repository } = this.#options;
    await this.#capture?.close();
    assert(live.database !== null, 'a chain begins on an open database');
    this.#capture = new Capture(live.database, live.commitMark, repository, end);
    return this.#capture;
  }

  // ── capture and its end ───────────────────────────────────────────────────────────────────────────────────────

  /** Captures up to a written sequence; begins a new chain where the log has lost what is missing. */
  async #through(sequence: number, signal?: AbortSignal): Promise<number> {
    const capture = this.#capture;
    assert(capture !== null, 'captured without being attached');
    try {
      return (await capture.through(sequence, this.#stopping(signal))).commits;
    } catch (thrown) {
      const error = toCairnError(thrown, 'BACKUPFAILED');
      if (!isLost(error)) throw error;
      return this.#afterLoss(capture, error, sequence, signal);
    }
  }

  /** A stop of the server, or of the operation that asked. */
  #stopping(signal: AbortSignal | undefined): AbortSignal {
    return signal === undefined ? this.#abort.signal : AbortSignal.any([this.#abort.signal, signal]);
  }

  async #afterLoss(capture: Capture, error: CairnError, sequence: number, signal?: AbortSignal): Promise<number> {
    const { live, log } = this.#options;
    const { end } = capture;
    // Memory may still have what the log has lost: as tables it survives.
    if (error.details.kind === 'corruption') await live.database?.flush();
    const full = await newestFull(this.#lineContext, end);
    if (full !== null && full.sequence <= sequence) {
      try {
        const { commits } = await (await this.#begin(full)).through(sequence, this.#stopping(signal));
        log.warn('commits before the newest full are not in the log: the recovery window begins anew with it', {
          timeline: end.timeline,
          after: end.sequence,
          before: full.sequence,
          error,
        });
        return commits;
      } catch (again) {
        if (!isLost(toCairnError(again, 'BACKUPFAILED'))) throw again;
      }
    }
    const present = await endAt(this.#lineContext, await live.pausedBetweenGroups(async (at) => at));
    await this.#begin(present);
    if (isUntouched(this.#lineContext, end)) {
      log.info('archiving begins at the present: earlier commits are in no log', { after: present.sequence });
      return 0;
    }
    log.error('the recovery window is closed: commits are not in the log any more. The next backup has to be a full', {
      timeline: end.timeline,
      after: end.sequence,
      before: present.sequence,
      error,
    });
    return 0;
  }

  async #keepLogs(): Promise<void> {
    const { live, settings, log } = this.#options;
    const { database } = live;
    if (database === null) return;
    const end = this.#capture?.database === database ? this.#capture.end : null;
    const upkeep = await keepLogs(database, {
      needFrom: this.#neededFrom(end),
      archivedThrough: end?.sequence ?? null,
      maxBytes: settings.spoolMaxBytes(),
    });
    if (upkeep.lostThrough === null) return;
    log.error('wal.spool_max is reached: the oldest logs went unarchived, the recovery window is closed', {
      lostThrough: upkeep.lostThrough,
      archivedThrough: end?.sequence ?? null,
    });
  }

  /** The sequence whose log and all later ones must stay; null: nothing can rest on any. */
  #neededFrom(end: ChainEnd | null): number | null {
    const { settings } = this.#options;
    if (this.#error?.code === 'REPOFOREIGN') return null;
    if (end !== null && settings.archive()) return end.sequence;
    const rests = this.#rests();
    if (end !== null) return rests ? end.sequence : null;
    return settings.archive() || rests ? 0 : null;
  }

  /** A backup of the live line is there, so that an increment may come. */
  #rests(): boolean {
    const { repository, directory } = this.#options;
    const timeline = directory.live?.timeline ?? 0;
    return repository.catalog.entries().some(({ manifest }) => manifest !== null && manifest.timeline === timeline);
  }

  // ── what others want to know ──────────────────────────────────────────────────────────────────────────────────

  /** The live line as the archive knows it; null while this server's line does not go on in the repository. */
  line(): LiveLine | null {
    const { live, directory, repository } = this.#options;
    if (directory.live === null || !repository.isOwn) return null;
    const { timeline } = directory.live;
    if (this.#complete !== null) {
      return { timeline, sequence: this.#complete.sequence, completeThroughUs: this.#complete.throughUs };
    }
    return { timeline, sequence: live.database?.latestSequence() ?? null, completeThroughUs: null };
  }

  /** Where what is archived ends; null: not attached. */
  get end(): Readonly<ChainEnd> | null {
    return this.#capture?.end ?? null;
  }

  lag(): ArchiveLag {
    const { live, settings, clock } = this.#options;
    const capture = this.#capture;
    const error = this.#error?.line ?? null;
    const nothing = { ms: null, commits: null, bytes: null, error };
    if (!settings.archive() || live.database === null || this.#error?.code === 'REPOFOREIGN') return nothing;
    const ms = Math.max(0, Math.round((clock.nowUs() - this.#caughtUpUs) / 1000));
    // Not attached (yet, or because that fails): how far behind nobody knows but for the time.
    if (capture === null) return { ...nothing, ms };
    const { sequence, commitCount } = live.written();
    if (sequence <= capture.end.sequence) return { ms: 0, commits: 0, bytes: 0, error };
    return {
      ms,
      commits: Math.max(1, commitCount - capture.end.commits),
      bytes: Math.max(1, this.#walTicker() - this.#walBytes),
      error,
    };
  }

  #walTicker(): number {
    return this.#options.live.database?.statistics()[WAL_BYTES] ?? 0;
  }

  #failed(thrown: unknown): void {
    const error = toCairnError(thrown, 'BACKUPFAILED');
    if (this.#abort.signal.aborted) return;
    // Said once, not every second.
    if (this.#error?.code !== error.code) {
      const { log } = this.#options;
      if (error.code === 'REPOFOREIGN')
        log.warn('nothing is archived: the repository belongs to another database', { error });
      else log.error('archiving fails; it goes on by itself when the cause is gone', { error });
    }
    this.#error = error;
  }

  #recovered(): void {
    if (this.#error !== null) this.#options.log.info('archiving goes on', { end: this.#capture?.end.sequence });
    this.#error = null;
  }

  /** Archives what is left, as far as that is done in a few seconds, then lets go. The next start goes on from there. */
  async close(): Promise<void> {
    const limit = setTimeout(() => this.#abort.abort(), CLOSE_MS);
    try {
      if (this.#timer !== null) clearTimeout(this.#timer);
      await this.#ticking;
      if (this.#timer !== null) clearTimeout(this.#timer);
      if (this.#options.settings.archive()) await this.tick();
    } finally {
      clearTimeout(limit);
      this.#closed = true;
      this.#abort.abort();
      await this.turn(() => this.detach());
    }
  }
}

/** The log does not have the commits any more, or cannot be read there: waiting does not bring them back. */
function isLost(error: CairnError): boolean {
  return error.code === 'WALGAP' || (error.code === 'MISCONF' && error.details.kind === 'corruption');
}
