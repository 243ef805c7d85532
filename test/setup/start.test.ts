/**
 * `npm start` on a tree that is set up, as a person and a service manager use it: options, signals, exit codes, and how
 * long it takes. `npm test` did the set-up; the servers here have directories of their own.
 */
import { connect } from 'node:net';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { freePort } from '../support/ports.js';
import { type Running, start } from '../support/processes.js';
import { scratch } from '../support/scratch.js';
import { waitFor } from '../support/wait.js';

interface Started {
  running: Running;
  port: number;
  readyMs: number;
}

const throughNpm = ['npm', 'start', '--'];
const direct = [process.execPath, join(process.cwd(), 'scripts', 'start.mjs')];

async function startCommand(t: Test, command: string[]): Promise<Started> {
  const port = await freePort();
  const startedMs = performance.now();
  const running = start(t, [...command, '--port', String(port), '--dir', scratch(t)]);
  const line = `cairn ready on 127.0.0.1:${port}`;
  await waitFor(() => running.stdout().includes(line), { what: `"${line}"`, everyMs: 5 }).catch((error: Error) => {
    throw new Error(`${error.message}; it said:\n${running.stderr()}`);
  });
  return { running, port, readyMs: performance.now() - startedMs };
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

t.test('a start with nothing to set up is ready in under two seconds and says nothing of set-up', async (t) => {
  // The best of three: the machine may be busy with something else.
  const attempts: { readyMs: number; setup: boolean }[] = [];
  const good = ({ readyMs, setup }: { readyMs: number; setup: boolean }) => readyMs < 2_000 && !setup;
  while (attempts.length < 3 && !attempts.some(good)) {
    const { running, readyMs } = await startCommand(t, throughNpm);
    attempts.push({ readyMs: Math.round(readyMs), setup: /setup:/.test(running.stderr()) });
    await running.end('SIGTERM');
  }
  t.ok(attempts.some(good), JSON.stringify(attempts));
});

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  t.test(`${signal} to npm stops the server within 10 s, and npm exits with 0`, async (t) => {
    const { running, port } = await startCommand(t, throughNpm);
    t.same(await running.end(signal), { code: 0, signal: null });
    t.equal(await isListening(port), false);
  });
}

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  t.test(`${signal} to the started process stops the server within 10 s, and it exits with 0`, async (t) => {
    const { running, port } = await startCommand(t, direct);
    t.same(await running.end(signal), { code: 0, signal: null });
    t.equal(await isListening(port), false);
  });
}

for (const signal of ['SIGHUP', 'SIGKILL'] as const) {
  t.test(`${signal} to npm, which npm does not pass on, stops the server too`, async (t) => {
    const { running, port } = await startCommand(t, throughNpm);
    process.kill(running.pid, signal);
    await waitFor(async () => !(await isListening(port)), { what: 'the server to stop' });
    t.pass('nobody listens any more');
    await running.ended;
  });
}

t.test('what the server refuses, npm start refuses with its exit code', async (t) => {
  const running = start(t, [...throughNpm, '--set', 'no.such.setting=1', '--dir', scratch(t)]);
  const { code } = await running.ended;
  t.not(code, 0);
  t.match(running.stderr(), /no\.such\.setting/);
});
