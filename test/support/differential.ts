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
  /** The same with several clients: a line begins with the name of the one that sends it, `a: GET k`. */
  together(t: Test, name: string, script: string, options?: SameOptions): Promise<void>;
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
    same(t, name, script, options = {}) {
      const commands = typeof script === 'string' ? commandsOf(script) : script;
      return compare(
        t,
        name,
        commands.map((command) => ({ client: 'a', command: [...command] })),
        options,
      );
    },
    together(t, name, script, options = {}) {
      const lines = script.split('\n').flatMap((line) => {
        const [, client, rest] = line.match(/^\s*(\w+): (.*)$/) ?? [];
        return client === undefined || rest === undefined ? [] : [{ client, command: wordsOf(rest) }];
      });
      return compare(t, name, lines, options);
    },
  };

  async function compare(t: Test, name: string, script: readonly Line[], options: SameOptions): Promise<void> {
    const { comparable = (_: Buffer[], reply: unknown) => reply } = options;
    const skip = redis === null ? 'no redis-server is installed' : false;
    for (const protocol of ['2', '3']) {
      await t.test(`${name}, RESP${protocol}`, { skip }, async (t) => {
        const clients = new Map<string, [RawClient, RawClient]>();
        const both = async (name: string, command: Buffer[]): Promise<[unknown, unknown]> => {
          const [ours, theirs] = clients.get(name) ?? (await opened(name));
          const [got, expected] = await Promise.all([asked(ours, command), asked(theirs, command)]);
          const compared = [comparable(command, got), comparable(command, expected)] as [unknown, unknown];
          if (isDeepStrictEqual(...compared)) return compared;
          const allowed = allowedDifference(command, got, expected);
          if (allowed === undefined) return compared;
          met.add(allowed.name);
          return [allowed.name, allowed.name];
        };
        const opened = async (name: string): Promise<[RawClient, RawClient]> => {
          const pair: [RawClient, RawClient] = [await server.open(), await RawClient.connect(redis?.port as number)];
          clients.set(name, pair);
          await both(name, wordsOf(`HELLO ${protocol}`));
          return pair;
        };
        await both('a', wordsOf('FLUSHALL'));
        for (const { client, command } of script) {
          const [got, expected] = await both(client, command);
          t.same(got, expected, `${clients.size > 1 ? `${client}: ` : ''}${shown(command)}`);
        }
        for (const pair of clients.values()) for (const client of pair) client.close();
      });
    }
  }
}

interface Line {
  client: string;
  command: Buffer[];
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
