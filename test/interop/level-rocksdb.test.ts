/** What Cairn restores opens in level-rocksdb, the independent reader, with the records that docs/keyspace.md describes. */
import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';
import t from 'tap';
import { admin } from '../support/admin.js';
import { startServer } from '../support/built-server.js';

const levelModule = createRequire(import.meta.url).resolve('level-rocksdb');

/** All records of a directory as [key, value] in hex, read by a process of its own as a foreign application is. */
function records(path: string): [string, string][] {
  const code = `const db = require(${JSON.stringify(levelModule)})(${JSON.stringify(path)}, {
      createIfMissing: false, keyEncoding: 'binary', valueEncoding: 'binary' });
    const all = [];
    db.createReadStream()
      .on('data', ({ key, value }) => all.push([key.toString('hex'), value.toString('hex')]))
      .on('error', (error) => { throw error; })
      .on('end', () => db.close(() => process.stdout.write(JSON.stringify(all))));`;
  return JSON.parse(execFileSync(process.execPath, ['-e', code], { encoding: 'utf8', maxBuffer: 64 << 20 }));
}

const hex = (...parts: (string | number[])[]): string =>
  Buffer.concat(parts.map((part) => Buffer.from(part as string))).toString('hex');

t.test('a native directory restored TO opens in level-rocksdb and holds the same content', async (t) => {
  const server = await startServer(t);
  const client = await server.client();
  const expected = new Map<string, string>();
  for (let i = 0; i < 1000; i += 1) {
    await client.set(`key:${i}`, `value:${i}`);
    expected.set(hex([1, 0], `key:${i}`), hex([0], `value:${i}`));
  }
  const binary = Buffer.from([0, 1, 255, 13, 10]);
  await client.set(binary, binary);
  expected.set(hex([1, 0], [...binary]), hex([0], [...binary]));
  await client.select(7);
  await client.set('', '');
  expected.set(hex([1, 7]), '00');
  await client.call('SET', 'ends', 'hi', 'PXAT', '4102444800123');
  const expiry = [...Buffer.from(4102444800123n.toString(16).padStart(16, '0'), 'hex')];
  expected.set(hex([1, 7], 'ends'), hex([0x10], expiry, 'hi'));
  await client.set('deleted', 'x');
  await client.del('deleted');
  await admin(client, 'CREATE');
  const { target } = await admin<{ target: string }>(client, 'RESTORE', 1, 'TO', 'for-level');

  const found = records(target);
  const main = found.filter(([key]) => key.startsWith('01'));
  t.same(new Map(main), expected);
  t.same(
    found.filter(([key]) => key.startsWith('02')),
    [[hex([2, 7], expiry, 'ends'), '']],
    'the expiry index',
  );
  const [state, ...more] = found.filter(([key]) => key.startsWith('00'));
  t.equal(state?.[0], hex([0], 'cairn.state'));
  t.same(more, []);
  const bytes = Buffer.from(state?.[1] ?? '', 'hex');
  t.equal(bytes[0], 3, 'version');
  t.equal(bytes.readUInt32BE(9), 1, 'timeline');
  t.equal(Number(bytes.readBigUInt64BE(13)), 1005, 'commits: every SET and the DEL');
  t.equal(bytes[21], 8, 'counts up to database 7');
  t.equal(Number(bytes.readBigUInt64BE(22)), 1001);
  t.equal(Number(bytes.readBigUInt64BE(22 + 56)), 2);
  const expiring = Array.from({ length: 8 }, (_, i) => Number(bytes.readBigUInt64BE(22 + 64 + 8 * i)));
  t.same([expiring, bytes.length], [[0, 0, 0, 0, 0, 0, 0, 1], 22 + 128], 'how many of them have an expiry');

  // And after the foreign reader had it open, Cairn still serves it.
  const again = await startServer(t, { dataDir: target });
  t.equal(await (await again.client()).get('key:999'), 'value:999');
  await again.stop();
  await server.stop();
});
