/** ADMIN.BACKUP through a real client, answers as objects. */
import type { Redis } from 'ioredis';

export type Answer = Record<string, unknown>;

/** One ADMIN.BACKUP call, answered as FORMAT JSON gives it. */
export async function admin<T = Answer>(client: Redis, ...words: (string | number)[]): Promise<T> {
  const text = await client.call('ADMIN.BACKUP', ...words.map(String), 'FORMAT', 'JSON');
  return JSON.parse(String(text)) as T;
}

export interface Listed {
  backups: { id: number; status: string; pinned: number }[];
  total: number;
  latest: number | null;
}

export function list(client: Redis, ...words: (string | number)[]): Promise<Listed> {
  return admin<Listed>(client, 'LIST', ...words);
}

/** Every key and value of a logical database, in key order. */
export async function dump(client: Redis): Promise<Map<string, string | null>> {
  const keys: string[] = [];
  let cursor = '0';
  do {
    const [next, page] = await client.scan(cursor, 'COUNT', 1000);
    keys.push(...page);
    cursor = next;
  } while (cursor !== '0');
  keys.sort();
  const content = new Map<string, string | null>();
  for (let i = 0; i < keys.length; i += 1000) {
    const page = keys.slice(i, i + 1000);
    const values = await client.mget(page);
    for (const [at, key] of page.entries()) content.set(key, values[at] ?? null);
  }
  return content;
}

/** Whether two dumps are the same; without the megabytes that a failed comparison would print. */
export function sameContent(actual: Map<string, string | null>, expected: Map<string, string | null>): boolean {
  if (actual.size !== expected.size) return false;
  for (const [key, value] of expected) if (actual.get(key) !== value) return false;
  return true;
}
