/**
 * From a request to its reply: which command it is, whether it may run now, and running it. The order of the checks
 * and their wording are Redis's (processCommand):
 *
 *   known, arity → authenticated → allowed in MULTI → permitted (ACL) → served now (LOADING, MISCONF) → queue it, or run it
 *
 * A refusal inside MULTI spoils the transaction. What a command throws is its reply when it is a CairnError; anything
 * else is a bug: it is logged with its stack, the client is told so, and the server goes on.
 */
import { CairnError } from '../base/errors.js';
import type { Command, Services } from '../commands/command.js';
import { allCommands } from '../commands/index.js';
import { printable } from '../commands/masked.js';
import { NameTable } from '../commands/name-table.js';
import { requireRights } from '../commands/rights.js';
import { isServed } from '../commands/served.js';
import type { CommandCount, QueuedCommand, QueuedTransaction, Session } from '../commands/session.js';
import { type CommandSpec, find, lookup, resolve } from '../commands/spec.js';
import { exec, executeQueue, queue } from '../commands/transactions.js';
import type { KeyRef, Outcome } from '../keyspace/keyspace.js';
import { OK, QUEUED, type Reply } from '../resp/reply.js';
import { type AuditRule, AuditTrail, auditRule } from './audit-trail.js';
import type { Connection } from './connection.js';
import { type ClientPause, canBeHeld } from './pause.js';
import { type Counted, countedAs, type Statistics } from './statistics.js';

/** A command with what the dispatcher needs of its spec at every call. */
interface Entry extends Counted {
  readonly command: Command;
  readonly spec: CommandSpec;
  /** Words that make up the name: 2 for a subcommand. */
  readonly words: number;
  readonly arity: number;
  readonly needsAuthentication: boolean;
  readonly writes: boolean;
  readonly touchesData: boolean;
  readonly refusedInMulti: boolean;
  /** CLIENT PAUSE may hold it back. */
  readonly canBeHeld: boolean;
  /** Runs at once inside MULTI. */
  readonly endsMulti: boolean;
  /** What of its calls goes into the audit log. */
  readonly audit: AuditRule;
}

/** A command that runs, or waits. */
interface Running {
  readonly connection: Connection;
  readonly entry: Entry;
  readonly argv: Buffer[];
  readonly startedAtMs: number;
  /** What EXEC runs. */
  readonly queued: readonly QueuedCommand[];
}

/** What a first word leads to. */
interface Named {
  readonly entry: Entry | null;
  readonly subcommands: NameTable<Entry> | null;
}

const none: readonly QueuedCommand[] = [];
/** Requests that are looked at, and keys that are read, while a request before them waits for the disk. */
const MOST_AHEAD = 64;
/** One for all: strangers can ask for it as fast as they can send. */
const notLoggedIn = new CairnError('NOAUTH', 'Authentication required.');

const immediateInMulti = new Set(['exec', 'discard', 'multi', 'watch', 'quit', 'reset']);
/** What a browser sends that was made to talk to us: such a connection is closed at once. */
const httpWords = new Set(['post', 'host:']);

export class Dispatcher {
  private readonly entries: Entry[];
  private readonly byName: ReadonlyMap<string, Entry>;
  private readonly names: NameTable<Named>;
  private readonly trail: AuditTrail;

  constructor(
    private readonly services: Services,
    private readonly statistics: Statistics,
    private readonly pause: ClientPause,
  ) {
    this.entries = [...allCommands().values()].map(entryOf);
    this.byName = new Map(this.entries.map((entry) => [entry.name, entry]));
    this.names = nameTable(this.entries);
    this.trail = new AuditTrail(services.audit);
  }

  counts(): CommandCount[] {
    return this.entries.filter((entry) => entry.calls > 0 || entry.rejected > 0);
  }

  /** The client has gone. */
  abandoned(session: Session): void {
    if (session.transaction?.audited !== undefined) this.trail.abandoned(session);
  }

  /** CONFIG RESETSTAT. */
  resetCounts(): void {
    for (const entry of this.entries) Object.assign(entry, { calls: 0, us: 0, rejected: 0, failed: 0, latency: null });
  }

  /** No call that is still running will be waited for. */
  stopped(): void {
    this.trail.stopped();
  }

  dispatch(connection: Connection, argv: Buffer[]): void {
    let entry: Entry | null = null;
    try {
      entry = this.find(argv);
      if (entry === null) {
        this.refuseUnknown(connection, argv);
        return;
      }
      const { session } = connection;
      session.lastCommand = entry.name;
      this.admit(entry, connection, argv);
      if (this.pause.holds !== 'nothing' && this.isHeld(entry, session.transaction)) {
        connection.hold(argv);
        this.pause.hold(connection);
        return;
      }
      if (session.transaction !== null && !entry.endsMulti) {
        const { command, spec } = entry;
        queue(session.transaction, { name: entry.name, args: argv.slice(entry.words), argv, command, spec, us: 0 });
        if (entry.audit !== 'never') this.trail.queued(session, entry.name, entry.audit, argv);
        connection.answer(QUEUED, null);
        return;
      }
    } catch (thrown) {
      this.reject(connection, entry, argv, this.errorReply(entry, thrown));
      return;
    }
    if (entry.audit !== 'never') {
      connection.audited = this.trail.begin(connection.session, entry.name, entry.audit, argv);
    }
    const queued = entry.command === exec ? (connection.session.transaction?.commands ?? none) : none;
    const running = { connection, entry, argv, startedAtMs: performance.now(), queued };
    try {
      this.run(running);
    } catch (thrown) {
      this.finish(running, this.errorReply(entry, thrown), null);
    }
  }

  /** Keys of the requests that came together with the one that runs, up to the first that is no plain command about data. */
  keysAhead(connection: Connection): KeyRef[] {
    const { database } = connection.session;
    const keys: KeyRef[] = [];
    for (const argv of connection.upcoming(MOST_AHEAD)) {
      const entry = this.find(argv);
      if (entry === null || entry.command.kind !== 'data') break;
      for (const at of entry.spec.keyIndexes(argv)) {
        if (keys.length === MOST_AHEAD) return keys;
        keys.push({ database, key: argv[at] as Buffer, toBeWritten: entry.writes });
      }
    }
    return keys;
  }

  /** null: unknown, or not the right number of arguments. */
  private find(argv: Buffer[]): Entry | null {
    const named = this.names.get(argv[0] as Buffer);
    if (named === undefined) return null;
    const entry =
      named.subcommands !== null && argv.length > 1 ? named.subcommands.get(argv[1] as Buffer) : named.entry;
    if (entry === undefined || entry === null) return null;
    return (entry.arity >= 0 ? argv.length === entry.arity : argv.length >= -entry.arity) ? entry : null;
  }

  private refuseUnknown(connection: Connection, argv: Buffer[]): void {
    if (httpWords.has((argv[0] as Buffer).toString('latin1').toLowerCase())) {
      connection.cutOff('HTTP request on the data port: connection closed');
      return;
    }
    const { name } = resolve(argv);
    throw new Error(`protocol/ has '${name}', src/commands has not`);
  }

  /** Throws when the command may not run, or be queued, now. */
  private admit(entry: Entry, connection: Connection, argv: Buffer[]): void {
    const { session } = connection;
    if (entry.command.kind === 'server' && entry.command.refused !== undefined) throw entry.command.refused;
    if (entry.needsAuthentication && !session.authenticated) {
      throw notLoggedIn;
    }
    if (session.monitoring && entry.touchesData) {
      throw new CairnError('ERR', "Replica can't interact with the keyspace");
    }
    if (entry.refusedInMulti && session.transaction !== null) {
      throw new CairnError('ERR', 'Command not allowed inside a transaction');
    }
    if (!session.account.unrestricted) requireRights(this.services, session, { spec: entry.spec, argv });
    const { keyspace } = this.services;
    const { unavailable } = keyspace;
    if (unavailable !== null && !isServed(entry.spec, unavailable)) throw unavailable;
    if (entry.writes && keyspace.writesRefused !== null) throw keyspace.writesRefused;
  }

  private isHeld(entry: Entry, transaction: QueuedTransaction | null): boolean {
    if (!entry.canBeHeld || this.pause.holds === 'all') return entry.canBeHeld;
    const queued = entry.command === exec ? (transaction?.commands ?? []) : [];
    return entry.writes || queued.some(({ spec }) => spec.flags.has('write'));
  }

  /** A refused command spoils the transaction that it was for; a refused EXEC ends it. */
  private reject(connection: Connection, entry: Entry | null, argv: Buffer[], error: CairnError): void {
    const { session } = connection;
    // Also of a command with the wrong number of arguments.
    const counted = entry ?? this.byName.get(find(argv)?.name ?? '');
    if (counted !== undefined) counted.rejected++;
    this.statistics.failed(error);
    const name = entry?.name ?? nameOf(argv);
    this.trail.refused(session, name, entry?.audit ?? auditRule(name), argv, error);
    if (this.names.get(argv[0] as Buffer)?.entry?.command === exec) {
      connection.audited = session.transaction?.audited ?? [];
      session.release();
      const why = error.code === 'ERR' ? error.message : error.line;
      const refusal = new CairnError('EXECABORT', `Transaction discarded because of: ${why}`);
      this.trail.ended(connection, refusal, null);
      connection.answer(refusal, null);
      return;
    }
    if (session.transaction !== null) session.transaction.aborted = true;
    connection.answer(error, null);
  }

  private run(running: Running): void {
    const { services } = this;
    const { connection, entry, argv } = running;
    const { session, dataCall } = connection;
    const { command } = entry;
    if (command.kind === 'data') {
      dataCall.set(command, entry.spec, argv, argv.slice(entry.words));
      this.take(running, services.keyspace.execute(dataCall.body, dataCall.keys, connection.ahead));
    } else if (command === exec) {
      this.take(running, executeQueue(services, session));
    } else {
      const reply = command.run({ session, services, args: argv.slice(entry.words) });
      // SHUTDOWN has no answer.
      if (reply instanceof Promise && entry.name === 'shutdown') this.trail.ended(connection, OK, null);
      if (reply instanceof Promise) this.follow(running, reply);
      else this.finish(running, reply, null);
    }
  }

  private take(running: Running, outcome: Outcome<Reply> | Promise<Outcome<Reply>>): void {
    const { connection, entry } = running;
    if (outcome instanceof Promise) {
      connection.block();
      if (entry.audit !== 'never') this.trail.follow(connection.audited);
      outcome.then(
        ({ value, durable }) => this.finishLater(running, value, durable),
        (thrown: unknown) => this.finishLater(running, this.errorReply(entry, thrown), null),
      );
    } else {
      this.finish(running, outcome.value, outcome.durable);
    }
  }

  private follow(running: Running, reply: Promise<Reply>): void {
    const { connection, entry } = running;
    connection.blockForLong();
    if (entry.audit !== 'never') this.trail.follow(connection.audited);
    reply.then(
      (value) => this.finishLater(running, value, null),
      (thrown: unknown) => this.finishLater(running, this.errorReply(entry, thrown), null),
    );
  }

  private finish(running: Running, reply: Reply, durable: Promise<void> | null): void {
    const { connection, entry } = running;
    this.count(running, reply);
    if (entry.audit !== 'never') this.trail.ended(connection, reply, durable);
    connection.dataCall.clear();
    connection.answer(reply, durable);
  }

  private finishLater(running: Running, reply: Reply, durable: Promise<void> | null): void {
    const { connection, entry } = running;
    this.count(running, reply);
    if (entry.audit !== 'never') this.trail.ended(connection, reply, durable);
    connection.dataCall.clear();
    connection.resume(reply, durable);
  }

  /** What EXEC ran counts as well, each by itself. */
  private count({ connection, entry, argv, startedAtMs, queued }: Running, reply: Reply): void {
    const { session } = connection;
    if (queued.length > 0 && Array.isArray(reply)) {
      for (const [nth, { name, argv, us }] of queued.entries()) {
        this.statistics.took(session, this.byName.get(name) as Entry, argv, us, reply[nth] as Reply);
      }
    }
    this.statistics.ran(session, entry, argv, startedAtMs, reply);
  }

  private errorReply(entry: Entry | null, thrown: unknown): CairnError {
    if (thrown instanceof CairnError) return thrown;
    const name = entry?.name ?? 'unknown';
    this.services.log.error('a command failed unexpectedly', { command: name, error: thrown });
    return new CairnError('ERR', `internal error in '${name}'`, {
      hint: 'This is a bug; the server log has its trace.',
      cause: thrown,
    });
  }
}

function entryOf(command: Command): Entry {
  const spec = lookup(command.name);
  if (spec === undefined) throw new Error(`protocol/ has no '${command.name}'`);
  return {
    ...countedAs(spec),
    command,
    spec,
    words: spec.container === undefined ? 1 : 2,
    arity: spec.arity,
    needsAuthentication: !spec.flags.has('no_auth'),
    writes: spec.flags.has('write'),
    touchesData: spec.flags.has('write') || spec.flags.has('readonly'),
    canBeHeld: canBeHeld(spec),
    refusedInMulti: spec.flags.has('no_multi'),
    endsMulti: immediateInMulti.has(command.name),
    audit: auditRule(command.name),
  };
}

/** For a record of what is no command, or has the wrong number of arguments. */
function nameOf(argv: readonly Buffer[]): string {
  return find(argv)?.name ?? printable(argv[0] as Buffer).toLowerCase();
}

function nameTable(entries: readonly Entry[]): NameTable<Named> {
  const plain = new Map<string, Entry>();
  const families = new Map<string, [string, Entry][]>();
  for (const entry of entries) {
    const { container, word } = entry.spec;
    if (container === undefined) plain.set(entry.name, entry);
    else families.set(container, [...(families.get(container) ?? []), [word, entry]]);
  }
  const names = new Set([...plain.keys(), ...families.keys()]);
  return new NameTable(
    [...names].map((name) => {
      const family = families.get(name);
      return [
        name,
        { entry: plain.get(name) ?? null, subcommands: family === undefined ? null : new NameTable(family) },
      ] as const;
    }),
  );
}
