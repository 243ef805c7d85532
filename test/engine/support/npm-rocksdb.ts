/**
 * The npm build of RocksDB as a process: npm-rocksdb.js write <path> <key> <value>… | read <path> <key>…
 * A process of its own, since two builds of RocksDB in one take each other's symbols.
 */
import { createRequire } from 'node:module';

interface Foreign {
  open(options: object, done: (error?: Error) => void): void;
  close(done: (error?: Error) => void): void;
  put(key: string, value: string, done: (error?: Error) => void): void;
  get(key: string, options: { asBuffer: false }, done: (error: Error | undefined, value: string) => void): void;
}

const [what, path, ...rest] = process.argv.slice(2) as [string, string, ...string[]];
const db = (createRequire(import.meta.url)('rocksdb') as (path: string) => Foreign)(path);

function done<T>(call: (callback: (error?: Error, value?: T) => void) => void): Promise<T> {
  return new Promise((resolve, reject) => call((error, value) => (error ? reject(error) : resolve(value as T))));
}

await done<void>((callback) => db.open({ createIfMissing: what === 'write' }, callback));
if (what === 'write') {
  for (let i = 0; i < rest.length; i += 2) {
    await done<void>((callback) => db.put(rest[i] as string, rest[i + 1] as string, callback));
  }
} else {
  for (const key of rest) {
    process.stdout.write(`${await done<string>((callback) => db.get(key, { asBuffer: false }, callback))}\n`);
  }
}
await done<void>((callback) => db.close(callback));
