/**
 * Parts of the contract that need the WAL archive: their arguments are checked, and parseArguments then answers that
 * they are not built yet.
 */
import { adminCommand } from './admin-call.js';
import type { ServerCommand } from './command.js';

export const backupLaterCommands: readonly ServerCommand[] = ['tag', 'tags', 'untag', 'window'].map((name) =>
  adminCommand(`admin.backup|${name}`, () => {
    throw new Error(`protocol/ says that ${name} is built; nothing here does it`);
  }),
);
