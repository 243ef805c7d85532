/**
 * MULTI, EXEC, DISCARD, WATCH, UNWATCH. The dispatcher queues what comes after MULTI; EXEC runs it as one body of one
 * `Keyspace.execute`: one commit, which no other client, no backup and no recovery point sees in part.
 *
 * A command that fails inside does not undo the others, as in Redis: its error is its place in the reply.
 */
import { CairnError } from '../base/errors.js';
import type { KeyRef, Outcome } from '../keyspace/keyspace.js';
import type { Transaction } from '../keyspace/transaction.js';
import { nullArray, OK, type Reply } from '../resp/reply.js';
import type { Command, ServerCommand, Services } from './command.js';
import { countsLookups } from './lookups.js';
import { rightsAtExec } from './rights.js';
import { isServed } from './served.js';
import type { QueuedCommand, QueuedTransaction, Session } from './session.js';

/** A transaction lives in memory until EXEC. */
const MAX_QUEUED_BYTES = 1024 * 1024 * 1024;
/** What an argument takes beside its bytes, and a command beside its arguments. */
const ARGUMENT_BYTES = 192;
const COMMAND_BYTES = 256;

const multi: ServerCommand = {
  name: 'multi',
  kind: 'server',
  run({ session, services }) {
    if (session.transaction !== null) throw new CairnError('ERR', 'MULTI calls can not be nested');
    session.transaction = {
      commands: [],
      aborted: false,
      bytes: 0,
      objectBytes: 0,
      database: services.keyspace.database,
    };
    return OK;
  },
};

/** The dispatcher takes the outcome from `executeQueue` itself: pipelined transactions then share a write group. */
export const exec: ServerCommand = {
  name: 'exec',
  kind: 'server',
  async run({ session, services }) {
    const { value, durable } = await executeQueue(services, session);
    await durable;
    return value;
  },
};

const discard: ServerCommand = {
  name: 'discard',
  kind: 'server',
  run({ session }) {
    if (session.transaction === null) throw new CairnError('ERR', 'DISCARD without MULTI');
    session.transaction = null;
    unwatchAll(session);
    return OK;
  },
};

const watch: ServerCommand = {
  name: 'watch',
  kind: 'server',
  run({ session, services, args }) {
    if (session.transaction !== null) throw new CairnError('ERR', 'WATCH inside MULTI is not allowed');
    const { keyspace } = services;
    if (keyspace.unavailable !== null) throw keyspace.unavailable;
    session.watch = keyspace.watch(
      session.watch,
      args.map((key) => ({ database: session.database, key })),
    );
    return OK;
  },
};

const unwatch: ServerCommand = {
  name: 'unwatch',
  kind: 'server',
  run({ session }) {
    unwatchAll(session);
    return OK;
  },
  /** Inside EXEC: what was watched has been looked at already. */
  runQueued: () => OK,
};

export const transactionCommands: readonly Command[] = [multi, exec, discard, watch, unwatch];

/** Adds a command to a transaction. */
export function queue(transaction: QueuedTransaction, command: QueuedCommand): void {
  const objectBytes = COMMAND_BYTES + command.args.length * ARGUMENT_BYTES;
  transaction.objectBytes += objectBytes;
  transaction.bytes += objectBytes;
  for (const arg of command.args) transaction.bytes += arg.length;
  if (transaction.bytes > MAX_QUEUED_BYTES) {
    transaction.commands = [];
    throw new CairnError('ERR', `the transaction is longer than ${MAX_QUEUED_BYTES} bytes`);
  }
  // After a refusal nothing will run: no need to keep it.
  if (!transaction.aborted) transaction.commands.push(command);
}

/** EXEC. The session has left its transaction when this returns, whatever comes of it. */
export function executeQueue(services: Services, session: Session): Outcome<Reply> | Promise<Outcome<Reply>> {
  const { transaction, watch } = session;
  if (transaction === null) throw new CairnError('ERR', 'EXEC without MULTI');
  session.transaction = null;
  session.watch = null;
  let pending = false;
  try {
    admit(services, transaction);
    const outcome = services.keyspace.execute(bodyOf(services, session, transaction, watch), () =>
      keysOf(transaction.commands, session.database),
    );
    if (!(outcome instanceof Promise)) return outcome;
    pending = true;
    return outcome.finally(() => watch?.release());
  } finally {
    if (!pending) watch?.release();
  }
}

function admit({ keyspace }: Services, { aborted, commands, database }: QueuedTransaction): void {
  if (aborted) throw new CairnError('EXECABORT', 'Transaction discarded because of previous errors.');
  const refusal =
    (commands.some(({ spec }) => !isServed(spec, keyspace.unavailable)) ? keyspace.unavailable : null) ??
    (commands.some(({ spec }) => spec.flags.has('write')) ? keyspace.writesRefused : null);
  if (refusal !== null) throw new CairnError('EXECABORT', `Transaction discarded because of: ${refusal.line}`);
  if (keyspace.database !== database) {
    throw new CairnError('EXECABORT', 'Transaction discarded because a restore replaced the database since MULTI.');
  }
}

function bodyOf(
  services: Services,
  session: Session,
  { commands }: QueuedTransaction,
  watch: Session['watch'],
): (tx: Transaction) => Reply {
  const { database, account } = session;
  const replies = new Map<QueuedCommand, Reply>();
  const denials = new Set<QueuedCommand>();
  return (tx) => {
    // The body may run a second time, after a fetch: SELECT and AUTH inside it must not show.
    session.database = database;
    session.account = account;
    if (watch?.touched) return nullArray;
    return commands.map((queued) => {
      const startedAtMs = performance.now();
      try {
        const denied = rightsAtExec(services, session, queued, !denials.has(queued));
        if (denied !== null) {
          denials.add(queued);
          return denied;
        }
        return runOnce(queued, replies, () => runQueued(tx, services, session, queued));
      } catch (thrown) {
        if (thrown instanceof CairnError) return thrown;
        session.database = database;
        session.account = account;
        throw thrown;
      } finally {
        queued.us = Math.max(1, Math.round((performance.now() - startedAtMs) * 1000));
      }
    });
  };
}

/** A command that must take effect once answers what it did the first time, an error too. */
function runOnce(queued: QueuedCommand, replies: Map<QueuedCommand, Reply>, run: () => Reply): Reply {
  const { command } = queued;
  if (command.kind === 'data' || command.once !== true) return run();
  let reply = replies.get(queued);
  if (reply !== undefined) return reply;
  try {
    reply = run();
  } catch (thrown) {
    if (!(thrown instanceof CairnError)) throw thrown;
    reply = thrown;
  }
  replies.set(queued, reply);
  return reply;
}

function runQueued(
  tx: Transaction,
  services: Services,
  session: Session,
  { command, args, name, spec }: QueuedCommand,
): Reply {
  if (command.kind === 'data') {
    tx.counting = countsLookups(spec);
    return command.run(tx, args, session);
  }
  const call = { session, services, args };
  if (command.runQueued !== undefined) return command.runQueued(tx, call);
  const reply = command.run(call);
  if (!(reply instanceof Promise)) return reply;
  reply.catch(() => {});
  throw new Error(`'${name}' may not wait inside EXEC: its protocol file needs the flag no_multi`);
}

/** The keys of all commands, each in the database that is selected when it runs. */
function keysOf(commands: readonly QueuedCommand[], selected: number): KeyRef[] {
  let database = selected;
  const keys: KeyRef[] = [];
  for (const { name, argv, spec } of commands) {
    if (name === 'select') database = Number(argv[1]?.toString('latin1'));
    for (const at of spec.keyIndexes(argv)) keys.push({ database, key: argv[at] as Buffer });
  }
  return keys.filter((key) => Number.isInteger(key.database) && key.database >= 0);
}

function unwatchAll(session: Session): void {
  session.watch?.release();
  session.watch = null;
}
