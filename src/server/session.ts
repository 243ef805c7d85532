/** One client's state, as commands see it (Session). The bytes and their order are the connection's. */
import type { User } from '../acl/users.js';
import type { QueuedTransaction, Session } from '../commands/session.js';

/** What a session asks of its connection. */
export interface SessionOwner {
  readonly pendingOutputBytes: number;
  readonly pendingInputBytes: number;
  readonly maxStringBytes: number;
  closeAfterReply(): void;
  destroy(): void;
  /** Replies that were not sent yet are fixed in the protocol that was in force until now. */
  beforeProtocolChange(): void;
  /** The decoder's limits follow. */
  authenticationChanged(authenticated: boolean): void;
}

export interface SessionOrigin {
  id: number;
  address: string;
  localAddress: string;
  /** Logical databases that SELECT accepts. */
  databases: number;
  /** The default user. */
  account: User;
  /** No password is needed. */
  authenticated: boolean;
  /** Whether it would be again, after RESET. */
  authenticatedAnew: () => boolean;
}

export class ClientSession implements Session {
  readonly id: number;
  readonly address: string;
  readonly localAddress: string;
  readonly databases: number;
  readonly connectedAtMs = Date.now();
  lastCommandAtMs = this.connectedAtMs;
  lastCommand = '';
  database = 0;
  name = '';
  libraryName = '';
  libraryVersion = '';
  account: User;
  transaction: QueuedTransaction | null = null;
  watch: { touched: boolean; heldBytes: number; release(): void } | null = null;
  noEvict = false;
  noTouch = false;
  replies: Session['replies'] = 'on';
  waiting: Session['waiting'] = null;
  private endMonitoring: (() => void) | null = null;
  private version: 2 | 3 = 2;
  private mayCommand: boolean;

  constructor(
    origin: SessionOrigin,
    private readonly owner: SessionOwner,
  ) {
    this.id = origin.id;
    this.address = origin.address;
    this.localAddress = origin.localAddress;
    this.databases = origin.databases;
    this.account = origin.account;
    this.initialAccount = origin.account;
    this.mayCommand = origin.authenticated;
    this.authenticatedAnew = origin.authenticatedAnew;
  }

  private readonly authenticatedAnew: () => boolean;
  private readonly initialAccount: User;

  get maxStringBytes(): number {
    return this.owner.maxStringBytes;
  }

  get user(): string {
    return this.account.name;
  }

  get authenticated(): boolean {
    return this.mayCommand;
  }
  set authenticated(value: boolean) {
    this.mayCommand = value;
    this.owner.authenticationChanged(value);
  }

  get protocol(): 2 | 3 {
    return this.version;
  }
  set protocol(version: 2 | 3) {
    if (version === this.version) return;
    this.owner.beforeProtocolChange();
    this.version = version;
  }

  get pendingOutputBytes(): number {
    return this.owner.pendingOutputBytes;
  }
  get pendingInputBytes(): number {
    return this.owner.pendingInputBytes;
  }

  closeAfterReply(): void {
    this.owner.closeAfterReply();
  }

  close(): void {
    this.owner.destroy();
  }

  reset(): void {
    this.release();
    this.database = 0;
    this.protocol = 2;
    this.name = '';
    this.account = this.initialAccount;
    this.noEvict = false;
    this.noTouch = false;
    this.replies = 'on';
    this.endMonitoring?.();
    this.endMonitoring = null;
    this.authenticated = this.authenticatedAnew();
  }

  get monitoring(): boolean {
    return this.endMonitoring !== null;
  }
  /** It is shown commands until `end` is called, which RESET does. */
  monitor(end: () => void): void {
    this.endMonitoring = end;
  }

  /** Of a reply that is due now: whether it is left out. Each reply asks once. */
  leavesOut(): boolean {
    const { replies } = this;
    if (replies === 'skip next') this.replies = 'skip';
    else if (replies === 'skip') this.replies = 'on';
    return replies !== 'on';
  }

  /** Ends the transaction and what it watches. */
  release(): void {
    this.transaction = null;
    this.watch?.release();
    this.watch = null;
  }
}
