/**
 * The built server, dist/cli/main.js, as a user runs it: a process of its own on a free port and a fresh directory.
 * `npm test` builds dist/ first. What a test leaves running is killed when the test ends.
 */
import { once } from 'node:events';
import { join } from 'node:path';
import { Redis, type RedisOptions } from 'ioredis';
import type { Owner } from './owner.js';
import { freePort } from './ports.js';
import { type Ended, type Running, runToEnd, start } from './processes.js';
import { scratch } from './scratch.js';
import { waitFor } from './wait.js';

export interface ServerOptions {
  /** Added to `serve`, e.g. ['--set', 'durability=always']. */
  args?: string[];
  env?: Record<string, string | undefined>;
  /** The data directory; default: a fresh one. Give the same one again to start again on what was there. */
  dir?: string;
  /** Serve a plain directory instead (`--data-dir`). */
  dataDir?: string;
  port?: number;
  /** What runs it, in front of it, e.g. a shell that sets limits. */
  through?: string[];
  readyTimeoutMs?: number;
}

/** For tests of backups as files: no segments beside them, and no window that retention would spare. */
export const withoutArchive = ['--set', 'backup.wal.archive=no'];

export interface Server {
  readonly port: number;
  readonly dir: string;
  readonly pid: number;
  readonly process: Running;
  stdout(): string;
  stderr(): string;
  /** A connected ioredis client, which does not retry; closed when the test ends. */
  client(options?: RedisOptions): Promise<Redis>;
  /** redis-cli -e against this server; needs redis-tools (`isInstalled('redis-cli')`). */
  redisCli(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }>;
  /** SIGTERM; resolves with how it ended, throws when it is not out within 10 s. */
  stop(): Promise<Ended>;
  /** SIGKILL: what a crash of the process leaves. */
  kill9(): Promise<void>;
}

/** Variables of the tests themselves: the server would refuse them as settings that it does not know. */
const ofTests = { CAIRN_SEED: undefined, CAIRN_MINUTES: undefined, CAIRN_RUNS: undefined };

const program = join(process.cwd(), 'dist', 'cli', 'main.js');

/** Starts it and waits until it accepts connections; an error with what it said when it ends before that. */
export async function startServer(t: Owner, options: ServerOptions = {}): Promise<Server> {
  const dir = options.dir ?? scratch(t);
  for (let attempt = 1; ; attempt += 1) {
    const { running, port } = await launchServer(t, { ...options, dir });
    if (await untilReady(running, options.readyTimeoutMs ?? 20_000)) return serverOf(t, running, port, dir);
    const said = running.stderr();
    const portTaken = options.port === undefined && /EADDRINUSE/.test(said) && attempt < 5;
    if (!portTaken) throw new Error(`the server ended before it was ready; it said:\n${said}`);
  }
}

/** Starts it and waits for nothing. */
export async function launchServer(
  t: Owner,
  options: ServerOptions & { dir: string },
): Promise<{ running: Running; port: number }> {
  const port = options.port ?? (await freePort());
  const place = options.dataDir === undefined ? ['--dir', options.dir] : ['--data-dir', options.dataDir];
  const command = [
    ...(options.through ?? []),
    process.execPath,
    program,
    'serve',
    '--port',
    String(port),
    ...place,
    ...(options.args ?? []),
  ];
  return { running: start(t, command, { env: { ...ofTests, ...options.env } }), port };
}

/** Runs `serve` where it must refuse to start: exit code and output. */
export async function failToStart(t: Owner, args: string[], env: Record<string, string> = {}) {
  const running = start(t, [process.execPath, program, 'serve', ...args], { env: { ...ofTests, ...env } });
  const ended = await running.ended;
  return { code: ended.code, stdout: running.stdout(), stderr: running.stderr() };
}

/** Whether it got ready; false: it ended before. */
export async function untilReady(running: Running, timeoutMs: number): Promise<boolean> {
  let over = false;
  void running.ended.then(() => {
    over = true;
  });
  await waitFor(() => over || /^cairn ready on /m.test(running.stdout()), { what: 'the ready line', timeoutMs }).catch(
    (error: Error) => {
      throw new Error(`${error.message}; the server said:\n${running.stderr()}`);
    },
  );
  return /^cairn ready on /m.test(running.stdout());
}

export function serverOf(t: Owner, running: Running, port: number, dir: string): Server {
  return {
    port,
    dir,
    pid: running.pid,
    process: running,
    stdout: running.stdout,
    stderr: running.stderr,
    async client(options = {}) {
      const client = new Redis(port, '127.0.0.1', { retryStrategy: () => null, maxRetriesPerRequest: 0, ...options });
      client.on('error', () => {}); // a test that kills the server expects it; commands reject all the same
      t.teardown(() => client.disconnect());
      if (client.status !== 'ready') {
        const gone = once(client, 'end').then(() => {
          throw new Error('the connection was closed before it was ready');
        });
        await Promise.race([once(client, 'ready'), gone]);
        gone.catch(() => {});
      }
      return client;
    },
    redisCli: (...args) => runToEnd('redis-cli', ['-e', '-p', String(port), ...args]),
    stop: () => running.end('SIGTERM'),
    async kill9() {
      await running.end('SIGKILL');
    },
  };
}
