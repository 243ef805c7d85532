/** The repository's format, bytes ↔ typed values; docs/backup-format.md describes it. No I/O. */
export { decodeDocument, encodeDocument, FORMAT, FormatError, type FormatErrorReason } from './document.js';
export { isLabel, MAX_ID, MAX_LABEL_BYTES } from './fields.js';
export * from './file-list.js';
export * from './keys.js';
export * from './manifest.js';
export * from './number.js';
export * from './repository.js';
export * from './segment.js';
export * from './segment-chain.js';
export * from './segment-check.js';
export { keyOfSegment, requireNamed as requireSegmentName } from './segment-header.js';
export { entryForSequence, entryForTime, IndexBuilder } from './segment-index.js';
export {
  INDEX_STEP_BYTES,
  RECORD_HEAD_BYTES,
  SEGMENT_FOOTER_BYTES,
  SEGMENT_HEADER_BYTES,
  SEGMENT_INDEX_ENTRY_BYTES,
  SEGMENT_VERSION,
} from './segment-layout.js';
export * from './segment-merge.js';
export * from './segment-reader.js';
export * from './state.js';
export * from './tags.js';
export * from './timeline.js';
