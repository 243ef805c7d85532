/** Which RocksDB the addon was built with. */
import { loadAddon } from './addon.js';

export function rocksdbVersion(): string {
  return loadAddon().rocksdbVersion;
}
