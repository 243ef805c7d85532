/**
 * What a command is: a name from protocol/, and a function from a call to a reply. One file per command or tight
 * family; `index.ts` lists them. Arity, ACL and key positions come from protocol/, never from here.
 */
import type { AclFile } from '../acl/file.js';
import type { Users } from '../acl/users.js';
import type { BackupService } from '../backup/service.js';
import type { CairnError } from '../base/errors.js';
import type { ConfigService } from '../config/service.js';
import type { Keyspace } from '../keyspace/keyspace.js';
import type { Transaction } from '../keyspace/transaction.js';
import type { AuditLog } from '../observability/audit.js';
import type { Log } from '../observability/log.js';
import type { Reply } from '../resp/reply.js';
import type { ServerControl, Session } from './session.js';

/** Everything that commands may use beside their arguments; made once by the cli. */
export interface Services {
  keyspace: Keyspace;
  /** null: no repository is configured. */
  backup: BackupService;
  config: ConfigService;
  users: Users;
  /** null: no aclfile is configured. */
  aclFile: AclFile | null;
  server: ServerControl;
  log: Log;
  audit: AuditLog;
}

export interface Call {
  session: Session;
  services: Services;
  /** Arguments after the command's (and subcommand's) name. */
  args: Buffer[];
}

/** A command on data: synchronous, on a transaction that commits when it returns and vanishes when it throws. */
export interface DataCommand {
  name: string;
  kind: 'data';
  run(tx: Transaction, args: Buffer[], session: Session): Reply;
}

/** Anything else: may wait, touches data only through services.keyspace. */
export interface ServerCommand {
  name: string;
  kind: 'server';
  /** Always refused, before anything else: inside MULTI it spoils the transaction. */
  refused?: CairnError;
  run(call: Call): Reply | Promise<Reply>;
  /**
   * The same inside EXEC: synchronous, on the transaction (KEYS, SCAN, FLUSHDB, DBSIZE …). Commands that have neither this
   * nor a synchronous `run` are refused when they are queued: their protocol file carries the flag no_multi.
   */
  runQueued?(tx: Transaction, call: Call): Reply;
  /** Inside EXEC it must take effect once: EXEC begins anew after a fetch, and then takes the first reply again. */
  once?: true;
}

/** name: lower case, subcommands as 'admin.backup|create', as in protocol/. */
export type Command = DataCommand | ServerCommand;
