/**
 * The RocksDB addon, build/Release/cairn.node. Run as a program it is the package's install script (npm ci builds the
 * addon) and `npm run build:addon`; it does nothing when the addon is current. node-gyp is the one that npm brings.
 *
 * node-gyp downloads Node's headers unless it is told where they are. They usually lie beside the running node
 * (<prefix>/include/node: the tarball, NodeSource, nvm, Homebrew), so those are used when they are of its version.
 */
import { existsSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { fingerprint } from './fingerprint.mjs';
import { inProject, SetupError, say } from './root.mjs';
import { npm, run } from './run.mjs';
import { ensureSystemPackages, includeFolders, rocksdbVersionHeader } from './system-packages.mjs';

const addon = inProject('build', 'Release', 'cairn.node');

export function addonIsCurrent() {
  return existsSync(addon) && addonFingerprint().isCurrent();
}

/** Through npm, because npm knows where its node-gyp is and passes its settings on. */
export async function buildAddonThroughNpm() {
  await run(npm('run', '--silent', 'build:addon'), 'the RocksDB addon could not be built');
}

function addonFingerprint() {
  const header = rocksdbVersionHeader();
  const rocksdb = header === null ? 'none' : `${header} ${statSync(header).size} ${statSync(header).mtimeMs}`;
  const environment = `${process.platform}-${process.arch} abi ${process.versions.modules} rocksdb ${rocksdb}`;
  return fingerprint(inProject('build', '.cairn-addon'), ['native', 'binding.gyp'], environment);
}

async function buildAddon() {
  if (addonIsCurrent()) return;
  await ensureSystemPackages();
  const writeStamp = addonFingerprint().take();
  say('building the RocksDB addon (about half a minute)');
  const headers = nodeHeaders();
  const location = headers === null ? [] : [`--nodedir=${headers}`];
  const nodeGyp = process.env.npm_config_node_gyp;
  if (nodeGyp === undefined) throw new SetupError('build the addon with npm run build:addon: npm brings node-gyp');
  await run(
    [process.execPath, nodeGyp, 'rebuild', '--jobs', 'max', '--loglevel', 'warn', ...location],
    'the RocksDB addon could not be built',
    { env: compilerEnvironment() },
  );
  if (!existsSync(addon)) throw new SetupError(`the build made no ${addon}`);
  writeStamp();
}

function nodeHeaders() {
  const prefix = dirname(dirname(realpathSync(process.execPath)));
  try {
    const text = readFileSync(join(prefix, 'include', 'node', 'node_version.h'), 'utf8');
    const number = (name) => new RegExp(`#define NODE_${name}_VERSION (\\d+)`).exec(text)?.[1];
    return `${number('MAJOR')}.${number('MINOR')}.${number('PATCH')}` === process.versions.node ? prefix : null;
  } catch {
    return null;
  }
}

/** Homebrew keeps headers and libraries where Apple's compiler does not look. */
function compilerEnvironment() {
  if (process.platform !== 'darwin') return process.env;
  const include = includeFolders.filter(existsSync);
  const libraries = include.map((folder) => join(dirname(folder), 'lib'));
  return { ...process.env, CPATH: include.join(':'), LIBRARY_PATH: libraries.join(':') };
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(realpathSync(process.argv[1])).href) {
  buildAddon().catch((error) => {
    process.stderr.write(`setup: ${error instanceof SetupError ? error.message : error.stack}\n`);
    process.exitCode = 1;
  });
}
