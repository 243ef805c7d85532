/**
 * Every command that there is: the one list. A new family is one import and one line here, beside its file and its
 * entries in protocol/.
 */
import { aclCommands } from './acl.js';
import { backupCheckCommands } from './admin-backup-check.js';
import { backupCreateCommands } from './admin-backup-create.js';
import { backupKeepCommands } from './admin-backup-keep.js';
import { backupLookCommands } from './admin-backup-look.js';
import { backupMomentCommands } from './admin-backup-moments.js';
import { readonlyCommands } from './admin-readonly.js';
import { tlsCommands } from './admin-tls.js';
import { bitfieldCommands } from './bitfield.js';
import { bitCommands } from './bits.js';
import { clientCommands } from './client.js';
import { clientControlCommands } from './client-control.js';
import { clientTrackingCommands } from './client-tracking.js';
import type { Command } from './command.js';
import { commandInfoCommands } from './command-info.js';
import { configCommands } from './config.js';
import { connectionCommands } from './connection.js';
import { counterCommands } from './counters.js';
import { debugCommands } from './debug.js';
import { dumpCommands } from './dump.js';
import { expiryCommands } from './expiry.js';
import { flushCommands } from './flush.js';
import { helpCommands } from './help.js';
import { infoCommands } from './info.js';
import { keyCommands } from './keys.js';
import { latencyCommands } from './latency.js';
import { lcsCommands } from './lcs.js';
import { memoryCommands } from './memory.js';
import { monitorCommands } from './monitor.js';
import { objectCommands } from './object.js';
import { scanCommands } from './scan.js';
import { shutdownCommands } from './shutdown.js';
import { slowLogCommands } from './slowlog.js';
import { sortCommands } from './sort.js';
import { lookup } from './spec.js';
import { stringPartCommands } from './string-parts.js';
import { stringCommands } from './strings.js';
import { swapdbCommands } from './swapdb.js';
import { transactionCommands } from './transactions.js';
import { waitCommands } from './wait.js';

const families: readonly (readonly Command[])[] = [
  connectionCommands,
  clientCommands,
  clientControlCommands,
  clientTrackingCommands,
  transactionCommands,
  stringCommands,
  stringPartCommands,
  bitCommands,
  bitfieldCommands,
  lcsCommands,
  counterCommands,
  keyCommands,
  expiryCommands,
  objectCommands,
  dumpCommands,
  sortCommands,
  memoryCommands,
  scanCommands,
  flushCommands,
  swapdbCommands,
  infoCommands,
  slowLogCommands,
  latencyCommands,
  monitorCommands,
  configCommands,
  commandInfoCommands,
  aclCommands,
  helpCommands,
  waitCommands,
  debugCommands,
  shutdownCommands,
  readonlyCommands,
  tlsCommands,
  backupCreateCommands,
  backupLookCommands,
  backupCheckCommands,
  backupKeepCommands,
  backupMomentCommands,
];

let commands: ReadonlyMap<string, Command> | null = null;

/** By name, as in protocol/. Throws when two have one name, and when protocol/ does not know a name. */
export function allCommands(): ReadonlyMap<string, Command> {
  commands ??= gather();
  return commands;
}

function gather(): Map<string, Command> {
  const result = new Map<string, Command>();
  for (const command of families.flat()) {
    if (result.has(command.name)) throw new Error(`two commands are named '${command.name}'`);
    if (lookup(command.name) === undefined) throw new Error(`protocol/ has no '${command.name}'`);
    result.set(command.name, command);
  }
  return result;
}
