/** The repository's format, bytes ↔ typed values; docs/backup-format.md describes it. No I/O. */
export { decodeDocument, encodeDocument, FORMAT, FormatError, type FormatErrorReason } from './document.js';
export { isLabel, MAX_ID, MAX_LABEL_BYTES } from './fields.js';
export * from './file-list.js';
export * from './keys.js';
export * from './manifest.js';
export * from './number.js';
export * from './repository.js';
export * from './state.js';
export * from './tags.js';
export * from './timeline.js';
