/**
 * node_modules as package-lock.json says. It is current when npm's own record of what it installed has the same
 * versions, however they got there (npm ci here, npm install by hand); a stamp spares the comparison next time.
 */
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { inProject, say } from './root.mjs';
import { npm, run } from './run.mjs';

const stampPath = inProject('node_modules', '.cairn-setup');

export function dependenciesAreCurrent() {
  const wanted = stampOf();
  if (read(stampPath)?.toString() === wanted) return true;
  if (!installedAsLocked()) return false;
  writeFileSync(stampPath, wanted);
  return true;
}

/** Development packages too: the TypeScript compiler is needed to build. Its install script builds the addon. */
export async function installDependencies() {
  say('installing the npm packages of package-lock.json (npm ci)');
  await run(npm('ci', '--include=dev', '--no-audit', '--no-fund'), 'the npm packages could not be installed');
  writeFileSync(stampPath, stampOf());
}

function stampOf() {
  const lock = createHash('sha256')
    .update(readFileSync(inProject('package-lock.json')))
    .digest('hex');
  return `${lock} ${process.platform}-${process.arch}`;
}

function installedAsLocked() {
  const installed = parse(read(inProject('node_modules', '.package-lock.json')));
  const locked = parse(read(inProject('package-lock.json')));
  if (installed === null || locked === null) return false;
  const paths = new Set([...Object.keys(installed), ...Object.keys(locked)]);
  paths.delete('');
  for (const path of paths) {
    if (installed[path] === undefined && locked[path].optional) continue; // another platform's
    if (installed[path]?.version !== locked[path]?.version) return false;
    if (installed[path]?.integrity !== locked[path]?.integrity) return false;
  }
  return true;
}

function parse(bytes) {
  try {
    return JSON.parse(bytes).packages;
  } catch {
    return null;
  }
}

function read(path) {
  try {
    return readFileSync(path);
  } catch {
    return null;
  }
}
