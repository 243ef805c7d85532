/** A server with an honest backup, a place where nothing may change, and what somebody can make who writes to the repository. */
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import type { Test } from 'tap';
import { admin } from './admin.js';
import { type Server, startServer, withoutArchive } from './built-server.js';
import { manifestPath } from './repository-files.js';
import { scratch } from './scratch.js';

export interface ListedFile {
  name: string;
  size: number;
  sha256: string;
}

export interface Attacked {
  server: Server;
  client: Redis;
  repository: string;
  /** Where nothing may change. */
  outside: string;
  untouched(t: Test, what: string): void;
}

/** A server with one honest backup, 1, and room for more. */
export async function attacked(t: Test): Promise<Attacked> {
  const root = scratch(t);
  const outside = join(root, 'outside');
  mkdirSync(outside);
  writeFileSync(join(outside, 'secret.txt'), 'mine');
  const repository = join(root, 'repository');
  const server = await startServer(t, {
    dir: join(root, 'data'),
    args: ['--backup-dir', repository, ...withoutArchive],
  });
  const client = await server.client();
  await client.set('key', 'value');
  await admin(client, 'CREATE');
  return {
    server,
    client,
    repository,
    outside,
    untouched(t, what) {
      t.same(readdirSync(outside), ['secret.txt'], `${what}: nothing was made outside`);
      t.equal(readFileSync(join(outside, 'secret.txt'), 'utf8'), 'mine', `${what}: nothing was changed outside`);
    },
  };
}

export function sha256(bytes: string | Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** A document with its own hash right: the attacker can compute it too. */
export function sealed(document: Record<string, unknown>): string {
  const zeros = '0'.repeat(64);
  const blank = `${JSON.stringify({ ...document, self_sha256: zeros }, null, 2)}\n`;
  return blank.replace(zeros, sha256(blank));
}

/** Backup `id` made from backup 1 with another list of files, every hash right. */
export function forge(repository: string, id: number, files: unknown[], manifest: Record<string, unknown> = {}): void {
  const { self_sha256: _, ...first } = JSON.parse(readFileSync(manifestPath(repository, 1), 'utf8')) as Record<
    string,
    unknown
  >;
  const bytes = listBytes(repository, files);
  const hash = sha256(bytes);
  writeFileSync(join(repository, 'lists', hash), bytes);
  const size = files.reduce<number>((sum, file) => sum + Number((file as ListedFile).size), 0);
  const list = { sha256: hash, files: files.length, size };
  const document = { ...first, id, files: files.length, size, list, ...manifest };
  writeFileSync(manifestPath(repository, id), sealed(document));
}

/** In the form of the honest list, so that only what is hostile in it can be what is refused. */
function listBytes(repository: string, files: unknown[]): string {
  const honest = honestList(repository).text;
  const open = honest.indexOf('[');
  const close = honest.lastIndexOf(']');
  const lines = files.map((file) => `    ${JSON.stringify(file).replaceAll('":', '": ').replaceAll(',"', ', "')}`);
  return `${honest.slice(0, open + 1)}\n${lines.join(',\n')}\n  ${honest.slice(close)}`;
}

export function honestList(repository: string): { text: string; files: ListedFile[] } {
  const { list } = JSON.parse(readFileSync(manifestPath(repository, 1), 'utf8')) as { list: { sha256: string } };
  const text = readFileSync(join(repository, 'lists', list.sha256), 'utf8');
  return { text, files: (JSON.parse(text) as { files: ListedFile[] }).files };
}

/** Restores it every way; what each says. */
export async function tryAll(client: Redis, id: number): Promise<string[]> {
  const calls = [
    ['VERIFY', String(id)],
    ['RESTORE', String(id), 'TO', `hostile-${id}`],
    ['RESTORE', String(id)],
  ];
  const answers: string[] = [];
  for (const words of calls) {
    answers.push(
      await client.call('ADMIN.BACKUP', ...words).then(
        () => `${words.join(' ')} was done`,
        (error: Error) => error.message,
      ),
    );
  }
  return answers;
}
