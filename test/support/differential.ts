/**
 * The same script to Cairn and to a real redis-server, replies compared to the type, in RESP2 and in RESP3. A line of a
 * script is one command; words are split at blanks, 'single quotes' keep them together, \xNN stands for a byte.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Test } from 'tap';
import { allowedDifference } from './allowed-differences.js';
import { RealRedis } from './real-redis.js';
import type { Wire } from './resp.js';
import { multibulk } from './resp.js';
import { scratch } from './scratch.js';
import { RawClient, startTestServer } from './server.js';

/** A reply, its types told apart: what a client library would see. */
export type Exact = string | Exact[];

export interface Pair {
  /** null: no redis-server is installed. */
  redis: RealRedis | null;
  /** Cairn's. */
  port: number;
  /** Names of the allowed differences that were met so far. */
  met: Set<string>;
  /** Runs a script on both, after a FLUSHALL, once for each protocol. */
  same(t: Test, name: string, script: string | readonly Buffer[][], options?: SameOptions): Promise<void>;
}

export interface SameOptions {
  /** What of a reply is compared; by default all of it. */
  comparable?: (command: Buffer[], reply: unknown) => unknown;
}

export async function startPair(t: Test): Promise<Pair> {
  const server = await startTestServer(t);
  const redis = await RealRedis.start(scratch(t));
  t.teardown(() => redis?.stop());
  const met = new Set<string>();
  return {
    redis,
    port: server.port,
    met,
    async same(t, name, script, { comparable = (_: Buffer[], reply: unknown) => reply } = {}) {
      const skip = redis === null ? 'no redis-server is installed' : false;
      for (const protocol of ['2', '3']) {
        await t.test(`${name}, RESP${protocol}`, { skip }, async (t) => {
          const [ours, theirs] = [await server.open(), await RawClient.connect(redis?.port as number)];
          const both = async (command: Buffer[]): Promise<[unknown, unknown]> => {
            const [got, expected] = await Promise.all([asked(ours, command), asked(theirs, command)]);
            const compared = [comparable(command, got), comparable(command, expected)] as [unknown, unknown];
            if (isDeepStrictEqual(...compared)) return compared;
            const allowed = allowedDifference(command, got, expected);
            if (allowed === undefined) return compared;
            met.add(allowed.name);
            return [allowed.name, allowed.name];
          };
          for (const command of [[Buffer.from('HELLO'), Buffer.from(protocol)], [Buffer.from('FLUSHALL')]]) {
            await both(command);
          }
          for (const command of typeof script === 'string' ? commandsOf(script) : script) {
            const [got, expected] = await both([...command]);
            t.same(got, expected, shown(command));
          }
          ours.close();
          theirs.close();
        });
      }
    },
  };
}

export async function asked(client: RawClient, command: readonly Buffer[]): Promise<Exact> {
  client.send(multibulk(...command));
  return exact(await client.next());
}

export function exact(wire: Wire | null): Exact {
  if (wire === null) return 'closed';
  if ('items' in wire) return [wire.type, ...wire.items.map(exact)];
  if ('text' in wire) return `${wire.type} ${wire.text}`;
  return 'value' in wire ? `${wire.type} ${wire.value}` : wire.type;
}

export function commandsOf(script: string): Buffer[][] {
  return script
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .map(wordsOf);
}

function wordsOf(line: string): Buffer[] {
  const found = line.match(/'[^']*'|\S+/g) ?? [];
  return found.map((word) => {
    const text = word.startsWith("'") ? word.slice(1, -1) : word;
    const plain = text.replace(/\\x([0-9a-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
    return Buffer.from(plain, 'latin1');
  });
}

export function shown(command: readonly Buffer[]): string {
  return command.map((word) => word.toString('latin1', 0, 60).replace(/[^\x20-\x7e]/g, '.')).join(' ');
}
