/** OBJECT and MEMORY, side by side with a real redis-server; and what Cairn says where it has its own answer. */
import t from 'tap';
import { startPair } from '../support/differential.js';
import { startTestServer } from '../support/server.js';

const pair = await startPair(t);

const values = [
  '0',
  '9999',
  '10000',
  '-1',
  '9223372036854775807',
  '-9223372036854775808',
  '9223372036854775808',
  '01',
  '+1',
  "' 1'",
  '1.5',
  "''",
  'text',
  'x'.repeat(20),
  'x'.repeat(44),
  'x'.repeat(45),
  '1'.repeat(19),
  '1'.repeat(20),
  '1'.repeat(21),
  '\\x00\\xff',
];
const written = values.map((value, at) => `SET k${at} ${value}\nOBJECT ENCODING k${at}\nOBJECT REFCOUNT k${at}`);

await pair.same(
  t,
  'OBJECT ENCODING and REFCOUNT of what was set in one piece',
  `
  ${written.join('\n')}
  SETEX e 100 12
  OBJECT ENCODING e
  MSET m 12 n text
  OBJECT encoding m
  object Encoding n
  INCR m
  OBJECT ENCODING m
  OBJECT REFCOUNT m
  APPEND new 12
  OBJECT ENCODING new
  COPY new copy
  OBJECT ENCODING copy
  RENAME copy moved
  OBJECT ENCODING moved
  OBJECT ENCODING none
  OBJECT REFCOUNT none
  OBJECT FREQ none
  OBJECT IDLETIME none
  OBJECT FREQ m
  OBJECT FREQ m x
  OBJECT ENCODING
  OBJECT
  OBJECT NOPE k
  OBJECT HELP x
  MULTI
  OBJECT ENCODING m
  OBJECT FREQ m
  EXEC`,
);
t.test('nothing of that needed a difference', async (t) => {
  t.same([...pair.met], []);
});

await pair.same(
  t,
  'OBJECT of what was changed in place, and of access times',
  `
  SET a 1
  APPEND a 2
  OBJECT ENCODING a
  SETRANGE b 0 12
  OBJECT ENCODING b
  OBJECT REFCOUNT b
  SETBIT c 1 1
  OBJECT ENCODING c
  INCRBYFLOAT d 3
  OBJECT ENCODING d
  BITOP OR e a
  OBJECT ENCODING e
  OBJECT IDLETIME a
  OBJECT HELP`,
);

await pair.same(
  t,
  'MEMORY',
  `
  SET k value
  MEMORY USAGE k
  MEMORY USAGE k SAMPLES 0
  MEMORY USAGE k samples 5 SAMPLES 1
  MEMORY USAGE none
  MEMORY USAGE none SAMPLES -1
  MEMORY USAGE k SAMPLES -1
  MEMORY USAGE k SAMPLES x
  MEMORY USAGE k SAMPLES
  MEMORY USAGE k NOPE
  MEMORY USAGE k NOPE 1
  MEMORY USAGE
  MEMORY
  MEMORY NOPE
  MEMORY PURGE
  MEMORY PURGE x
  MEMORY DOCTOR
  MEMORY MALLOC-STATS
  MEMORY STATS
  MEMORY HELP`,
);

t.test('MEMORY USAGE is the bytes of the records, the index of the expiry included', async (t) => {
  const client = await (await startTestServer(t)).open();
  await client.ask('SET', 'k', 'value');
  t.equal(await client.ask('MEMORY', 'USAGE', 'k'), `:${2 + 1 + 1 + 5}`);
  await client.ask('EXPIRE', 'k', '1000');
  t.equal(await client.ask('MEMORY', 'USAGE', 'k'), `:${2 + 1 + 9 + 5 + (10 + 1)}`);
  await client.ask('SET', 'big', Buffer.alloc(100_000));
  t.equal(await client.ask('MEMORY', 'USAGE', 'big'), `:${2 + 3 + 1 + 100_000}`);
});

t.test('MEMORY STATS counts the keys and has numbers for the rest', async (t) => {
  const client = await (await startTestServer(t)).open();
  await client.ask('MSET', 'a', '1', 'b', '2');
  await client.ask('SELECT', '3');
  await client.ask('SET', 'c', '3');
  const flat = (await client.ask('MEMORY', 'STATS')) as string[];
  const fields = new Map(
    flat.flatMap((name, at) => (at % 2 === 0 ? [[name, flat[at + 1]]] : [])) as [string, string][],
  );
  t.equal(fields.get('keys.count'), ':3');
  for (const name of ['total.allocated', 'heap.used', 'rocksdb.memtables']) {
    t.ok(Number(fields.get(name)?.slice(1)) > 0, `${name} ${fields.get(name)}`);
  }
});
