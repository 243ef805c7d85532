/**
 * The platform's own ceiling: the least that a Node program does to answer SET and GET. It parses with redis-parser, answers from a
 * Map, and writes once per chunk that came in. It keeps nothing, checks nothing and knows no other command.
 *
 *   node bench/bare-server.mjs --port 7400
 *   node bench/bare-server.mjs --port 7400 --database DIRECTORY
 *
 * With a database it is the ceiling of any Node server that answers a SET when RocksDB has it: it puts as well, all that comes while a
 * write runs in the next one, and answers when it is done. Reads are still the Map's; one key is one record, and nothing else is written.
 */
import { createServer } from 'node:net';
import { parseArgs } from 'node:util';
import Parser from 'redis-parser';

const { values } = parseArgs({ options: { port: { type: 'string' }, database: { type: 'string' } } });
const map = new Map();
const OK = Buffer.from('+OK\r\n');
const NIL = Buffer.from('$-1\r\n');
const UNKNOWN = Buffer.from('-ERR unknown command\r\n');
const END = Buffer.from('\r\n');

const writes = values.database === undefined ? null : await openWrites(values.database);

const server = createServer({ noDelay: true }, (socket) => {
  let replies = [];
  const parser = new Parser({
    returnBuffers: true,
    returnReply(request) {
      const name = request[0].toString('latin1').toLowerCase();
      if (name === 'get') {
        const value = map.get(request[1].toString('latin1'));
        if (value === undefined) replies.push(NIL);
        else replies.push(Buffer.from(`$${value.length}\r\n`), value, END);
      } else if (name === 'set') {
        map.set(request[1].toString('latin1'), request[2]);
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

/** One write at a time; who put something in it is answered at its end, when the next one runs already. */
async function openWrites(directory) {
  const { BatchBuilder, openDatabase } = await import('../dist/engine/index.js');
  const database = await openDatabase(directory, { createIfMissing: true });
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
