/** A data directory that `cairn adopt` made of what the npm package `rocksdb` wrote: one commit of its own per key. */
import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';
import { scratch } from './scratch.js';

const program = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));
const rocksdb = createRequire(import.meta.url).resolve('rocksdb');

export function adopted(t: Test, keys: number): string {
  const root = scratch(t);
  const source = join(root, 'app');
  const code = `const db = require(${JSON.stringify(rocksdb)})(${JSON.stringify(source)});
    const put = (i) => i === ${keys} ? db.close(done) : db.put('foreign' + i, 'v' + i, (e) => e ? done(e) : put(i + 1));
    const done = (error) => { if (error) throw error; };
    db.open((error) => error ? done(error) : put(0));`;
  execFileSync(process.execPath, ['-e', code]);
  const dir = join(root, 'data');
  execFileSync(process.execPath, [program, 'adopt', source, '--dir', dir]);
  return dir;
}
