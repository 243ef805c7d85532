/** Child programs of a test: started with their output kept, awaited with a limit, never left behind. */
import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process';
import type { Owner } from './owner.js';

export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
}

export interface Running {
  readonly child: ChildProcess;
  readonly pid: number;
  stdout(): string;
  stderr(): string;
  /** How it ended; resolves when it does. */
  readonly ended: Promise<Ended>;
  /** Sends the signal and waits; an error, with its last words, when it is still there after the limit. */
  end(signal: NodeJS.Signals, timeoutMs?: number): Promise<Ended>;
}

export interface SpawnOptions {
  cwd?: string;
  /** Added to the environment of the test; undefined removes. */
  env?: Record<string, string | undefined>;
}

/** Starts a program; what is left of it when the test ends is killed. */
export function start(t: Owner, command: string[], options: SpawnOptions = {}): Running {
  const [program = '', ...args] = command;
  const child = spawn(program, args, {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output.stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    output.stderr += text;
  });
  const ended = new Promise<Ended>((resolve) => {
    child.once('error', (error) => {
      output.stderr += `${error.message}\n`;
      resolve({ code: null, signal: null });
    });
    child.once('close', (code, signal) => resolve({ code, signal }));
  });
  const running: Running = {
    child,
    pid: child.pid ?? 0,
    stdout: () => output.stdout,
    stderr: () => output.stderr,
    ended,
    end: async (signal, timeoutMs = 10_000) => {
      child.kill(signal);
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<never>((_, reject) => {
        const text = `${program} is still running ${timeoutMs} ms after ${signal}; it said:\n${output.stderr}`;
        timer = setTimeout(() => reject(new Error(text)), timeoutMs);
      });
      return Promise.race([ended, late]).finally(() => clearTimeout(timer));
    },
  };
  t.teardown(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await ended;
  });
  return running;
}

/** Runs a program to its end: exit code and output. Never throws for an exit code. */
export function runToEnd(
  program: string,
  args: string[],
  options: { input?: string; timeoutMs?: number; env?: Record<string, string> } = {},
): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve, reject) => {
    const limits = { timeout: options.timeoutMs ?? 60_000, maxBuffer: 256 * 1024 * 1024 };
    const env = { ...process.env, ...options.env };
    const child = execFile(program, args, { ...limits, env }, (error, stdout, stderr) => {
      if (error !== null && typeof error.code !== 'number') reject(error);
      else resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
    // A program that ends without having read its input is no failure of ours.
    child.stdin?.on('error', () => {});
    child.stdin?.end(options.input ?? '');
  });
}

/** Whether a program is installed: tests that compare with a peer skip where it is not. */
export function isInstalled(program: string): boolean {
  return spawnSync(program, ['--version']).error === undefined;
}
