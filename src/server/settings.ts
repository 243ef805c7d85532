/**
 * What the server needs to know of the configuration, said by itself. The object is handed in and read anew at each
 * use, so that whoever owns the configuration can change what may change at run time (marked: live) by getters.
 */
export interface ServerSettings {
  /** Cairn's version, for INFO. */
  readonly version: string;
  /** 0 takes any free port; null: no plain TCP. */
  readonly port: number | null;
  /** null: no TLS. */
  readonly tls: TlsSettings | null;
  /** Addresses to listen on; an empty list with a unixsocket means no TCP. */
  readonly bind: readonly string[];
  readonly unixsocket: string | null;
  /** Permission bits of the socket's file. */
  readonly unixsocketPermissions: number;
  /** Logical databases that SELECT accepts. */
  readonly databases: number;
  /** Live. */
  readonly maxclients: number;
  /** Live. While no password is set, only loopback and the unix socket are served. */
  readonly protectedMode: boolean;
  /** Live. Idle clients are closed after this; 0 never. */
  readonly timeoutSeconds: number;
  /** Live. The longest argument that a request may have. */
  readonly protoMaxBulkLen: number;
  /** Seconds of silence before the system probes the peer; 0 never. */
  readonly tcpKeepaliveSeconds: number;
  /** Live. A client with more unread output than this is cut off; 0: the hard limit of 1 GB alone. */
  readonly outputLimitBytes: number;
  /** Live. Redis's client-output-buffer-limit of normal clients; 0: none. Seconds count from when soft was passed. */
  readonly outputBufferLimit: { readonly hardBytes: number; readonly softBytes: number; readonly softSeconds: number };
  /** Live. A client with more input than this that is not run yet, transaction included, is cut off. */
  readonly queryBufferLimitBytes: number;
  /** Live. When all clients hold more than this, the one that holds most is cut off; 0: never. */
  readonly maxmemoryClientsBytes: number;
}

/** What the files hold may change; which files they are does not. */
export interface TlsSettings {
  readonly port: number;
  /** PEM files. */
  readonly cert: string;
  readonly key: string;
  /** '': the key has none. */
  readonly keyPassword: string;
  /** Who vouches for clients. */
  readonly ca: string | null;
  readonly clientAuth: 'no' | 'optional' | 'required';
  readonly minVersion: '1.2' | '1.3';
}
