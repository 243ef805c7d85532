/**
 * C18: tables that another version of the engine wrote. The npm package `rocksdb` brings a RocksDB of its own, older than the one
 * that Cairn is linked to; a database that it made is backed up as it is, and restored.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { admin, dump } from '../support/admin.js';
import { startServer } from '../support/built-server.js';
import { objectPath } from '../support/repository-files.js';
import { scratch } from '../support/scratch.js';

const program = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));
const rocksdb = createRequire(import.meta.url).resolve('rocksdb');
const KEYS = 2000;

/** A database with its content in tables, made by a process of its own. */
function foreignDatabase(path: string): void {
  const code = `const db = require(${JSON.stringify(rocksdb)})(${JSON.stringify(path)});
    const done = (error) => { if (error) throw error; };
    const put = (i) => i === ${KEYS}
      ? db.compactRange('a', 'z', (e) => e ? done(e) : db.close(done))
      : db.put('foreign:' + i, 'value:' + i, (e) => e ? done(e) : put(i + 1));
    db.open((error) => error ? done(error) : put(0));`;
  execFileSync(process.execPath, ['-e', code]);
}

t.test(
  'C18: a backup whose tables another version of the engine wrote verifies and restores, in place and TO',
  async (t) => {
    const root = scratch(t);
    const source = join(root, 'app');
    foreignDatabase(source);
    const tables = readdirSync(source).filter((name) => name.endsWith('.sst'));
    t.ok(tables.length > 0, 'its content is in tables');
    const dir = join(root, 'data');
    execFileSync(process.execPath, [program, 'adopt', source, '--dir', dir]);
    const server = await startServer(t, { dir, args: ['--set', 'keyspace=raw'] });
    const client = await server.client();
    const content = await dump(client);
    t.equal(content.size, KEYS);

    await admin(client, 'CREATE');
    for (const name of tables) {
      const sha256 = createHash('sha256')
        .update(readFileSync(join(source, name)))
        .digest('hex');
      t.ok(existsSync(objectPath(join(dir, 'backups'), sha256)), `${name} is in the repository, byte for byte`);
    }
    t.match(await admin(client, 'VERIFY', 1, 'DEEP'), { status: 'VALID' });
    await client.set('foreign:0', 'changed');
    await client.set('new', 'here');
    t.match(await admin(client, 'CREATE', 'INCREMENTAL', 'STRICT'), { id: 2, type: 'incremental' });
    const later = await dump(client);

    await admin(client, 'RESTORE', 1);
    t.same(await dump(client), content, 'in place');
    const { target } = await admin<{ target: string }>(client, 'RESTORE', 2, 'TO', 'plain');
    const other = await startServer(t, { dataDir: target, args: ['--set', 'keyspace=raw'] });
    t.same(await dump(await other.client()), later, 'TO, with commits replayed on the tables of the other version');
    await other.stop();
    await server.stop();
  },
);
