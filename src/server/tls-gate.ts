/**
 * The way in for TLS clients: raw socket → handshake → the same connection as any. A handshake costs its client little
 * and the server much, so it is bounded: in time, whatever trickles in; in number, because unfinished ones count as
 * clients; and in what it makes the log say.
 *
 *   raw ──► handshaking ──► secured ──► accept
 *             │ time is up, not TLS, too old, no certificate that is trusted, gone: counted, logged now and then
 *             └──► closed
 *
 * A new certificate is taken between two handshakes; connections that are there keep what they agreed on.
 */
import type { Socket } from 'node:net';
import { createServer, type TLSSocket, type Server as TlsServer } from 'node:tls';
import { CairnError, oneLine, toCairnError } from '../base/errors.js';
import type { TlsStatus } from '../commands/session.js';
import type { Log } from '../observability/log.js';
import type { TlsSettings } from './settings.js';
import { loadTlsIdentity, type TlsIdentity } from './tls-identity.js';

const HANDSHAKE_MS = 10_000;
const SAY_FAILURES_EVERY_MS = 10_000;
const CHECK_EXPIRY_MS = 12 * 3600_000;
const WARN_BEFORE_MS = 14 * 86_400_000;

interface Pending {
  readonly raw: Socket;
  readonly timer: NodeJS.Timeout;
  secured(socket: TLSSocket): void;
}

export class TlsGate {
  private readonly server: TlsServer;
  /** By the client's address and port. */
  private readonly pending = new Map<string, Pending>();
  private handshakes = 0;
  private failures = 0;
  private saidAtMs = Number.NEGATIVE_INFINITY;
  private unsaid = 0;
  private reloadedAtMs = 0;
  private reloadError = '';
  private reloading: Promise<unknown> = Promise.resolve();
  private readonly expiryCheck: NodeJS.Timeout;

  /** Throws ERR when certificate or key are not usable. */
  static async open(settings: TlsSettings, log: Log): Promise<TlsGate> {
    return new TlsGate(settings, log, await loadTlsIdentity(settings, log));
  }

  private constructor(
    private readonly settings: TlsSettings,
    private readonly log: Log,
    private identity: TlsIdentity,
  ) {
    this.server = createServer({
      ...identity.options,
      requestCert: settings.clientAuth !== 'no',
      rejectUnauthorized: settings.clientAuth === 'required',
    });
    this.server.on('secureConnection', (socket: TLSSocket) => this.finished(socket));
    this.server.on('tlsClientError', (error: Error & { code?: string }, socket: TLSSocket) => {
      const pending = this.pending.get(clientOf(socket));
      if (pending !== undefined) this.fail(pending, reasonOf(error));
    });
    this.expiryCheck = setInterval(() => this.checkExpiry(), CHECK_EXPIRY_MS).unref();
    this.checkExpiry();
  }

  get status(): TlsStatus {
    const { expiresAtMs, subject, fingerprint } = this.identity;
    return {
      port: this.settings.port,
      certificateExpiresAtMs: expiresAtMs,
      certificateSubject: subject,
      certificateFingerprint: fingerprint,
      handshaking: this.pending.size,
      handshakes: this.handshakes,
      handshakeFailures: this.failures,
      reloadedAtMs: this.reloadedAtMs,
      reloadError: this.reloadError,
    };
  }

  /** Hands the socket over when it is secured; closes it when that fails. A `raw` that is half-closed meanwhile is given up. */
  admit(raw: Socket, secured: (socket: TLSSocket) => void): void {
    const client = clientOf(raw);
    if (raw.destroyed || this.pending.has(client)) {
      raw.destroy();
      return;
    }
    // Absolute: Node's own limit begins anew with every byte.
    const timer = setTimeout(() => this.fail(pending, 'it took too long'), HANDSHAKE_MS).unref();
    const pending: Pending = { raw, timer, secured };
    this.pending.set(client, pending);
    raw.on('error', (error) => this.fail(pending, reasonOf(error)));
    raw.on('close', () =>
      this.fail(pending, 'the client went away, or has a certificate that tls.ca does not vouch for'),
    );
    this.server.emit('connection', raw);
  }

  /**
   * Reads certificate, key and authorities anew, for handshakes to come. Throws, and keeps what was, when they are not
   * usable: what worked until now goes on working.
   */
  reload(): Promise<TlsStatus> {
    const done = this.reloading.then(async () => {
      try {
        const next = await loadTlsIdentity(this.settings, this.log);
        if (next.expiresAtMs < Date.now() && this.identity.expiresAtMs > next.expiresAtMs) {
          throw new CairnError('ERR', `the certificate in tls.cert = '${this.settings.cert}' has expired`, {
            hint: 'Put a certificate in place that is still valid, with its key.',
          });
        }
        this.server.setSecureContext(next.options);
        this.identity = next;
      } catch (error) {
        const reason = toCairnError(error, 'ERR', 'the certificate could not be read anew');
        this.reloadError = reason.line;
        this.log.error('the new TLS certificate is not usable: the old one stays', { error: reason });
        throw reason;
      }
      this.reloadError = '';
      this.reloadedAtMs = Date.now();
      this.log.info('TLS certificate read anew', this.describe());
      this.checkExpiry();
      return this.status;
    });
    this.reloading = done.catch(() => undefined);
    return done;
  }

  /** Nobody who is not in yet will get in. */
  close(): void {
    clearInterval(this.expiryCheck);
    for (const { raw, timer } of this.pending.values()) {
      clearTimeout(timer);
      raw.destroy();
    }
    this.pending.clear();
  }

  private finished(socket: TLSSocket): void {
    const client = clientOf(socket);
    const pending = this.pending.get(client);
    if (pending === undefined) {
      socket.destroy();
      return;
    }
    // With `optional` a certificate may be absent; one that is there must be good.
    const shown = this.settings.clientAuth === 'no' ? null : socket.getPeerCertificate();
    if (shown !== null && !socket.authorized && Object.keys(shown).length > 0) {
      this.fail(pending, `tls.ca does not vouch for its certificate: ${socket.authorizationError}`);
      return;
    }
    this.pending.delete(client);
    clearTimeout(pending.timer);
    this.handshakes++;
    // From now on: who closes its side still gets the answers to what it sent.
    socket.allowHalfOpen = true;
    pending.secured(socket);
  }

  private fail(pending: Pending, reason: string): void {
    const client = clientOf(pending.raw);
    if (this.pending.get(client) !== pending) return;
    this.pending.delete(client);
    clearTimeout(pending.timer);
    pending.raw.destroy();
    this.failures++;
    const nowMs = performance.now();
    if (nowMs - this.saidAtMs < SAY_FAILURES_EVERY_MS) {
      this.unsaid++;
      return;
    }
    this.log.warn('a TLS handshake failed', { client, reason, ...(this.unsaid > 0 && { andBefore: this.unsaid }) });
    this.saidAtMs = nowMs;
    this.unsaid = 0;
  }

  private checkExpiry(): void {
    const leftMs = this.identity.expiresAtMs - Date.now();
    if (leftMs > WARN_BEFORE_MS) return;
    const event = leftMs > 0 ? 'the TLS certificate expires soon' : 'the TLS certificate has expired';
    this.log[leftMs > 0 ? 'warn' : 'error'](event, this.describe());
  }

  private describe(): Record<string, string> {
    const { subject, fingerprint, expiresAtMs } = this.identity;
    return { subject, fingerprint, expires: new Date(expiresAtMs).toISOString() };
  }
}

function clientOf(socket: Socket): string {
  return `${socket.remoteAddress}:${socket.remotePort}`;
}

function reasonOf(error: Error & { code?: string }): string {
  switch (error.code) {
    case 'ERR_SSL_WRONG_VERSION_NUMBER':
    case 'ERR_SSL_HTTP_REQUEST':
      return 'the client does not speak TLS';
    case 'ERR_SSL_UNSUPPORTED_PROTOCOL':
      return 'the client speaks only versions of TLS that are older than tls.min_version';
    case 'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE':
      return 'the client has no certificate, which tls.client_auth requires';
    default:
      return error.code ?? oneLine(error.message);
  }
}
