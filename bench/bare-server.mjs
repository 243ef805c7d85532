/**
 * The platform's own ceiling: the least that a Node program does to answer SET and GET. It parses with redis-parser, answers from a
 * Map, and writes once per chunk that came in. It keeps nothing, checks nothing and knows no other command.
 *
 *   node bench/bare-server.mjs --port 7400
 */
import { createServer } from 'node:net';
import { parseArgs } from 'node:util';
import Parser from 'redis-parser';

const { values } = parseArgs({ options: { port: { type: 'string' } } });
const map = new Map();
const OK = Buffer.from('+OK\r\n');
const NIL = Buffer.from('$-1\r\n');
const UNKNOWN = Buffer.from('-ERR unknown command\r\n');
const END = Buffer.from('\r\n');

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
        replies.push(OK);
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
