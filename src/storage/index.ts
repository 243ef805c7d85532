/** What other parts use of storage. */
export { CopyPool, type CopyPoolOptions } from './copy-pool.js';
export { type LocalStoreOptions, openLocalStore } from './local-store.js';
export { recode, storageError } from './storage-error.js';
export * from './store.js';
