/** ADMIN.TLS: reads the certificate anew, tells which one is in use. */
import { CairnError } from '../base/errors.js';
import { formatTime } from '../base/time.js';
import { record } from '../resp/reply.js';
import { adminCommand } from './admin-call.js';
import type { ServerCommand } from './command.js';

const tls = adminCommand('admin.tls', async (values, { services }) => {
  const { tls } = services.server;
  if (tls === null)
    throw new CairnError('ERR', 'TLS is off', { hint: 'Set tls.port, tls.cert and tls.key, and restart.' });
  const status = values.word('action') === 'RELOAD' ? await tls.reload() : tls.status;
  return record({
    port: status.port,
    subject: status.certificateSubject,
    fingerprint: status.certificateFingerprint,
    expires_at: formatTime(status.certificateExpiresAtMs * 1000),
    reloaded_at: status.reloadedAtMs === 0 ? null : formatTime(status.reloadedAtMs * 1000),
    reload_error: status.reloadError === '' ? null : status.reloadError,
  });
});

export const tlsCommands: readonly ServerCommand[] = [tls];
