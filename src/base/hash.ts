/** SHA-256, the one content hash of the repository; always lower-case hex. */
import { createHash } from 'node:crypto';

/** The hash of all the parts, one after the other. */
export function sha256(...parts: Uint8Array[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest('hex');
}

/** Asked for every file of a list, so without a regular expression. */
export function isSha256(text: string): boolean {
  if (text.length !== 64) return false;
  for (let at = 0; at < 64; at++) {
    const code = text.charCodeAt(at);
    const isDigit = code >= 0x30 && code <= 0x39;
    if (!isDigit && !(code >= 0x61 && code <= 0x66)) return false;
  }
  return true;
}
