/** The client libraries that people use. */
import { Redis } from 'ioredis';
import { createClient } from 'redis';
import t from 'tap';
import { startTestServer } from '../support/server.js';

const server = await startTestServer(t);

t.test('ioredis: ready check, pipelines, transactions, buffers, errors', async (t) => {
  const redis = new Redis({ port: server.port, host: '127.0.0.1', connectionName: 'io' });
  t.teardown(() => redis.disconnect());
  t.equal(await redis.set('io', 'v', 'EX', 100), 'OK');
  t.equal(await redis.get('io'), 'v');
  const value = Buffer.from([0, 255, 13, 10]);
  await redis.set('binary', value);
  t.ok((await redis.getBuffer('binary'))?.equals(value));
  const pipeline = redis.pipeline();
  for (let nth = 0; nth < 10_000; nth++) pipeline.incr('io:count');
  const results = await pipeline.exec();
  t.same(results?.at(-1), [null, 10_000]);
  t.same(await redis.multi().set('io:m', '1').incr('io:m').exec(), [
    [null, 'OK'],
    [null, 2],
  ]);
  await t.rejects(redis.incr('io'), { message: 'ERR value is not an integer or out of range' });
  t.match(await redis.client('INFO'), / name=io /);
  t.match(await redis.info('server'), 'redis_version:');
});

t.test('node-redis: RESP2 and RESP3, pipelines, WATCH', async (t) => {
  for (const RESP of [2, 3] as const) {
    const redis = createClient({ url: `redis://127.0.0.1:${server.port}/3`, RESP, name: 'node' });
    redis.on('error', (error) => t.fail(String(error)));
    await redis.connect();
    t.equal(await redis.set('node', 'v'), 'OK');
    t.equal(await redis.get('node'), 'v');
    t.same(
      await Promise.all(Array.from({ length: 1000 }, (_, nth) => redis.set(`node:${nth}`, String(nth)))),
      Array(1000).fill('OK'),
    );
    t.same(await redis.multi().set('node:m', '1').incr('node:m').exec(), ['OK', 2]);
    await redis.watch('node');
    await redis.set('node', 'changed');
    await t.rejects(redis.multi().get('node').exec(), { name: /WatchError|Error/ });
    t.equal((await redis.clientInfo()).name, 'node');
    t.equal((await redis.hello())['server' as never], 'redis');
    await redis.close();
  }
});

t.test('a password with both clients', async (t) => {
  server.setPassword('secret');
  t.teardown(() => {
    server.setPassword('');
  });
  const io = new Redis({ port: server.port, host: '127.0.0.1', password: 'secret', db: 2 });
  t.equal(await io.ping(), 'PONG');
  io.disconnect();
  const node = createClient({ url: `redis://default:secret@127.0.0.1:${server.port}`, RESP: 3 });
  await node.connect();
  t.equal(await node.ping(), 'PONG');
  await node.close();
});
