/** Sockets through the addon; nothing in it is about a database. */
import type { SocketCalls } from '../base/socket-calls.js';
import { loadAddon } from './addon.js';

export const nativeSockets: SocketCalls = {
  send: (sockets, pieces) => loadAddon().sendToSockets(sockets, pieces),
};
