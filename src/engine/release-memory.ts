/** Memory of many megabytes that is given back at once. */
import { loadAddon } from './addon.js';

/**
 * Gives back the memory of a Buffer that has its memory alone (`Buffer.allocUnsafeSlow`); it is empty afterwards. What lies outside the
 * heap of JavaScript may stay for long: little of what collects garbage sees it. No call that was given the Buffer may still run.
 */
export function releaseMemory(buffer: Buffer): void {
  loadAddon().releaseMemory(buffer);
}
