/**
 * A data command with its arguments, in the shape that the keyspace takes. A connection has one and uses it again for
 * each command: it runs one at a time, also while the keyspace fetches what is not in memory, so that no closure is
 * made per command.
 */
import type { DataCommand } from '../commands/command.js';
import { countsLookups } from '../commands/lookups.js';
import type { CommandSpec } from '../commands/spec.js';
import type { KeyRef } from '../keyspace/keyspace.js';
import type { Transaction } from '../keyspace/transaction.js';
import type { Reply } from '../resp/reply.js';
import type { ClientSession } from './session.js';

const noArguments: Buffer[] = [];

export class DataCall {
  private command: DataCommand | null = null;
  private spec: CommandSpec | null = null;
  private argv = noArguments;
  private args = noArguments;

  /** For `Keyspace.execute`. */
  readonly body: (tx: Transaction) => Reply;
  readonly keys: () => KeyRef[];

  constructor(session: ClientSession) {
    this.body = (tx) => {
      tx.counting = countsLookups(this.spec as CommandSpec);
      return (this.command as DataCommand).run(tx, this.args, session);
    };
    this.keys = () => keyRefs(this.spec as CommandSpec, this.argv, session.database);
  }

  set(command: DataCommand, spec: CommandSpec, argv: Buffer[], args: Buffer[]): void {
    this.command = command;
    this.spec = spec;
    this.argv = argv;
    this.args = args;
  }

  /** Lets go of the arguments, which may be large. */
  clear(): void {
    this.argv = noArguments;
    this.args = noArguments;
  }
}

function keyRefs(spec: CommandSpec, argv: Buffer[], database: number): KeyRef[] {
  const toBeWritten = spec.flags.has('write');
  return spec.keyIndexes(argv).map((at) => ({ database, key: argv[at] as Buffer, toBeWritten }));
}
