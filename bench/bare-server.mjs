/**
 * The platform's own ceiling: the least that a Node program does to answer SET and GET. It parses with redis-parser, answers from a
 * Map, and writes once per chunk that came in. It keeps nothing, checks nothing and knows no other command.
 *
 *   node bench/bare-server.mjs --port 7400
 *   node bench/bare-server.mjs --port 7400 --database DIRECTORY
 *   node bench/bare-server.mjs --port 7400 --database DIRECTORY --cache 67108864
 *
 * With a database it is the ceiling of any Node server that answers a SET when RocksDB has it: it puts as well, all that comes while a
 * write runs in the next one, and answers when it is done. Reads are still the Map's; one key is one record, and nothing else is written.
 * With a cache (its bytes) there is no Map: what one pass of the event loop asks for is read by three calls of the pool, no look in memory
 * before. That is the ceiling of a server whose data is larger than its cache.
 */
import { createServer } from 'node:net';
import { parseArgs } from 'node:util';
import Parser from 'redis-parser';

const { values } = parseArgs({
  options: { port: { type: 'string' }, database: { type: 'string' }, cache: { type: 'string' } },
});
const map = new Map();
const OK = Buffer.from('+OK\r\n');
const NIL = Buffer.from('$-1\r\n');
const UNKNOWN = Buffer.from('-ERR unknown command\r\n');
const END = Buffer.from('\r\n');

const database = values.database === undefined ? null : await openDatabase(values.database, values.cache);
const reads = values.cache === undefined ? null : readsOf(database);
const writes = values.database === undefined ? null : await openWrites(database);

const server = createServer({ noDelay: true }, (socket) => {
  let replies = [];
  const parser = new Parser({
    returnBuffers: true,
    returnReply(request) {
      const name = request[0].toString('latin1').toLowerCase();
      if (name === 'get' && reads !== null) reads.get(socket, request[1]);
      else if (name === 'get') {
        const value = map.get(request[1].toString('latin1'));
        if (value === undefined) replies.push(NIL);
        else replies.push(Buffer.from(`$${value.length}\r\n`), value, END);
      } else if (name === 'set') {
        if (reads === null) map.set(request[1].toString('latin1'), request[2]);
        if (writes === null) replies.push(OK);
        else writes.put(socket, request[1], request[2]);
      } else replies.push(UNKNOWN);
    },
    returnError: () => socket.destroy(),
  });
  socket.on('data', (chunk) => {
    parser.execute(chunk);
    if (replies.length === 0) return;
    socket.write(replies.length === 1 ? replies[0] : Buffer.concat(replies));
    replies = [];
  });
  socket.on('error', () => socket.destroy());
});
server.listen(Number(values.port), '127.0.0.1', () => process.stdout.write('ready\n'));
process.on('SIGTERM', () => process.exit(0));

async function openDatabase(directory, cache) {
  const engine = await import('../dist/engine/index.js');
  return engine.openDatabase(directory, {
    createIfMissing: true,
    ...(cache === undefined ? {} : { blockCacheBytes: Number(cache) }),
  });
}

/** Reads of one pass together; the replies of a client in order. */
function readsOf(database) {
  let asked = [];
  const read = async (part) => {
    const records = await database.multiGet(part.map(({ key }) => key));
    for (const [nth, { reply }] of part.entries()) reply.record = records[nth];
  };
  const flush = async () => {
    const all = asked;
    asked = [];
    const third = Math.ceil(all.length / 3);
    await Promise.all([0, 1, 2].map((nth) => read(all.slice(nth * third, (nth + 1) * third))));
    const answered = new Map();
    for (const { socket, reply } of all) {
      const pieces = answered.get(socket) ?? [];
      if (reply.record === undefined) pieces.push(NIL);
      else pieces.push(Buffer.from(`$${reply.record.length}\r\n`), reply.record, END);
      answered.set(socket, pieces);
    }
    for (const [socket, pieces] of answered) socket.write(Buffer.concat(pieces));
  };
  return {
    get(socket, key) {
      if (asked.length === 0) setImmediate(flush);
      asked.push({ socket, key, reply: { record: undefined } });
    },
  };
}

/** One write at a time; who put something in it is answered at its end, when the next one runs already. */
async function openWrites(database) {
  const { BatchBuilder } = await import('../dist/engine/index.js');
  const batch = new BatchBuilder();
  let waiting = new Map();
  let running = false;
  const write = async () => {
    let answered = new Map();
    while (batch.count > 0) {
      const written = database.write(batch.finishPieces());
      const next = waiting;
      waiting = new Map();
      for (const [socket, replies] of answered) socket.write('+OK\r\n'.repeat(replies));
      answered = next;
      await written;
    }
    for (const [socket, replies] of answered) socket.write('+OK\r\n'.repeat(replies));
    running = false;
  };
  return {
    put(socket, key, value) {
      batch.put(key, value);
      waiting.set(socket, (waiting.get(socket) ?? 0) + 1);
      if (running) return;
      running = true;
      setImmediate(write);
    },
  };
}
