/** Cairn's version, from the package.json of the tree that the program runs from. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export function cairnVersion(): string {
  // dist/cli/ and dist-test/src/cli/ are at different depths.
  for (let directory = dirname(fileURLToPath(import.meta.url)); ; directory = dirname(directory)) {
    const file = join(directory, 'package.json');
    if (existsSync(file)) {
      const { name, version } = JSON.parse(readFileSync(file, 'utf8')) as { name?: string; version?: string };
      if (name === 'cairn' && version !== undefined) return version;
    }
    if (dirname(directory) === directory) throw new Error('package.json was not found above the program');
  }
}
