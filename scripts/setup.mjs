/**
 * Makes a fresh checkout ready, and does nothing when it is: system packages, npm packages, the RocksDB addon, the
 * TypeScript build, in this order. `npm start` and `npm test` call it; alone it is `node scripts/setup.mjs`.
 *
 * Plain JavaScript without dependencies, as are all files of scripts/setup/, because it runs before npm ci.
 */
import { realpathSync } from 'node:fs';
import { constants } from 'node:os';
import { pathToFileURL } from 'node:url';
import { addonIsCurrent, buildAddonThroughNpm } from './setup/addon.mjs';
import { dependenciesAreCurrent, installDependencies } from './setup/dependencies.mjs';
import { withLock } from './setup/lock.mjs';
import { SetupError, say } from './setup/root.mjs';
import { killRunning } from './setup/run.mjs';
import { ensureSystemPackages } from './setup/system-packages.mjs';
import { buildDist, distIsCurrent } from './setup/typescript.mjs';

const oldestNode = 20;

/** Ends the process with a message when it cannot be done: nothing can go on without it. */
export async function setUp() {
  const restoreSignals = endChildrenOnSignals();
  try {
    await makeReady();
  } catch (error) {
    process.stderr.write(`setup: ${error instanceof SetupError ? error.message : error.stack}\n`);
    process.exit(1);
  } finally {
    restoreSignals();
  }
}

async function makeReady() {
  if (Number(process.versions.node.split('.')[0]) < oldestNode) {
    throw new SetupError(
      `Cairn needs Node.js ${oldestNode} or later; this is ${process.version} (${process.execPath})`,
    );
  }
  if (isReady()) return;
  await withLock(async () => {
    if (!addonIsCurrent()) await ensureSystemPackages();
    if (!dependenciesAreCurrent()) await installDependencies();
    if (!addonIsCurrent()) await buildAddonThroughNpm();
    if (!distIsCurrent()) await buildDist();
  });
  say('ready');
}

function isReady() {
  return dependenciesAreCurrent() && addonIsCurrent() && distIsCurrent();
}

function endChildrenOnSignals() {
  const signals = ['SIGTERM', 'SIGINT', 'SIGHUP'];
  const end = (signal) => {
    killRunning(signal);
    process.exit(128 + constants.signals[signal]);
  };
  for (const signal of signals) process.on(signal, end);
  return () => {
    for (const signal of signals) process.removeListener(signal, end);
  };
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(realpathSync(process.argv[1])).href) {
  await setUp();
}
