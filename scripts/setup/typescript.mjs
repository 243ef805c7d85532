/**
 * dist/ from src/. The build goes to a folder beside it and takes its place when it is whole: a failed one leaves the
 * old dist/, a deleted source leaves no old JavaScript, and a server that runs from dist/ meanwhile finds its files.
 */
import { existsSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fingerprint } from './fingerprint.mjs';
import { inProject, say } from './root.mjs';
import { run } from './run.mjs';

const inputs = ['src', 'tsconfig.json', 'node_modules/typescript/package.json'];

export function distIsCurrent() {
  return existsSync(inProject('dist', 'cli', 'main.js')) && distFingerprint(inProject('dist')).isCurrent();
}

export async function buildDist() {
  const next = inProject('dist.next');
  rmSync(next, { recursive: true, force: true });
  const writeStamp = distFingerprint(next).take();
  say('compiling the TypeScript sources to dist/');
  await compile('tsconfig.json', next);
  writeStamp();
  replaceFolder(inProject('dist'), next);
}

/** Compiles the tests, with the sources that they import, into a folder that holds nothing else. */
export async function buildTests() {
  const next = inProject('dist-test.next');
  rmSync(next, { recursive: true, force: true });
  await compile('test/tsconfig.json', next);
  replaceFolder(inProject('dist-test'), next);
}

function distFingerprint(folder) {
  return fingerprint(join(folder, '.cairn-build'), inputs);
}

async function compile(project, outDir) {
  const tsc = inProject('node_modules', 'typescript', 'bin', 'tsc');
  await run([process.execPath, tsc, '-p', project, '--outDir', outDir], 'the sources do not compile');
}

function replaceFolder(folder, next) {
  const old = `${folder}.old`;
  rmSync(old, { recursive: true, force: true });
  if (existsSync(folder)) renameSync(folder, old);
  renameSync(next, folder);
  rmSync(old, { recursive: true, force: true });
}
