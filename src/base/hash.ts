/** SHA-256, the one content hash of the repository; always lower-case hex. */
import { createHash } from 'node:crypto';

/** The hash of all the parts, one after the other. */
export function sha256(...parts: Uint8Array[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest('hex');
}

export function isSha256(text: string): boolean {
  return /^[0-9a-f]{64}$/.test(text);
}
