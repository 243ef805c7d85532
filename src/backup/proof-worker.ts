/** The worker of proof.ts: opens the directory, reads all of it, answers once. */
import { parentPort, workerData } from 'node:worker_threads';
import { CairnError, toCairnError } from '../base/errors.js';
import { workInBackground } from '../base/priority.js';
import { openDatabase } from '../engine/index.js';
import { readPosition, survey } from '../keyspace/survey.js';
import type { Proof, ProofMessage, ProofTask } from './proof.js';

const port = parentPort;
if (port === null) throw new Error('proof-worker runs as a worker thread only');
const task = workerData as ProofTask;
let stopped = false;
workInBackground();
port.on('message', () => {
  stopped = true;
});
const say = (message: ProofMessage): void => port.postMessage(message);

async function prove(): Promise<Proof> {
  const database = await openDatabase(task.path, {
    createIfMissing: false,
    blockCacheBytes: 8 << 20,
  });
  try {
    const sequence = database.latestSequence();
    const position = await readPosition(database, task.kind);
    await database.verifyChecksums();
    const surveyed = await survey(database, task.kind, (bytes) => {
      if (stopped) throw new CairnError('CANCELLED', 'the verification was cancelled');
      say({ type: 'progress', bytes });
    });
    return { sequence, position, survey: surveyed };
  } finally {
    await database.close();
  }
}

prove()
  .then((proof) => say({ type: 'done', proof }))
  .catch((thrown: unknown) => {
    const error = toCairnError(thrown, 'BACKUPVERIFY');
    const code = error.code === 'CANCELLED' ? 'CANCELLED' : 'BACKUPVERIFY';
    say({ type: 'failed', code, message: error.message, hint: error.hint });
  })
  .finally(() => port.close());
