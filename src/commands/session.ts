/** One client as commands see it; `server` implements both interfaces. */
export interface Session {
  readonly id: number;
  readonly address: string;
  readonly localAddress: string;
  readonly connectedAtMs: number;
  lastCommandAtMs: number;
  lastCommand: string;
  database: number;
  protocol: 2 | 3;
  name: string;
  libraryName: string;
  libraryVersion: string;
  authenticated: boolean;
  user: string;
  /** Queued commands of a MULTI, null outside; `aborted` after a queueing error. */
  transaction: { commands: { name: string; args: Buffer[] }[]; aborted: boolean } | null;
  /** What WATCH watches; owned by the keyspace, released by EXEC, DISCARD, UNWATCH and disconnect. */
  watch: { touched: boolean; release(): void } | null;
  readonly pendingOutputBytes: number;
  readonly pendingInputBytes: number;
  /** Closes once the replies so far are out. */
  closeAfterReply(): void;
}

export interface ServerControl {
  readonly startedAtMs: number;
  readonly port: number;
  readonly runId: string;
  sessions(): Iterable<Session>;
  /** Counters for INFO stats. */
  readonly counters: {
    connectionsReceived: number;
    connectionsRejected: number;
    commandsProcessed: number;
    inputBytes: number;
    outputBytes: number;
    errorReplies: number;
  };
  /** Begins an orderly stop; resolves never (the process ends). */
  shutdown(): void;
}
