/** The engine's face: what the rest of Cairn imports, beside the types of types.ts. */
export { BatchBuilder } from './batch.js';
export {
  type BatchPart,
  type BatchRecord,
  batchCount,
  decodeBatch,
  splitBatch,
} from './batch-reader.js';
export { decodeBlock, type Entry, visitBlock } from './block.js';
export { readCommit, replayProven, replayRecords, verifyRecords } from './commits.js';
export { nativeFiles } from './file-calls.js';
export { acquireFileLock } from './file-lock.js';
export { archivedLogs, logBytes, unlinkArchivedLog } from './log-files.js';
export { type LogScan, listLogs, scanLog } from './log-scan.js';
export { openDatabase, openSecondary } from './open.js';
export { releaseMemory } from './release-memory.js';
export { sha256InPool } from './sha256.js';
export { nativeSockets } from './socket-calls.js';
export type { EngineErrorKind } from './status.js';
export { rocksdbVersion } from './version.js';
