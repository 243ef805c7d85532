/** The programs that are measured: Cairn's built server, redis-server, and commands that run to their end. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { Redis } from 'ioredis';
import { inProject } from '../scripts/setup/root.mjs';

const running = new Set();

/** Ends every server that is still up; for a case that failed. */
export function stopAll() {
  for (const child of running) child.kill('SIGKILL');
}

/** Cairn on a directory: { port, pid, said(), client(), stop() }. Its log goes to <dir>.log. */
export function startCairn(dir, args = []) {
  const program = inProject('dist', 'cli', 'main.js');
  const command = [process.execPath, program, 'serve', '--dir', dir, ...args];
  return startServer(command, dir, /^cairn ready on /m);
}

/** redis-server with the same promise as Cairn's default: an append-only log, synced every second. */
export function startRedis(dir) {
  mkdirSync(dir, { recursive: true });
  const log = ['--appendonly', 'yes', '--appendfsync', 'everysec', '--save', ''];
  return startServer(['redis-server', '--bind', '127.0.0.1', '--dir', dir, ...log], dir, /Ready to accept connections/);
}

/**
 * The bare Node server: what the platform can do at most (bare-server.mjs). With a directory it puts into a RocksDB there as well, with
 * the bytes of a cache it also reads from there.
 */
export function startBare(database = null, cacheBytes = null) {
  const args = database === null ? [] : ['--database', database];
  if (cacheBytes !== null) args.push('--cache', String(cacheBytes));
  return startServer([process.execPath, inProject('bench', 'bare-server.mjs'), ...args], 'nothing', /^ready/m);
}

/** Compiles a C++ peer of this folder; answers the program's path. */
export function compilePeer(name, dir) {
  const source = inProject('bench', `${name}.cc`);
  const target = `${dir}/${name}`;
  const { status, stderr } = spawnSync(
    'g++',
    ['-O2', '-std=c++17', source, '-o', target, '-lrocksdb', '-lcrypto', '-lpthread'],
    {
      encoding: 'utf8',
    },
  );
  if (status !== 0) throw new Error(`${name}.cc does not compile: ${stderr}`);
  return target;
}

/** Runs a peer that prints how many milliseconds its operation took. */
export async function peerMs(program, ...args) {
  const { output } = await timeCommand(program, ...args);
  const ms = Number(output.trim().split('\n').at(-1));
  if (!Number.isFinite(ms)) throw new Error(`${program} ${args.join(' ')} said: ${output}`);
  return ms;
}

/** Bytes a second of SHA-256 on so many cores at once, as OpenSSL measures it: what nobody who hashes can pass. */
export async function sha256Limit(cores) {
  requireProgram('openssl', 'openssl', 'version');
  const speed = ['speed', '-mr', '-evp', 'sha256', '-bytes', String(1 << 20), '-seconds', '2', '-multi', String(cores)];
  const { output } = await timeCommand('openssl', ...speed);
  const rate = Number(/^\+F:\d+:sha256:([0-9.]+)$/m.exec(output)?.[1]);
  if (!(rate > 0)) throw new Error(`openssl speed said: ${output}`);
  return rate;
}

async function startServer([program, ...args], dir, ready) {
  const port = await freePort();
  const child = spawn(program, [...args, '--port', String(port)], { stdio: ['ignore', 'pipe', 'pipe'] });
  running.add(child);
  let said = '';
  const exited = once(child, 'exit').then(() => running.delete(child));
  await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.stdout.on('data', (bytes) => {
      said += bytes;
      if (ready.test(said)) resolve();
    });
    child.stderr.on('data', (bytes) => {
      said += bytes;
    });
    exited.then(() => reject(new Error(`${program} on ${dir} ended before it was ready: ${said}`)));
  });
  return {
    port,
    pid: child.pid,
    /** Everything it printed. */
    said: () => said,
    async client() {
      const client = new Redis(port, '127.0.0.1', { retryStrategy: () => null });
      await once(client, 'ready');
      return client;
    },
    async stop() {
      child.kill('SIGTERM');
      await exited;
    },
  };
}

/** Runs a command; answers how long it took, or throws with what it said. */
export async function timeCommand(program, ...args) {
  const startedMs = performance.now();
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (bytes) => {
      said += bytes;
    });
  }
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${code}: ${said.slice(-2_000)}`);
  return { ms: performance.now() - startedMs, output: said };
}

export async function timed(body) {
  const startedMs = performance.now();
  const value = await body();
  return { ms: performance.now() - startedMs, value };
}

/** How long it takes until all bytes of a reply are there, in ms; nobody parses them. A PONG says that they are all. */
export async function timedBytes(port, ...words) {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  const startedMs = performance.now();
  let end = '';
  socket.write(`${[words, ['PING']].map((request) => `*${request.length}\r\n${request.map(bulk).join('')}`).join('')}`);
  for await (const chunk of socket) {
    end = (end + chunk.subarray(-PONG.length).toString('latin1')).slice(-PONG.length);
    if (end === PONG) break;
  }
  const ms = performance.now() - startedMs;
  socket.destroy();
  if (end !== PONG) throw new Error(`${words.join(' ')}: the connection ended`);
  return ms;
}

const PONG = '+PONG\r\n';
const bulk = (word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`;

/** Throws, with the package that has it, when a peer is not installed. */
export function requireProgram(program, debianPackage, versionOption = '--version') {
  if (spawnSync(program, [versionOption]).error === undefined) return;
  throw new Error(`${program} is not installed (Debian: apt-get install ${debianPackage})`);
}

/** Everything written so far reaches the disk, so that nobody's measurement pays for another's dirty pages. */
export function settle(cold) {
  spawnSync('sync');
  if (!cold) return;
  writeFileSync('/proc/sys/vm/drop_caches', '3');
}

/** Resident memory of a process in bytes; resetPeak starts a new peak. */
export function peakMemory(pid) {
  const match = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(match?.[1] ?? Number.NaN) * 1024;
}

export function resetPeakMemory(pid) {
  writeFileSync(`/proc/${pid}/clear_refs`, '5');
  return peakMemory(pid);
}

/** Resident memory of a process in bytes. */
export function residentMemory(pid) {
  const match = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(match?.[1] ?? Number.NaN) * 1024;
}

/** redis-benchmark's SET and GET: [{ test, per_second, p50_ms, p99_ms }]. */
export async function redisBenchmark(
  port,
  { tests = 'set,get', clients = 50, pipeline, requests, keySpace, valueBytes },
) {
  requireProgram('redis-benchmark', 'redis-tools');
  const load = ['-c', clients, '-P', pipeline, '-n', requests, '-r', keySpace, '-d', valueBytes];
  const { output } = await timeCommand('redis-benchmark', ...['-p', port, '-t', tests, '--csv', ...load].map(String));
  const [head, ...lines] = output
    .trim()
    .split('\n')
    .filter((line) => line.startsWith('"'));
  const names = csvCells(head ?? '');
  const results = lines.map((line) => Object.fromEntries(csvCells(line).map((cell, index) => [names[index], cell])));
  if (results.length !== tests.split(',').length) throw new Error(`redis-benchmark said: ${output}`);
  return results.map((row) => ({
    test: row.test,
    per_second: Number(row.rps),
    p50_ms: Number(row.p50_latency_ms),
    p99_ms: Number(row.p99_latency_ms),
  }));
}

function csvCells(line) {
  return line.split(',').map((cell) => cell.replaceAll('"', '').trim());
}

/** A flat field/value reply as an object. */
export function fields(reply) {
  const object = {};
  for (let index = 0; index < reply.length; index += 2) object[reply[index]] = reply[index + 1];
  return object;
}

async function freePort() {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}
