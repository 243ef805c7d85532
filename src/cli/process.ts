/** The process around a server: signals, the last-resort handlers, and an end that comes in time. */
import type { Log } from '../observability/log.js';
import { exitCode } from './exit-codes.js';

/** An orderly stop may take this long; `stop` promises 10 s, and the rest is for the process to end. */
const STOP_LIMIT_MS = 9_500;
/** npm and a terminal both pass one Ctrl-C on: signals this close are one. */
const SAME_SIGNAL_MS = 1_000;
/** SIGHUP from a terminal means that it is gone; a server without one is told to open anew what an operator replaced. */
const onTerminal = process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY;
const SIGNALS: readonly NodeJS.Signals[] = onTerminal ? ['SIGTERM', 'SIGINT', 'SIGHUP'] : ['SIGTERM', 'SIGINT'];

export interface StopRequest {
  /** Resolves with why, once a stop was asked for. */
  readonly asked: Promise<string>;
  ask(reason: string): void;
  /** What SIGHUP does while the server runs. */
  onHangUp(reload: () => void): void;
}

/**
 * From now on a signal asks for an orderly stop. A second one ends the process at once, and so does the time limit:
 * by SIGKILL, because every other way out waits for what may be the thing that hangs. What was acknowledged is in the log.
 */
export function listenForStop(log: Log): StopRequest {
  let resolveAsked: (reason: string) => void = () => {};
  let askedAtMs: number | null = null;
  const asked = new Promise<string>((resolve) => {
    resolveAsked = resolve;
  });
  const ask = (reason: string): void => {
    if (askedAtMs !== null) return;
    askedAtMs = performance.now();
    resolveAsked(reason);
    setTimeout(() => kill(log, `the stop took longer than ${STOP_LIMIT_MS} ms`), STOP_LIMIT_MS).unref();
  };
  for (const signal of SIGNALS) {
    process.on(signal, () => {
      if (askedAtMs !== null && performance.now() - askedAtMs > SAME_SIGNAL_MS) kill(log, `a second ${signal}`);
      ask(signal);
    });
  }
  const reloads: (() => void)[] = [];
  if (!onTerminal) {
    process.on('SIGHUP', () => {
      log.info('SIGHUP: files that an operator may have replaced are opened anew');
      for (const reload of reloads) reload();
    });
  }
  return { asked, ask, onHangUp: (reload) => void reloads.push(reload) };
}

function kill(log: Log, reason: string): void {
  log.error('stopped at once, without closing the database', { reason });
  process.kill(process.pid, 'SIGKILL');
}

/** After a bug nothing in memory can be trusted: the process ends and says why; the next start recovers from the log. */
export function endOnBugs(log: Log): void {
  const end = (event: string) => (error: unknown) => {
    log.error(event, { error });
    process.exit(exitCode.bug);
  };
  process.on('uncaughtException', end('uncaught exception'));
  process.on('unhandledRejection', end('unhandled rejection'));
  // Whoever reads stdout may leave; the ready line is then nobody's.
  process.stdout.on('error', () => {});
}
