/**
 * What the server remembers of the commands that it ran: counts and times of each, errors by their code, the slow log and
 * latency events. The time of a command is from its start to its answer being known: with reading from the disk what was not
 * in memory, which others do not wait for; without the wait for its write to be durable, which is the disk's and not the
 * command's; and without what a command spends in waiting for something to happen (flag `blocking`).
 */
import { CairnError } from '../base/errors.js';
import type { CommandCount, Session } from '../commands/session.js';
import { slowLogArguments } from '../commands/shown-arguments.js';
import type { CommandSpec } from '../commands/spec.js';
import type { ConfigService } from '../config/service.js';
import { LatencyEvents } from '../observability/latency-events.js';
import { LatencyHistogram } from '../observability/latency-histogram.js';
import { SlowLog } from '../observability/slow-log.js';
import type { Reply } from '../resp/reply.js';
import type { Monitors } from './monitors.js';

/** The counts of one command, and what its flags mean to them. */
export interface Counted extends CommandCount {
  readonly timed: boolean;
  readonly inSlowLog: boolean;
  readonly shownToMonitors: boolean;
  readonly latencyEvent: string;
}

export function countedAs({ name, flags }: CommandSpec): Counted {
  return {
    name,
    timed: !flags.has('blocking'),
    inSlowLog: !flags.has('skip_slowlog'),
    shownToMonitors: !flags.has('skip_monitor') && !flags.has('admin'),
    latencyEvent: flags.has('fast') ? 'fast-command' : 'command',
    calls: 0,
    us: 0,
    rejected: 0,
    failed: 0,
    latency: null,
  };
}

export class Statistics {
  readonly slowLog = new SlowLog();
  readonly latency = new LatencyEvents();
  commandsProcessed = 0;
  errorReplies = 0;
  /** By the code of the error. */
  readonly errors = new Map<string, number>();

  constructor(
    private readonly config: ConfigService,
    private readonly monitors: Monitors,
  ) {}

  /** A command has run. startedAtMs: by performance.now(). */
  ran(session: Session, counted: Counted, argv: readonly Buffer[], startedAtMs: number, reply: Reply): void {
    const us = counted.timed ? Math.max(1, Math.round((performance.now() - startedAtMs) * 1000)) : 0;
    this.took(session, counted, argv, us, reply);
  }

  took(session: Session, counted: Counted, argv: readonly Buffer[], us: number, reply: Reply): void {
    this.commandsProcessed++;
    counted.calls++;
    counted.us += us;
    counted.latency ??= new LatencyHistogram();
    counted.latency.record(us);
    if (reply instanceof CairnError) {
      counted.failed++;
      this.failed(reply);
    }
    const { slowlog_log_slower_than: slow, latency_monitor_threshold: monitoredMs } = this.config.values;
    if (slow >= 0 && us >= slow && counted.inSlowLog) this.wasSlow(session, argv, us);
    if (monitoredMs > 0 && us >= monitoredMs * 1000) {
      this.latency.add(counted.latencyEvent, Math.floor(us / 1000), Date.now());
    }
    if (this.monitors.some && counted.shownToMonitors) this.monitors.feed(session, argv, wallClockUs());
  }

  /** A command that did not run was answered with an error. */
  failed(error: CairnError): void {
    this.errorReplies++;
    this.errors.set(error.code, (this.errors.get(error.code) ?? 0) + 1);
  }

  reset(): void {
    this.commandsProcessed = 0;
    this.errorReplies = 0;
    this.errors.clear();
  }

  private wasSlow(session: Session, argv: readonly Buffer[], us: number): void {
    const { slowlog_max_len: maxLength } = this.config.values;
    const timeSeconds = Math.floor(Date.now() / 1000);
    const entry = { timeSeconds, us, argv: slowLogArguments(argv), client: session.address, clientName: session.name };
    this.slowLog.add(entry, maxLength);
  }
}

function wallClockUs(): number {
  return Math.round((performance.timeOrigin + performance.now()) * 1000);
}
