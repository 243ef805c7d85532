/** CLIENT KILL, PAUSE, UNPAUSE, REPLY, UNBLOCK and TRACKING: as redis-server, and what a pause means to backups. */
import t from 'tap';
import { startServer, withoutArchive } from '../support/built-server.js';
import { startPair } from '../support/differential.js';
import { pauseAt } from '../support/pause.js';
import { multibulk } from '../support/resp.js';
import { scratch } from '../support/scratch.js';
import { brief, RawClient, startTestServer } from '../support/server.js';
import { waitFor } from '../support/wait.js';

const pair = await startPair(t);
const { open, server, fixture } = await startTestServer(t);

async function addressOf(client: RawClient): Promise<string> {
  return / addr=(\S+) /.exec(String(await client.ask('CLIENT', 'INFO')))?.[1] as string;
}

/** Nothing that was sent is answered before what another connection asks later. */
async function unanswered(client: RawClient, other: RawClient): Promise<boolean> {
  await other.ask('CLIENT', 'PAUSE', 'x');
  await other.ask('CLIENT', 'PAUSE', 'x');
  return client.unread === 0;
}

pair.same(
  t,
  'what CLIENT says of its arguments',
  `
  CLIENT KILL
  CLIENT KILL x
  CLIENT KILL 1.2.3.4:5
  CLIENT KILL ID x
  CLIENT KILL ID 0
  CLIENT KILL ID -5
  CLIENT KILL ID 99999
  CLIENT KILL TYPE foo
  CLIENT KILL TYPE pubsub
  CLIENT KILL TYPE Replica
  CLIENT KILL USER nobody
  CLIENT KILL USER default ID 99999
  CLIENT KILL SKIPME maybe
  CLIENT KILL ADDR x LADDR y
  CLIENT KILL FOO bar
  CLIENT KILL ID 1 FOO
  CLIENT KILL ID
  CLIENT KILL MAXAGE 3
  CLIENT PAUSE x
  CLIENT PAUSE -1
  CLIENT PAUSE 1.5
  CLIENT PAUSE 0 FOO
  CLIENT PAUSE 0 write
  CLIENT PAUSE 0 ALL x
  CLIENT UNPAUSE
  CLIENT UNBLOCK x
  CLIENT UNBLOCK 99999
  CLIENT UNBLOCK 99999 foo
  CLIENT UNBLOCK 99999 timeout
  CLIENT UNBLOCK 99999 ERROR
  CLIENT UNBLOCK 99999 ERROR x
  CLIENT TRACKING off
  CLIENT TRACKING foo
  CLIENT TRACKING off BCAST NOLOOP
  CLIENT TRACKING off PREFIX
  CLIENT TRACKING off NOPE
  CLIENT TRACKING off REDIRECT 99999
  CLIENT TRACKING off REDIRECT x
  CLIENT CACHING yes
  CLIENT CACHING foo
  CLIENT TRACKINGINFO
  CLIENT GETREDIR
  CLIENT REPLY foo
  CLIENT REPLY on
  CLIENT REPLY
  MULTI
  CLIENT KILL ID 99999
  CLIENT PAUSE 0
  CLIENT UNPAUSE
  CLIENT UNBLOCK 99999
  CLIENT TRACKINGINFO
  CLIENT REPLY ON
  EXEC
`,
);

t.test('CLIENT REPLY leaves out what Redis leaves out', async (t) => {
  const scripts = [
    'CLIENT REPLY OFF|PING|NOPE|GET|SET a b|CLIENT REPLY ON|PING',
    'CLIENT REPLY SKIP|PING|PING|CLIENT REPLY SKIP|CLIENT REPLY SKIP|PING|PING|CLIENT REPLY SKIP|CLIENT REPLY ON|PING',
    'CLIENT REPLY SKIP|SET a c|GET a|CLIENT REPLY SKIP|NOPE|PING',
    'CLIENT REPLY OFF|CLIENT REPLY SKIP|PING|PING|CLIENT REPLY ON',
    'CLIENT REPLY OFF|MULTI|SET a b|EXEC|CLIENT REPLY ON',
    'CLIENT REPLY OFF|RESET|PING',
    'CLIENT REPLY OFF|PING|CLIENT REPLY OFF|HELLO 3|CLIENT REPLY ON|CLIENT GETNAME',
  ];
  for (const script of scripts) {
    const bytes = `${script.replaceAll('|', '\r\n')}\r\nQUIT\r\n`;
    const answers = [];
    for (const port of [server.port, pair.redis?.port ?? server.port]) {
      const client = await RawClient.connect(port);
      client.send(bytes);
      answers.push((await client.rest()).toString());
    }
    t.equal(answers[0], answers[1], script);
  }
});

t.test('a client without replies is held to what is durable, and its failed writes are silent too', async (t) => {
  const client = await open();
  client.send('CLIENT REPLY OFF\r\n');
  const many = Array.from({ length: 50_000 }, (_, nth) => multibulk('SET', `silent:${nth}`, 'v'));
  client.send(Buffer.concat(many));
  client.send('CLIENT REPLY ON\r\nDBSIZE\r\n');
  t.equal(brief(await client.next()), 'OK');
  t.match(brief(await client.next()), /^:\d{5,}$/);
});

t.test('CLIENT KILL closes one connection by address, many by filters, and the own one after the reply', async (t) => {
  const [asker, first, second, third] = [await open(), await open(), await open(), await open()];
  t.equal(await asker.ask('CLIENT', 'KILL', await addressOf(first as RawClient)), 'OK');
  t.equal(await first?.next(), null);
  const id = String(await second?.ask('CLIENT', 'ID')).slice(1);
  t.equal(await asker?.ask('CLIENT', 'KILL', 'ID', id, 'TYPE', 'normal'), ':1');
  t.equal(await second?.next(), null);
  t.equal(await asker?.ask('CLIENT', 'KILL', 'ID', id), ':0', 'it is gone');
  const listed = String(await asker?.ask('CLIENT', 'LIST'))
    .trim()
    .split('\n').length;
  t.equal(await asker?.ask('CLIENT', 'KILL', 'LADDR', `127.0.0.1:${server.port}`), `:${listed - 1}`, 'not who asks');
  t.equal(await third?.next(), null);
  t.equal(await asker?.ask('CLIENT', 'KILL', 'USER', 'default', 'SKIPME', 'no'), ':1', 'who asks is answered');
  t.equal(await asker?.next(), null, 'and closed');
});

t.test('a pause of writes holds writes and transactions with one; the rest goes on, in order', async (t) => {
  const [asker, writer, transaction, reader] = [await open(), await open(), await open(), await open()];
  await writer.ask('SET', 'p', '0');
  t.equal(await transaction.ask('MULTI'), 'OK');
  t.equal(await transaction.ask('APPEND', 'p', 'B'), 'QUEUED');
  t.equal(await asker.ask('CLIENT', 'PAUSE', '1000000', 'WRITE'), 'OK');
  writer.send(Buffer.concat([multibulk('APPEND', 'p', 'A'), multibulk('GET', 'p')]));
  await waitFor(async () => / cmd=append /.test(String(await asker.ask('CLIENT', 'LIST'))), {
    what: 'the first to be held',
  });
  transaction.send(multibulk('EXEC'));
  await waitFor(async () => / cmd=exec /.test(String(await asker.ask('CLIENT', 'LIST'))), {
    what: 'the second to be held',
  });
  t.equal(await reader.ask('GET', 'p'), '0');
  t.equal(await reader.ask('MULTI'), 'OK');
  t.equal(await reader.ask('GET', 'p'), 'QUEUED');
  t.same(await reader.ask('EXEC'), ['0'], 'a transaction that only reads');
  t.ok(await unanswered(writer, asker));
  t.ok(await unanswered(transaction, asker));
  t.equal(await asker.ask('CLIENT', 'UNPAUSE'), 'OK');
  t.same([brief(await writer.next()), brief(await writer.next())], [':2', '0A'], 'what came later waited too');
  t.same(brief(await transaction.next()), [':3']);
});

t.test('a pause of all ends by itself, and is neither shortened nor made milder by another', async (t) => {
  const [asker, held] = [await open(), await open()];
  t.equal(await asker.ask('CLIENT', 'PAUSE', '300'), 'OK');
  t.equal(await asker.ask('CLIENT', 'PAUSE', '0', 'WRITE'), 'OK');
  const started = performance.now();
  t.equal(await held.ask('PING'), 'PONG');
  t.ok(performance.now() - started > 100, 'it was held');
  t.equal(await asker.ask('PING'), 'PONG');
});

t.test('who ends a pause gets the answers to what it sent before, and who was held only its own', async (t) => {
  const [asker, held] = [await open(), await open()];
  await asker.ask('CLIENT', 'PAUSE', '1000000', 'WRITE');
  held.send(Buffer.concat([multibulk('SET', 'own', '1'), multibulk('GET', 'own')]));
  await waitFor(async () => / cmd=set /.test(String(await asker.ask('CLIENT', 'LIST'))), { what: 'it to be held' });
  asker.send(
    Buffer.concat([multibulk('ECHO', 'for the asker'), multibulk('CLIENT', 'UNPAUSE'), multibulk('ECHO', 'after')]),
  );
  t.same((await held.take(2)).map(brief), ['OK', '1']);
  t.same((await asker.take(3)).map(brief), ['for the asker', 'OK', 'after']);
  t.same([held.unread, asker.unread], [0, 0]);
});

t.test('a client that goes while it is held leaves its command undone', async (t) => {
  const [asker, held] = [await open(), await open()];
  await asker.ask('SET', 'gone', 'no');
  await asker.ask('CLIENT', 'PAUSE', '1000000', 'WRITE');
  held.send(multibulk('SET', 'gone', 'yes'));
  await waitFor(async () => / cmd=set /.test(String(await asker.ask('CLIENT', 'LIST'))), { what: 'it to be held' });
  const id = / id=(\d+) /.exec(
    ` ${String(await asker.ask('CLIENT', 'LIST'))
      .split('\n')
      .find((line) => / cmd=set /.test(line))}`,
  );
  t.equal(await asker.ask('CLIENT', 'KILL', 'ID', id?.[1] as string), ':1');
  t.equal(await held.next(), null);
  await asker.ask('CLIENT', 'UNPAUSE');
  t.equal(await asker.ask('GET', 'gone'), 'no');
});

t.test(
  'while clients are paused backups are made and restored, nothing expires, and what was held runs after',
  async (t) => {
    const [asker, held] = [await open(), await open()];
    await asker.ask('SET', 'state', 'before');
    await asker.ask('SET', 'short', 'lived', 'PX', '50');
    t.equal(await asker.ask('CLIENT', 'PAUSE', '1000000', 'ALL'), 'OK');
    held.send(Buffer.concat([multibulk('APPEND', 'state', '+held'), multibulk('GET', 'state')]));
    const { sequence } = fixture.keyspace.position;
    const made = (await asker.ask('ADMIN.BACKUP', 'CREATE')) as string[];
    t.match(made.join(' '), /status complete/);
    const id = String(made[made.indexOf('id') + 1]).slice(1);
    await waitFor(async () => fixture.keyspace.nowUs() / 1000 > Date.now() - 1000, { what: 'its time to come' });
    t.equal(fixture.keyspace.position.sequence, sequence, 'the data stands still');
    t.match(String(await asker.ask('ADMIN.BACKUP', 'RESTORE', id)), /in-place/);
    t.ok(await unanswered(held, asker), 'held across the restore');
    t.equal(await asker.ask('CLIENT', 'UNPAUSE'), 'OK');
    t.equal(brief(await held.next()), ':11');
    t.equal(brief(await held.next()), 'before+held', 'on the restored state');
    await waitFor(async () => (await asker.ask('EXISTS', 'short')) === ':0', { what: 'what expired to go' });
  },
);

t.test('CLIENT UNBLOCK ends ADMIN.BACKUP WAIT as its timeout would, or with an error', async (t) => {
  const pause = pauseAt(t, 'checkpoint-made');
  const held = await startServer(t, { dir: scratch(t), args: withoutArchive, env: pause.env });
  const [asker, waiting] = [await held.client(), await held.client()];
  const id = await waiting.client('ID');
  t.equal(await asker.client('UNBLOCK', id), 0, 'it waits for nothing');
  await asker.call('ADMIN.BACKUP', 'CREATE', 'ASYNC');
  await pause.reached();
  for (const [how, answer] of [
    ['TIMEOUT', /^BACKUPBUSY create of backup 1 still runs after \d+ ms/],
    ['ERROR', /^UNBLOCKED client unblocked via CLIENT UNBLOCK$/],
  ] as const) {
    const outcome = waiting.call('ADMIN.BACKUP', 'WAIT', '1').catch((error: Error) => error.message);
    await waitFor(async () => /blocked_clients:1\r/.test(await asker.info('clients')), { what: 'it to wait' });
    t.match(await asker.client('LIST'), new RegExp(`id=${id} .* flags=b `));
    t.equal(await asker.call('CLIENT', 'UNBLOCK', id, how), 1);
    t.match(await outcome, answer);
  }
  const whole = waiting.call('ADMIN.BACKUP', 'WAIT', '1', 'FORMAT', 'JSON');
  await waitFor(async () => /blocked_clients:1\r/.test(await asker.info('clients')), { what: 'it to wait' });
  pause.release();
  t.match(String(await whole), /"status":"complete"/, 'the operation went on');
  t.match(await asker.info('clients'), /blocked_clients:0\r/);
});

t.test(
  'a client that is killed while it is paused, and a server that stops meanwhile, leave nothing behind',
  async (t) => {
    const own = await startTestServer(t);
    const [asker, held] = [await own.open(), await own.open()];
    await asker.ask('CLIENT', 'PAUSE', '1000000', 'ALL');
    held.send(multibulk('SET', 'k', 'v'));
    await waitFor(async () => [...own.server.sessions()].some(({ lastCommand }) => lastCommand === 'set'), {
      what: 'it to be held',
    });
    await own.server.stop();
    t.equal(await held.next(), null);
  },
);
