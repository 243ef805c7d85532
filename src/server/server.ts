/**
 * The server: its sockets, its sessions, its counters, and what commands may ask of it (ServerControl).
 *
 *   listener  takes connections and turns away those that may not come in
 *   connection  socket ↔ decoder ↔ dispatcher ↔ ordered replies
 *   dispatcher  which command a request is, whether it may run now, and running it
 */
import { randomBytes } from 'node:crypto';
import type { Services } from '../commands/command.js';
import type { CommandCount, ServerControl, Session } from '../commands/session.js';
import { Authenticator } from './auth.js';
import { Connection } from './connection.js';
import { Dispatcher } from './dispatch.js';
import { ServerLimits } from './limits.js';
import { Listener } from './listener.js';
import type { ServerSettings } from './settings.js';

/** What the server needs beside its settings; it adds itself to make `Services`. */
export interface ServerParts extends Omit<Services, 'server'> {
  /** SHUTDOWN was asked for: whoever started the server stops it and ends the process. Called once. */
  onShutdown(): void;
}

export interface Server extends ServerControl {
  /** The services that commands see, this server included. */
  readonly services: Services;
  /**
   * Takes no more connections and requests, lets what is running end (for at most `graceMs`, default 5000), sends the
   * replies and closes the sockets. Idempotent. Storage is closed afterwards, by its owner.
   */
  stop(graceMs?: number): Promise<void>;
}

/** Resolves when connections are accepted; rejects when an address cannot be listened on (nothing stays open then). */
export async function startServer(parts: ServerParts, settings: ServerSettings): Promise<Server> {
  const server = new RunningServer(parts, settings);
  await server.listen();
  return server;
}
