/** The built program, as a person starts it. */
import { fileURLToPath } from 'node:url';
import { Redis } from 'ioredis';
import type { Test } from 'tap';
import { type Running, type SpawnOptions, start } from '../support/processes.js';
import { waitFor } from '../support/wait.js';

export const program = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));

export function cairn(t: Test, args: string[], options: SpawnOptions = {}): Running {
  return start(t, [process.execPath, program, ...args], options);
}

export interface Served extends Running {
  port: number;
  client: Redis;
}

/** `cairn serve` on a free port, with a client; resolves when it is ready. */
export async function serve(
  t: Test,
  args: string[],
  options: SpawnOptions & { password?: string } = {},
): Promise<Served> {
  const running = cairn(t, ['serve', '--port', '0', ...args], options);
  const line = await waitFor(() => /^cairn ready on .*:(\d+)\n/.exec(running.stdout()) ?? hasEnded(running), {
    what: 'the ready line',
  });
  if (line === 'ended') throw new Error(`the server ended before it was ready:\n${running.stderr()}`);
  const port = Number(line[1]);
  const { password } = options;
  const client = new Redis({
    ...(password !== undefined && { password }),
    port,
    host: '127.0.0.1',
    lazyConnect: true,
    retryStrategy: () => null,
  });
  client.on('error', () => {}); // the server is stopped in these tests
  await client.connect();
  t.teardown(() => client.disconnect());
  return { ...running, port, client };
}

function hasEnded({ child }: Running): 'ended' | null {
  return child.exitCode === null && child.signalCode === null ? null : 'ended';
}
