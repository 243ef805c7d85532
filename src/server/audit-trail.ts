/**
 * Which calls leave a record in the audit log, and how each of them ended: answered, refused, discarded with its
 * transaction, or still running when the server stopped. The dispatcher tells; commands know nothing of it.
 *
 *   always        ADMIN.*, CONFIG, ACL, SHUTDOWN, FLUSH…, SAVE, BGSAVE, DEBUG, CLIENT KILL …
 *   failures      AUTH and HELLO: when the password was wrong
 *   transaction   EXEC, DISCARD, RESET: end what was queued, each with its own record
 */
import { CairnError, oneLine } from '../base/errors.js';
import { masked, withoutSecrets } from '../commands/masked.js';
import type { AuditedCall, Session } from '../commands/session.js';
import { exec } from '../commands/transactions.js';
import type { AuditLog } from '../observability/audit.js';
import { nullArray, type Reply } from '../resp/reply.js';

export type AuditRule = 'never' | 'failures' | 'always' | 'transaction';

const audited = new Set(['config', 'acl', 'shutdown', 'flushall', 'flushdb', 'save', 'bgsave', 'debug']);
const auditedSubcommands = new Set(['client|kill', 'client|pause', 'client|unpause', 'slowlog|reset', 'latency|reset']);
const ERROR_TEXT = 512;

/** name: as in protocol/. */
export function auditRule(name: string): AuditRule {
  const [first = ''] = name.split('|');
  if (first.startsWith('admin.') || audited.has(first) || auditedSubcommands.has(name)) return 'always';
  if (name === 'auth' || name === 'hello') return 'failures';
  return name === exec.name || name === 'discard' || name === 'reset' ? 'transaction' : 'never';
}

/** The connection, as far as this is concerned. */
interface AuditCaller {
  audited: readonly AuditedCall[];
  readonly destroyed: boolean;
}

const none: readonly AuditedCall[] = [];

export class AuditTrail {
  /** Began, and not ended yet. */
  private readonly running = new Set<AuditedCall>();

  constructor(private readonly log: AuditLog) {}

  /** The records that a call will leave: EXEC ends all that was queued. */
  begin(session: Session, name: string, rule: AuditRule, argv: readonly Buffer[]): readonly AuditedCall[] {
    if (rule === 'transaction') return session.transaction?.audited ?? none;
    return [this.call(session, name, rule, argv, null)];
  }

  /** It was queued, as the last one until now. */
  queued(session: Session, name: string, rule: AuditRule, argv: readonly Buffer[]): void {
    const { transaction } = session;
    if (transaction === null) return;
    transaction.audited ??= [];
    transaction.audited.push(this.call(session, name, rule, argv, transaction.commands.length - 1));
  }

  /** They go on in the background: they have their records also when the server stops before they ended. */
  follow(calls: readonly AuditedCall[]): void {
    for (const call of calls) this.running.add(call);
  }

  /** The reply is there; it leaves when `durable` is resolved. */
  ended(caller: AuditCaller, reply: Reply, durable: Promise<void> | null): void {
    const calls = caller.audited;
    if (calls.length === 0) return;
    caller.audited = none;
    const end = (outcome: Reply) => {
      for (const call of calls) {
        const own = call.queuedAt === null ? outcome : ofQueued(outcome, call.queuedAt);
        this.running.delete(call);
        this.record(call, own instanceof CairnError ? own : null, false, caller.destroyed);
      }
    };
    if (durable === null) end(reply);
    else {
      this.follow(calls);
      durable.then(
        () => end(reply),
        (error: unknown) => end(error instanceof CairnError ? error : reply),
      );
    }
  }

  /** It did not run. */
  refused(session: Session, name: string, rule: AuditRule, argv: readonly Buffer[], error: CairnError): void {
    if (rule !== 'always' && !(rule === 'failures' && isGuess(error))) return;
    this.record(this.call(session, name, rule, argv, null), error, true, false);
  }

  /** The client has gone: what it had queued will never run. */
  abandoned(session: Session): void {
    const error = new CairnError('EXECABORT', 'The client disconnected before EXEC.', { hint: '' });
    for (const call of session.transaction?.audited ?? none) this.record(call, error, false, true);
  }

  /** The server stops without waiting longer. */
  stopped(): void {
    const error = new CairnError('CANCELLED', 'The server stopped before it ended.', { hint: '' });
    for (const call of this.running) this.record(call, error, false, false);
    this.running.clear();
  }

  private call(
    session: Session,
    name: string,
    rule: AuditRule,
    argv: readonly Buffer[],
    queuedAt: number | null,
  ): AuditedCall {
    return {
      timeUs: this.log.nowUs(),
      beganAtMs: performance.now(),
      user: session.authenticated ? session.user : null,
      session,
      name,
      failuresOnly: rule === 'failures',
      argv,
      queuedAt,
      recorded: false,
    };
  }

  private record(call: AuditedCall, error: CairnError | null, refusal: boolean, disconnected: boolean): void {
    if (call.recorded || (call.failuresOnly && !(error !== null && isGuess(error)))) return;
    call.recorded = true;
    const { argv, secrets } = masked(call.argv);
    this.log.write(
      {
        timeUs: call.timeUs,
        user: call.user,
        client: call.session.address,
        clientId: call.session.id,
        command: call.name,
        argv,
        outcome: error === null ? 'ok' : error.code,
        ...(error !== null && { error: textOf(error, secrets) }),
        durationUs: Math.round((performance.now() - call.beganAtMs) * 1000),
        inTransaction: call.queuedAt !== null,
        disconnected,
      },
      refusal || (error !== null && isGuess(error)),
    );
  }
}

function isGuess(error: CairnError): boolean {
  return error.code === 'WRONGPASS';
}

/** What became of a queued command, by the reply to what ended its transaction. */
function ofQueued(reply: Reply, place: number): Reply {
  if (reply instanceof CairnError) return reply;
  if (Array.isArray(reply)) return reply[place] as Reply;
  const text = reply === nullArray ? 'A watched key changed before EXEC.' : 'The transaction was discarded.';
  return new CairnError('EXECABORT', text, { hint: '' });
}

function textOf(error: CairnError, secrets: readonly Buffer[]): string {
  const text = withoutSecrets(oneLine(error.message), secrets);
  return text.length <= ERROR_TEXT ? text : `${text.slice(0, ERROR_TEXT)}...`;
}
