/** Starts support/program.ts as a process. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';

export const PROGRAM = fileURLToPath(new URL('./program.js', import.meta.url));

/** Starts support/program.ts; `said` resolves with the next line that it prints. */
export function program(t: Test, ...args: string[]) {
  const child: ChildProcess = spawn(process.execPath, [PROGRAM, ...args], { stdio: ['pipe', 'pipe', 'pipe'] });
  t.teardown(() => child.kill('SIGKILL'));
  let errors = '';
  child.stderr?.on('data', (chunk) => {
    errors += chunk;
  });
  const ended = once(child, 'exit').then(([code, signal]) => ({ code, signal, errors }));
  const said = once(child.stdout as NodeJS.ReadableStream, 'data').then(([chunk]) => String(chunk).trim());
  return { child, ended, said };
}
