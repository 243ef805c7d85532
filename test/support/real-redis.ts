/**
 * A redis-server of the machine, to compare with: started on a free port in its own directory, without persistence,
 * and stopped by its process handle. null where no redis-server is installed.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { connect, createServer, type Socket } from 'node:net';
import RedisParser from 'redis-parser';

export class RealRedis {
  private constructor(
    private readonly child: ChildProcess,
    readonly port: number,
    private readonly socket: Socket,
  ) {}

  /** directory: an existing empty one. */
  static async start(directory: string): Promise<RealRedis | null> {
    if (spawnSync('redis-server', ['--version']).status !== 0) return null;
    const port = await freePort();
    const options = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'];
    const child = spawn('redis-server', [...options, '--dir', directory], { stdio: ['ignore', 'pipe', 'inherit'] });
    await new Promise<void>((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code) => reject(new Error(`redis-server ended with ${code}`)));
      child.stdout?.on('data', (text: Buffer) => {
        if (text.includes('Ready to accept connections')) resolve();
      });
    });
    const socket = connect(port, '127.0.0.1');
    await new Promise((resolve) => socket.once('connect', resolve));
    return new RealRedis(child, port, socket);
  }

  /** The RESP2 reply of one command: strings, numbers, null, arrays; an error reply as an Error. */
  async ask(...words: (string | Buffer)[]): Promise<unknown> {
    const reply = new Promise<unknown>((resolve, reject) => {
      const parser = new RedisParser({
        returnReply: (value: unknown) => done(() => resolve(value)),
        returnError: (error: Error) => done(() => resolve(error)),
        returnFatalError: (error: Error) => done(() => reject(error)),
      });
      const onData = (data: Buffer) => parser.execute(data);
      const done = (settle: () => void) => {
        this.socket.off('data', onData);
        settle();
      };
      this.socket.on('data', onData);
    });
    const parts = [Buffer.from(`*${words.length}\r\n`)];
    for (const word of words.map((word) => Buffer.from(word as string))) {
      parts.push(Buffer.from(`$${word.length}\r\n`), word, Buffer.from('\r\n'));
    }
    this.socket.write(Buffer.concat(parts));
    return reply;
  }

  async stop(): Promise<void> {
    this.socket.destroy();
    const ended = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.kill('SIGKILL');
    await ended;
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}
