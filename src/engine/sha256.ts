/** The SHA-256 of bytes in memory, off the event loop; nothing in it is about a database. */
import { loadAddon } from './addon.js';

/** 32 bytes. The bytes are not copied: they must not be changed until then. Rejects where there is no memory, or no thread. */
export function sha256InPool(bytes: Buffer): Promise<Buffer> {
  return loadAddon().sha256(bytes);
}
