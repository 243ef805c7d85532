/**
 * Tells whether what was made from some files is still current, in a few milliseconds: a stamp holds the files' sizes
 * and times, and a hash of their content for when the times changed alone (a checkout, a copy), so that nothing is
 * rebuilt for that. A file added or deleted changes both.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { root } from './root.mjs';

/** Every file under the given files and folders, relative to the project, sorted; what is missing is left out. */
export function filesUnder(paths) {
  const found = [];
  const visit = (path) => {
    const stat = statSync(join(root, path), { throwIfNoEntry: false });
    if (stat?.isFile()) found.push({ path, size: stat.size, mtimeMs: stat.mtimeMs });
    if (stat?.isDirectory()) for (const name of readdirSync(join(root, path)).sort()) visit(join(path, name));
  };
  for (const path of paths) visit(path);
  return found;
}

/**
 * @param {string} stampPath where the stamp is kept, best inside what was made, so that both go together
 * @param {string[]} inputs files and folders
 * @param {string} [environment] whatever else decides, e.g. the Node ABI
 */
export function fingerprint(stampPath, inputs, environment = '') {
  const files = filesUnder(inputs);
  const times = sha256([environment, ...files.map((file) => `${file.path} ${file.size} ${file.mtimeMs}`)]);
  let content = null;
  const contentHash = () => {
    content ??= sha256([environment, ...files.flatMap((file) => [file.path, readFileSync(join(root, file.path))])]);
    return content;
  };
  const write = () => {
    mkdirSync(dirname(stampPath), { recursive: true });
    writeFileSync(stampPath, `${JSON.stringify({ times, content: contentHash() })}\n`);
  };
  return {
    isCurrent() {
      const stamp = readStamp(stampPath);
      if (stamp?.times === times) return true;
      if (stamp === null || stamp.content !== contentHash()) return false;
      write();
      return true;
    },
    /**
     * To be called before the build: what it returns writes the stamp after it, for the inputs as they were now, so that
     * an edit while the build ran makes it stale again.
     */
    take() {
      contentHash();
      return write;
    },
  };
}

function readStamp(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return null; // no stamp, or half of one: made again
  }
}

function sha256(parts) {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part).update('\0');
  return hash.digest('hex');
}
