/**
 * A file layer that fails: the built server runs with failing-files/preload.c before the C library, and the test says which of
 * its operations on the files of one directory is to fail. Node and RocksDB go through it alike.
 */
import { execFileSync } from 'node:child_process';
import { closeSync, openSync, readSync, realpathSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Owner } from './owner.js';
import { scratch } from './scratch.js';

export const kinds = { make: 1, write: 2, sync: 4, rename: 8, remove: 16, read: 32 } as const;
/** Whatever changes something. */
export const changing = kinds.make | kinds.write | kinds.sync | kinds.rename | kinds.remove;

const EIO = 5;
const FIELDS = 6;
const BYTES = 512;

export interface Failed {
  /** How many operations of those kinds there were since `arm`. */
  seen: number;
  /** How many of them failed. */
  failed: number;
  /** The last one that did: "fsync /path". */
  last: string;
}

export interface FailingFiles {
  /** For the server that is to have it. */
  readonly env: Record<string, string>;
  /** The `at`-th operation of these kinds from now on fails, with `forGood` all later ones too; at 0: they are only counted. */
  arm(kinds: number, at?: number, options?: { errno?: number; forGood?: boolean }): void;
  /** Nothing fails any more; what happened meanwhile. */
  disarm(): Failed;
}

/** `under`: the directory, which exists. */
export function failingFiles(t: Owner, under: string): FailingFiles {
  const directory = scratch(t);
  const [library, control] = [join(directory, 'failing-files.so'), join(directory, 'control')];
  const source = join(process.cwd(), 'test', 'support', 'failing-files', 'preload.c');
  execFileSync('cc', ['-shared', '-fPIC', '-O1', '-o', library, source, '-ldl']);
  writeFileSync(control, Buffer.alloc(BYTES));
  const file = openSync(control, 'r+');
  t.teardown(() => closeSync(file));
  const say = (...fields: number[]) => {
    const bytes = Buffer.alloc(BYTES);
    for (const [nth, field] of fields.entries()) bytes.writeUInt32LE(field, 4 * nth);
    writeSync(file, bytes, 0, BYTES, 0);
  };
  return {
    env: {
      LD_PRELOAD: library,
      FAILING_FILES_CONTROL: control,
      FAILING_FILES_UNDER: realpathSync(under),
      UV_USE_IO_URING: '0', // or Node would go past the C library
    },
    arm: (which, at = 0, { errno = EIO, forGood = false } = {}) => say(which, 0, at, Number(forGood), errno, 0),
    disarm() {
      const bytes = Buffer.alloc(BYTES);
      readSync(file, bytes, 0, BYTES, 0);
      say();
      const [seen, failed] = [bytes.readUInt32LE(4), bytes.readUInt32LE(20)];
      const last = bytes.toString('utf8', 4 * FIELDS).split('\0')[0] ?? '';
      return { seen, failed, last };
    },
  };
}
