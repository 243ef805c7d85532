/**
 * Runs one child program for set-up. Its output goes to stderr, it reads nothing, and a signal that ends set-up ends
 * the child first, so that an interrupted set-up leaves nobody working in the tree behind its back.
 */
import { spawn } from 'node:child_process';
import { root, SetupError } from './root.mjs';

const running = new Set();

/** Ends what is running; for the signal handlers of the programs that call set-up. */
export function killRunning(signal) {
  for (const child of running) child.kill(signal);
}

/**
 * Resolves with the exit code (a signal counts as 1).
 * @param {string[]} command program and arguments
 * @param {{ env?: Record<string, string | undefined>, output?: 'shown' | 'on failure' | 'dropped' }} [options]
 * @returns {Promise<number>}
 */
export function exitCodeOf(command, { env = process.env, output = 'shown' } = {}) {
  const [program, ...args] = command;
  return new Promise((resolve, reject) => {
    const target = { shown: 2, 'on failure': 'pipe', dropped: 'ignore' }[output];
    const child = spawn(program, args, { cwd: root, env, stdio: ['ignore', target, target] });
    const kept = [];
    child.stdout?.on('data', (bytes) => kept.push(bytes));
    child.stderr?.on('data', (bytes) => kept.push(bytes));
    running.add(child);
    child.on('error', (error) => {
      running.delete(child);
      reject(new SetupError(`could not run ${program}: ${error.message}`));
    });
    child.on('close', (code) => {
      running.delete(child);
      if (code !== 0) process.stderr.write(Buffer.concat(kept));
      resolve(code ?? 1);
    });
  });
}

/** Runs it and throws with `failure` unless it exits with 0. */
export async function run(command, failure, options) {
  const code = await exitCodeOf(command, options);
  if (code !== 0) throw new SetupError(`${failure} (${command.join(' ')}: exit code ${code})`);
}

/** npm as it was called to get here, or the one in PATH. */
export function npm(...args) {
  const entry = process.env.npm_execpath;
  return entry?.endsWith('.js') ? [process.execPath, entry, ...args] : ['npm', ...args];
}
