/**
 * Who this server is to TLS clients: certificate, key, and whom it trusts, read from files and checked before they are
 * used. What is wrong is told with the setting to mend; nothing here is half-loaded.
 */
import { constants, X509Certificate } from 'node:crypto';
import { open } from 'node:fs/promises';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import { CairnError } from '../base/errors.js';
import { errnoOf } from '../base/fs.js';
import type { Log } from '../observability/log.js';
import type { TlsSettings } from './settings.js';

export interface TlsIdentity {
  readonly options: SecureContextOptions;
  /** When the first certificate of the chain runs out. */
  readonly expiresAtMs: number;
  readonly subject: string;
  readonly fingerprint: string;
}

const MAX_FILE_BYTES = 1024 * 1024;

/** Throws ERR, which names the file and what to do. */
export async function loadTlsIdentity(settings: TlsSettings, log: Log): Promise<TlsIdentity> {
  const cert = await readSetting('tls.cert', settings.cert, log);
  const key = await readSetting('tls.key', settings.key, log, true);
  const ca = settings.ca === null ? undefined : await readSetting('tls.ca', settings.ca, log);
  const chain = certificatesOf('tls.cert', settings.cert, cert);
  if (ca !== undefined) certificatesOf('tls.ca', settings.ca ?? '', ca);
  const options: SecureContextOptions = {
    cert,
    key,
    ...(ca !== undefined && { ca }),
    ...(settings.keyPassword !== '' && { passphrase: settings.keyPassword }),
    minVersion: settings.minVersion === '1.3' ? 'TLSv1.3' : 'TLSv1.2',
    // Of TLS 1.2: handshake after handshake on one connection, each of which costs the server more than its client.
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
  };
  try {
    createSecureContext(options);
  } catch (error) {
    throw unusable(settings, error as Error & { code?: string });
  }
  const [own] = chain as [X509Certificate];
  return {
    options,
    expiresAtMs: Math.min(...chain.map((certificate) => Date.parse(certificate.validTo))),
    subject: own.subject.replaceAll('\n', ', '),
    fingerprint: own.fingerprint256,
  };
}

/** Links are followed: where certificates are renewed, the name is one. */
async function readSetting(name: string, path: string, log: Log, secret = false): Promise<Buffer> {
  try {
    const file = await open(path, 'r');
    try {
      const stats = await file.stat();
      if (!stats.isFile()) throw new Error('it is not a regular file');
      if (stats.size > MAX_FILE_BYTES) throw new Error(`it has ${stats.size} bytes`);
      if (secret && (stats.mode & 0o004) !== 0) {
        log.warn('everybody on this machine can read the key of the TLS certificate', {
          file: path,
          mend: `chmod 0600 ${path}`,
        });
      }
      return await file.readFile();
    } finally {
      await file.close();
    }
  } catch (error) {
    throw new CairnError('ERR', `${name} = '${path}' cannot be read: ${errnoOf(error) ?? (error as Error).message}`, {
      hint: `Name a PEM file that the server's user may read.`,
      cause: error,
    });
  }
}

function certificatesOf(name: string, path: string, pem: Buffer): X509Certificate[] {
  const blocks = pem.toString('latin1').match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  try {
    if (blocks.length === 0) throw new Error('there is no certificate in it');
    return blocks.map((block) => new X509Certificate(block));
  } catch (error) {
    throw new CairnError('ERR', `${name} = '${path}' is not usable: ${(error as Error).message}`, {
      hint: 'It must hold certificates in PEM form, for tls.cert the own one first and then those that lead to its root.',
      cause: error,
    });
  }
}

function unusable({ cert, key }: TlsSettings, error: Error & { code?: string }): CairnError {
  const mismatch =
    error.code === 'ERR_OSSL_X509_KEY_VALUES_MISMATCH' || /key (values|type) mismatch/.test(error.message);
  const locked = /passphrase|password|bad decrypt|interrupted or cancelled/i.test(error.message);
  if (mismatch) {
    return new CairnError(
      'ERR',
      `the certificate in tls.cert = '${cert}' and the key in tls.key = '${key}' are not a pair`,
      {
        hint: 'Put both files of one issue in place.',
        cause: error,
      },
    );
  }
  return new CairnError('ERR', `tls.key = '${key}' is not usable: ${error.message}`, {
    hint: locked
      ? 'Set tls.key_password, or give a key without a password.'
      : 'It must hold one private key in PEM form.',
    cause: error,
  });
}
