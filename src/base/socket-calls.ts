/** What is done with sockets outside Node's streams, by the addon: handed to the server, which does not know it. */
export interface SocketCalls {
  /**
   * Sends each piece to the open, non-blocking socket of the same index, in order, without waiting. Leaves in the place of the
   * descriptor how many bytes the system took: from 0 to all of them, or below 0 the negative errno.
   */
  send(sockets: Int32Array, pieces: readonly Buffer[]): void;
}
