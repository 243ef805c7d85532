/** Disk space, asked before bytes are moved: a copy that cannot fit is refused while nothing was touched. */
import { CairnError } from '../base/errors.js';

/** Room left for manifests, logs and the file system's own needs. */
const MARGIN_BYTES = 4 << 20;

/** Throws NOSPACE when `neededBytes` and a margin do not fit; `freeBytes` null (unknown) always fits. */
export function requireSpace(what: string, where: string, neededBytes: number, freeBytes: number | null): void {
  if (freeBytes === null || neededBytes + MARGIN_BYTES <= freeBytes) return;
  throw new CairnError(
    'NOSPACE',
    `${what} at ${where} needs ${neededBytes + MARGIN_BYTES} bytes, ${freeBytes} are free`,
    {
      hint: 'Free space there, or lower retention (ADMIN.BACKUP PRUNE), then try again. Nothing was changed.',
      details: {
        needed: neededBytes + MARGIN_BYTES,
        free: freeBytes,
        path: where,
      },
    },
  );
}
