/**
 * What the addon needs of the system: a C++ compiler, make, Python (for node-gyp), and the headers of RocksDB and
 * OpenSSL. It is looked for by what is used (a program, a header), not by package name, so that a RocksDB built by hand
 * counts too. On Debian and its relatives what is missing is installed, where we may; elsewhere we say what to install.
 */
import { execFileSync } from 'node:child_process';
import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { SetupError, say } from './root.mjs';
import { exitCodeOf, run } from './run.mjs';

/** Where compilers look, plus Homebrew's folders, which build:addon adds to the compiler's search path. */
export const includeFolders = [
  '/usr/include',
  '/usr/local/include',
  '/opt/homebrew/include',
  '/opt/homebrew/opt/openssl@3/include',
  '/usr/local/opt/openssl@3/include',
];

const oldestRocksdb = [7, 8];

const needs = [
  { what: 'a C++ compiler', found: () => anyProgram('g++', 'c++', 'clang++'), debian: 'g++' },
  { what: 'make', found: () => anyProgram('make', 'gmake'), debian: 'make' },
  { what: 'Python 3', found: () => anyProgram('python3'), debian: 'python3' },
  { what: 'the RocksDB library', found: () => header('rocksdb/db.h') !== null, debian: 'librocksdb-dev' },
  { what: 'the OpenSSL library', found: () => header('openssl/evp.h') !== null, debian: 'libssl-dev' },
];

const instructions = `  Debian, Ubuntu:  apt-get install librocksdb-dev libssl-dev g++ make python3
  Fedora:          dnf install rocksdb-devel openssl-devel gcc-c++ make python3
  macOS:           xcode-select --install; brew install rocksdb openssl@3`;

/** Installs what is missing, or throws with what to install. */
export async function ensureSystemPackages() {
  const missing = needs.filter((need) => !need.found());
  if (missing.length > 0) {
    const names = missing.map((need) => need.what).join(', ');
    const asRoot = anyProgram('apt-get') ? await rootPrefix() : null;
    if (asRoot === null) {
      throw new SetupError(`this machine lacks ${names}. Install and start again:\n${instructions}`);
    }
    await install(
      asRoot,
      missing.map((need) => need.debian),
      names,
    );
    const still = needs.filter((need) => !need.found());
    if (still.length > 0) {
      const rest = still.map((need) => need.what).join(', ');
      throw new SetupError(`still missing after the installation: ${rest}. Install and start again:\n${instructions}`);
    }
  }
  checkRocksdbVersion();
}

async function install(asRoot, packages, names) {
  say(`this machine lacks ${names}; installing ${packages.join(' ')} with apt-get`);
  const apt = (...args) => [...asRoot, 'env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', '-qq', ...args];
  const quietly = { output: 'on failure' }; // a page for every package else
  const update = async () => {
    say('refreshing the package lists (apt-get update)');
    await run(apt('update'), 'the package lists could not be refreshed', quietly);
  };
  const installation = apt('install', '-y', '--no-install-recommends', ...packages);
  if (packages.every(isListed)) {
    if ((await exitCodeOf(installation, quietly)) === 0) return;
    say('the installation failed, perhaps because the package lists are old');
  }
  await update();
  await run(installation, `the packages could not be installed. Install them yourself:\n${instructions}\n`, quietly);
}

/** How to become root without a question: [] as root, sudo where it asks nothing, null where neither works. */
async function rootPrefix() {
  if (process.getuid?.() === 0) return [];
  if (!anyProgram('sudo')) return null;
  return (await exitCodeOf(['sudo', '-n', 'true'], { output: 'dropped' })) === 0 ? ['sudo', '-n'] : null;
}

function isListed(name) {
  try {
    const policy = execFileSync('apt-cache', ['policy', name], {
      encoding: 'utf8',
      env: { ...process.env, LC_ALL: 'C' },
    });
    return /Candidate: (?!\(none\))/.test(policy);
  } catch {
    return false;
  }
}

function checkRocksdbVersion() {
  const path = header('rocksdb/version.h');
  if (path === null) return;
  const text = readFileSync(path, 'utf8');
  const number = (name) => Number(new RegExp(`#define ROCKSDB_${name}\\s+(\\d+)`).exec(text)?.[1] ?? 0);
  const version = [number('MAJOR'), number('MINOR')];
  const [major, minor] = oldestRocksdb;
  if (version[0] > major || (version[0] === major && version[1] >= minor)) return;
  throw new SetupError(
    `RocksDB ${version.join('.')} (${path}) is too old: Cairn needs ${oldestRocksdb.join('.')} or later. ` +
      'Debian 12, Ubuntu 24.04, Fedora 38 and Homebrew have it.',
  );
}

function header(name) {
  return includeFolders.map((folder) => join(folder, name)).find(existsSync) ?? null;
}

/** The header whose change (another RocksDB, or none) makes the built addon stale. */
export function rocksdbVersionHeader() {
  return header('rocksdb/version.h');
}

function anyProgram(...names) {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/bin', '/usr/sbin'];
  return names.some((name) => folders.some((folder) => isExecutable(join(folder, name))));
}

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
