/** What answers while data is not served: during a swap, and when no database opened. */
import t from 'tap';
import { CairnError } from '../../src/base/errors.js';
import { startTestServer } from '../support/server.js';

t.test('while a restored state is swapped in', async (t) => {
  const server = await startTestServer(t);
  const client = await server.open();
  await client.ask('MULTI');
  await client.ask('SET', 'a', '1');
  const keyspace = server.fixture.keyspace as { unavailable: CairnError | null };
  keyspace.unavailable = new CairnError('LOADING', 'swapping');
  t.equal(await client.ask('EXEC'), '-EXECABORT Transaction discarded because of: LOADING swapping');
  for (const words of [['GET', 'a'], ['SET', 'a', '1'], ['WATCH', 'a'], ['DBSIZE'], ['KEYS', '*']]) {
    t.equal(await client.ask(...words), '-LOADING swapping', words.join(' '));
  }
  t.equal(await client.ask('ADMIN.BACKUP', 'RESTORE', '1'), '-LOADING swapping');
  await client.ask('MULTI');
  t.equal(await client.ask('GET', 'a'), '-LOADING swapping');
  t.equal(await client.ask('EXEC'), '-EXECABORT Transaction discarded because of previous errors.');
  t.equal(await client.ask('PING'), '-LOADING swapping', 'as in Redis');
  t.equal(await client.ask('ECHO', 'x'), 'x');
  t.match(await client.ask('INFO'), /\r\nloading:1\r\n/);
  t.same(await client.ask('ADMIN.BACKUP', 'LIST'), []);
  t.type(await client.ask('ADMIN.BACKUP', 'STATUS'), Array);
  keyspace.unavailable = null;
  t.equal(await client.ask('GET', 'a'), null);
});

t.test('while no database is open', async (t) => {
  const server = await startTestServer(t);
  const client = await server.open();
  const keyspace = server.fixture.keyspace as { unavailable: CairnError | null };
  keyspace.unavailable = new CairnError('MISCONF', 'it did not open');
  for (const words of [['GET', 'a'], ['SET', 'a', '1'], ['WATCH', 'a'], ['DBSIZE'], ['SCAN', '0']]) {
    t.equal(await client.ask(...words), '-MISCONF it did not open', words.join(' '));
  }
  t.match(await client.ask('ADMIN.BACKUP', 'RESTORE', '1'), /^-BACKUPNOTFOUND /, 'RESTORE is looked at');
  t.match(await client.ask('INFO'), /\r\nloading:0\r\n/);
  t.same(await client.ask('ADMIN.BACKUP', 'LIST'), []);
  keyspace.unavailable = null;
});
