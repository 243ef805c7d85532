/** A repository on a store, for what is asked of it without a server: it locks nothing. */
import { Repository } from '../../../src/backup/repository.js';
import { systemClock } from '../../../src/base/clock.js';
import type { Store } from '../../../src/storage/store.js';
import { silentLog } from '../../support/log.js';

export function repositoryOn(store: Store, log = silentLog()): Repository {
  return new Repository({
    store,
    databaseId: () => 'a',
    timeline: () => 1,
    acquireLock: async () => ({ release() {} }),
    readOnlyReason: null,
    clock: systemClock(),
    log,
  });
}
