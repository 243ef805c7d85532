/**
 * One set-up at a time in a tree: two starts at once must not both write node_modules, build/ or dist/. The lock is a
 * file with the holder's name; the holder renews its time. It is taken over when the holder is gone: its process does
 * not exist, or (another container, a reused process id) nobody has renewed it for a while.
 */
import { closeSync, openSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeSync } from 'node:fs';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { inProject, say } from './root.mjs';

const projectLock = inProject('.setup.lock');
const renewMs = 2_000;
const abandonedMs = 30_000;

/** Waits for the lock, runs the body, releases the lock. */
export async function withLock(body, path = projectLock) {
  const own = `${process.pid}@${hostname()}`;
  let announced = false;
  while (!tryTake(path, own)) {
    const holder = readHolder(path);
    if (holder !== null && isGone(path, holder)) {
      takeAway(path, holder);
      continue;
    }
    if (!announced && holder !== null) say(`another set-up is running (process ${holder}); waiting for it`);
    announced = true;
    await sleep(200);
  }
  const renewal = setInterval(() => renew(path), renewMs);
  const releaseAtExit = () => release(path, own);
  process.once('exit', releaseAtExit);
  try {
    return await body();
  } finally {
    clearInterval(renewal);
    process.removeListener('exit', releaseAtExit);
    release(path, own);
  }
}

function tryTake(path, own) {
  try {
    const file = openSync(path, 'wx');
    writeSync(file, own);
    closeSync(file);
    return true;
  } catch (error) {
    if (error.code === 'EEXIST') return false;
    throw error;
  }
}

function readHolder(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null; // released in this moment
  }
}

function isGone(path, holder) {
  const ageMs = Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
  if (ageMs > abandonedMs) return true;
  const [pid, host] = holder.split('@');
  if (host !== hostname() || pid === '') return false;
  try {
    process.kill(Number(pid), 0);
    return false;
  } catch (error) {
    return error.code === 'ESRCH';
  }
}

/** Moved aside before it is removed, so that of several who find it abandoned only one removes it. */
function takeAway(path, holder) {
  const aside = `${path}.${process.pid}`;
  try {
    renameSync(path, aside);
    if (readFileSync(aside, 'utf8') === holder) say(`a set-up was interrupted (process ${holder}); starting over`);
    rmSync(aside, { force: true });
  } catch {
    // someone else was first
  }
}

function renew(path) {
  try {
    utimesSync(path, new Date(), new Date());
  } catch {
    // removed by hand: the set-up goes on, only its protection is gone
  }
}

function release(path, own) {
  if (readHolder(path) === own) rmSync(path, { force: true });
}
