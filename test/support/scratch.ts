/** Directories of a test's own, outside the tree, gone with the test. Several per test, unlike t.testdir(). */
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Owner } from './owner.js';

export interface Tree {
  [name: string]: string | Uint8Array | Tree;
}

/** A fresh directory that holds these files; an object is a directory. */
export function scratch(t: Owner, tree: Tree = {}): string {
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'cairn-test-')));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  fill(root, tree);
  return root;
}

function fill(directory: string, tree: Tree): void {
  for (const [name, content] of Object.entries(tree)) {
    const path = join(directory, name);
    if (typeof content === 'string' || content instanceof Uint8Array) {
      writeFileSync(path, content);
    } else {
      mkdirSync(path);
      fill(path, content);
    }
  }
}
