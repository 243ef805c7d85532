/**
 * Damage to a repository under a running server: every kind of file, every kind of damage. It is found and named, or it
 * is harmless; what is damaged is never served.
 */
import { execFileSync } from 'node:child_process';
import { appendFileSync, cpSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import t, { type Test } from 'tap';
import { admin, dump, type Listed, list } from '../support/admin.js';
import { type Server, startServer } from '../support/built-server.js';
import { flipBit, manifestPath, objectKeys, objectPath, statePath } from '../support/repository-files.js';

interface FileInfo {
  name: string;
  size: number;
  sha256: string;
  verdict: string;
}

interface Prepared {
  server: Server;
  client: Redis;
  repository: string;
  content: Map<string, string | null>;
}

/** A server with two backups, the second with a table that the first does not have, and the commits between them. */
async function prepared(t: Test): Promise<Prepared> {
  const server = await startServer(t, { args: ['--set', 'write_buffer_size=1mb', '--set', 'backup.wal.interval=1h'] });
  const client = await server.client();
  for (let i = 0; i < 100; i += 1) await client.set(`key:${i}`, `value:${i}`);
  await admin(client, 'CREATE');
  for (let i = 0; i < 40; i += 1) await client.set(`more:${i}`, String(i % 10).repeat(50_000));
  const content = await dump(client);
  await admin(client, 'CREATE');
  return { server, client, repository: join(server.dir, 'backups'), content };
}

async function files(client: Redis, id: number): Promise<FileInfo[]> {
  return (await admin<{ files_list: FileInfo[] }>(client, 'INFO', id)).files_list;
}

async function table(client: Redis, id: number): Promise<FileInfo> {
  const found = (await files(client, id)).find(({ name }) => name.endsWith('.sst'));
  if (found === undefined) throw new Error(`backup ${id} has no table`);
  return found;
}

async function codeOf(client: Redis, ...words: string[]): Promise<string> {
  return client.call('ADMIN.BACKUP', ...words).then(
    () => 'OK',
    (error: Error) => error.message.split(' ')[0] as string,
  );
}

const damaged = /^BACKUP(CORRUPT|INCOMPLETE|MANIFEST|VERIFY)$/;

t.test(
  'E1: a flipped bit in the first, middle or last byte of any file of a repository is found or harmless',
  async (t) => {
    const { server, client, repository, content } = await prepared(t);
    const kinds = new Map<string, number>();
    // Objects of backup 1 that backup 2 shares as well, its own, and everything beside them.
    for (const key of objectKeys(repository)) {
      const kind = key.split('/')[0] as string;
      if ((kinds.get(kind) ?? 0) >= 6) continue;
      kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
      const path = join(repository, key);
      const size = readFileSync(path).length;
      for (const offset of [0, size >> 1, size - 1]) {
        flipBit(path, offset);
        const codes = [await codeOf(client, 'VERIFY', '1'), await codeOf(client, 'VERIFY', '2')];
        const listed = await list(client);
        const what = `${key} at ${offset}: ${codes.join(' ')}`;
        if (['backups', 'lists', 'files'].includes(kind)) {
          t.ok(
            codes.some((code) => damaged.test(code)),
            what,
          );
          for (const [at, code] of codes.entries()) {
            const status = listed.backups.find(({ id }) => id === at + 1)?.status;
            t.equal(status === 'complete', code === 'OK', `${what}: listed as ${status}`);
            if (code !== 'OK') t.equal(await codeOf(client, 'RESTORE', String(at + 1), 'TO', 'never'), code, what);
          }
        } else if (kind === 'wal') {
          t.same(codes, ['OK', 'OK'], `${what}: fulls need no segment`);
          const error = await client.call('ADMIN.BACKUP', 'VERIFY', 'ALL').catch((thrown: Error) => thrown.message);
          t.match(error, /^BACKUPCORRUPT /, what);
          t.ok(String(error).includes(key), what);
        } else {
          t.same(codes, ['OK', 'OK'], `${what}: it takes no part in what a backup is`);
          t.equal(listed.total, 2, what);
        }
        flipBit(path, offset);
      }
      if (['backups', 'lists', 'files', 'wal'].includes(kind)) await admin(client, 'VERIFY', 'ALL');
    }
    t.same([...kinds.keys()].sort(), [
      'REPOSITORY.json',
      'backups',
      'files',
      'latest',
      'lists',
      'next_id',
      'states',
      'timelines',
      'wal',
    ]);
    t.match(await list(client), { total: 2, latest: 2 });
    t.same(await dump(client), content, 'live data was never touched');
    t.match(await admin(client, 'CREATE'), { id: 3 }, 'damage that was taken back leaves nothing behind');
    await server.stop();
  },
);

t.test(
  'E2: same size, other content: VERIFY names backup, file, expected and actual; each file has its verdict',
  async (t) => {
    const { server, client, repository } = await prepared(t);
    const { name, sha256, size } = await table(client, 2);
    const path = objectPath(repository, sha256);
    const whole = readFileSync(path);
    writeFileSync(path, Buffer.alloc(size, 7));
    t.match(await admin(client, 'VERIFY', 2, 'QUICK'), { status: 'VALID' }, 'QUICK looks at sizes only');
    await t.rejects(client.call('ADMIN.BACKUP', 'VERIFY', '2'), {
      message: new RegExp(`^BACKUPCORRUPT backup 2: 1 damaged: ${name} .*${sha256}.* has SHA-256 [0-9a-f]{64}`),
    });
    const verdicts = await files(client, 2);
    t.equal(verdicts.find((file) => file.name === name)?.verdict, 'corrupt');
    t.ok(verdicts.filter((file) => file.name !== name).every(({ verdict }) => verdict === 'valid'));
    const info = await admin(client, 'INFO', 2);
    t.match(info, {
      status: 'corrupt',
      verify_status: 'invalid',
      verifications: [{}, { files_failed: 1, status: 'invalid' }],
    });
    t.same(
      (await list(client, 'STATUS', 'corrupt')).backups.map(({ id }) => id),
      [2],
    );
    t.equal((await list(client)).latest, 1, 'LATEST is the good one before');
    t.match(await client.info('backup'), /backup_last_verify_status:err\r\n/, 'monitors see it');
    t.match(await admin(client, 'STATUS'), {
      last_operation: 'verify',
      last_status: 'err',
      last_error: /^BACKUPCORRUPT /,
    });
    // The way back to the previous good one is one command.
    t.match(await admin(client, 'RESTORE', 'LATEST'), { id: 1 });
    writeFileSync(path, whole);
    t.match(await admin(client, 'VERIFY', 2), { status: 'VALID' });
    t.match(await list(client), { latest: 2 }, 'a verification that passes makes it complete again');
    await server.stop();
  },
);

t.test(
  'C1, E3: truncated, longer, empty, missing and surplus files are told apart, and refused before live data is touched',
  async (t) => {
    const { server, client, repository } = await prepared(t);
    const { sha256, size } = await table(client, 2);
    const path = objectPath(repository, sha256);
    const whole = readFileSync(path);
    const cases: [string, () => void, RegExp][] = [
      [
        'truncated',
        () => truncateSync(path, size - 1),
        new RegExp(`^BACKUPCORRUPT .*has ${size - 1} bytes instead of ${size}`),
      ],
      [
        'longer',
        () => appendFileSync(path, 'x'),
        new RegExp(`^BACKUPCORRUPT .*has ${size + 1} bytes instead of ${size}`),
      ],
      ['empty', () => truncateSync(path, 0), new RegExp(`^BACKUPCORRUPT .*has 0 bytes instead of ${size}`)],
      ['missing', () => rmSync(path), /^BACKUPINCOMPLETE backup 2: 1 missing: .*is missing/],
    ];
    for (const [what, harm, message] of cases) {
      harm();
      for (const mode of ['QUICK', 'FULL', 'DEEP']) {
        await t.rejects(client.call('ADMIN.BACKUP', 'VERIFY', '2', mode), { message }, `${what} ${mode}`);
      }
      await t.rejects(client.call('ADMIN.BACKUP', 'RESTORE', '2'), { message }, `${what} is refused`);
      writeFileSync(path, whole);
      await admin(client, 'VERIFY', 2);
    }
    writeFileSync(join(repository, 'files', 'surplus'), 'not ours');
    writeFileSync(join(repository, 'backups', 'README.txt'), 'not ours');
    writeFileSync(join(repository, 'backups', '9.json'), '{}');
    t.equal((await admin<unknown[]>(client, 'VERIFY', 'ALL')).length, 2, 'what is not ours is passed over');
    t.equal((await list(client)).total, 2);
    await server.stop();
  },
);

t.test(
  'C8, E3: several failures at once: incomplete before corrupt, all counted; the manifest before both',
  async (t) => {
    const { server, client, repository } = await prepared(t);
    const all = await files(client, 2);
    const [first, second, third] = all as [FileInfo, FileInfo, FileInfo];
    flipBit(objectPath(repository, first.sha256), 0);
    rmSync(objectPath(repository, second.sha256));
    rmSync(objectPath(repository, third.sha256));
    await t.rejects(client.call('ADMIN.BACKUP', 'VERIFY', '2'), {
      message: /^BACKUPINCOMPLETE backup 2: 2 missing, 1 damaged: /,
    });
    await t.rejects(client.call('ADMIN.BACKUP', 'RESTORE', '2'), {
      message: new RegExp(`^BACKUPINCOMPLETE backup 2: 2 missing.*${second.name}.*${third.name}`),
    });
    t.match((await list(client)).backups[0], { id: 2, status: 'incomplete' });
    flipBit(manifestPath(repository, 2), 40);
    await t.rejects(client.call('ADMIN.BACKUP', 'VERIFY', '2'), { message: /^BACKUPMANIFEST / });
    await t.rejects(client.call('ADMIN.BACKUP', 'RESTORE', '2'), { message: /^BACKUPMANIFEST / });
    t.match(await admin(client, 'INFO', 2), { id: 2, status: 'corrupt', type: null, reason: /SHA-256/ });
    await server.stop();
  },
);

t.test(
  'C12, E4: an edited manifest fails, also one whose own hash was made to fit; one damaged entry hides no other',
  async (t) => {
    const { server, client, repository } = await prepared(t);
    const path = manifestPath(repository, 2);
    const whole = readFileSync(path, 'utf8');
    const edits: [string, string][] = [
      ['time', whole.replace(/"timestamp": "20/, '"timestamp": "19')],
      ['size', whole.replace(/"size": (\d)/, '"size": 9$1')],
      ['list', whole.replace(/"sha256": "(.)/, (_, digit) => `"sha256": "${digit === '0' ? '1' : '0'}`)],
      ['parent', whole.replace('"parent": null', '"parent": 1')],
      ['truncated', whole.slice(0, -20)],
      ['empty', ''],
      ['another backup', readFileSync(manifestPath(repository, 1), 'utf8')],
      ['garbage', 'x'.repeat(100)],
    ];
    for (const [what, text] of edits) {
      writeFileSync(path, text);
      t.equal(await codeOf(client, 'VERIFY', '2', 'QUICK'), 'BACKUPMANIFEST', what);
      t.equal(await codeOf(client, 'RESTORE', '2'), 'BACKUPMANIFEST', what);
      const listed: Listed = await list(client);
      t.same(
        listed.backups.map(({ id, status }) => [id, status]),
        [
          [2, 'corrupt'],
          [1, 'complete'],
        ],
        what,
      );
      t.equal(listed.latest, 1, what);
    }
    // An attacker who knows the format: hash of the document made to fit. The state remembers the one that was written.
    const { createHash } = await import('node:crypto');
    const zeros = '0'.repeat(64);
    const forged = whole
      .replace('"label": null', '"label": "forged"')
      .replace(/"self_sha256": "[0-9a-f]{64}"/, `"self_sha256": "${zeros}"`);
    const hash = createHash('sha256').update(forged).digest('hex');
    writeFileSync(path, forged.replace(zeros, hash));
    t.equal(await codeOf(client, 'VERIFY', '2', 'QUICK'), 'BACKUPMANIFEST', 'forged');
    const future = whole
      .replace('"format": 1', '"format": 2')
      .replace(/"self_sha256": "[0-9a-f]{64}"/, `"self_sha256": "${zeros}"`);
    writeFileSync(path, future.replace(zeros, createHash('sha256').update(future).digest('hex')));
    await t.rejects(
      client.call('ADMIN.BACKUP', 'VERIFY', '2'),
      { message: /^BACKUPMANIFEST .*format 2/ },
      'a newer format',
    );
    writeFileSync(path, whole);
    t.match(await admin(client, 'VERIFY', 2), { status: 'VALID' });
    await server.stop();
  },
);

t.test('VERIFY ALL checks every backup, then names every bad id in one error', async (t) => {
  const { server, client, repository } = await prepared(t);
  await client.set('x', '1');
  await admin(client, 'CREATE');
  await admin(client, 'CREATE');
  flipBit(manifestPath(repository, 1), 40);
  rmSync(objectPath(repository, (await table(client, 2)).sha256));
  await t.rejects(client.call('ADMIN.BACKUP', 'VERIFY', 'ALL'), {
    message: /^BACKUPMANIFEST 4 of 4 backups are not valid \(1 BACKUPMANIFEST, 3 BACKUPINCOMPLETE\): 1, 2, 3, 4/,
  });
  t.match(await list(client), { latest: null, total: 4 });
  for (const words of [
    ['RESTORE', 'LATEST'],
    ['VERIFY', 'LATEST'],
    ['INFO', 'LATEST'],
  ]) {
    await t.rejects(client.call('ADMIN.BACKUP', ...words), {
      message: /^BACKUPNOTFOUND none of the 4 backups is complete/,
    });
  }
  // Nothing that could still help is taken away: damaged ones neither count nor go.
  t.match(await admin(client, 'PRUNE', 'MAXCOUNT', 1), { deleted: [], kept: [1, 2, 3, 4] });
  t.match(await admin(client, 'CREATE'), { id: 5, status: 'complete' });
  t.match(await admin(client, 'VERIFY', 5, 'DEEP'), { status: 'VALID' });
  await server.stop();
});

t.test('a pipe in the place of an object makes its backup corrupt, however it is looked at', async (t) => {
  const server = await startServer(t);
  const client = await server.client();
  await client.set('key', 'value');
  const repository = join(server.dir, 'backups');
  await admin(client, 'CREATE');
  const { files_list: files } = await admin<{ files_list: { name: string; sha256: string }[] }>(client, 'INFO', 1);
  const path = objectPath(repository, files.find(({ name }) => name === 'CURRENT')?.sha256 as string);
  renameSync(path, `${path}.away`);
  execFileSync('mkfifo', [path]);
  for (const mode of ['QUICK', 'FULL', 'DEEP']) {
    await t.rejects(client.call('ADMIN.BACKUP', 'VERIFY', '1', mode), {
      message: /^BACKUPCORRUPT .*not a regular file/,
    });
    t.match((await list(client, 'STATUS', 'all')).backups, [{ id: 1, status: 'corrupt', verify_status: 'invalid' }]);
    rmSync(path);
    renameSync(`${path}.away`, path);
    t.match(await admin(client, 'VERIFY', 1), { status: 'VALID' });
    renameSync(path, `${path}.away`);
    execFileSync('mkfifo', [path]);
  }
  await server.stop();
});

t.test('a shared object that is damaged marks every backup that shares it; a new full stores it again', async (t) => {
  const { server, client, repository } = await prepared(t);
  await admin(client, 'CREATE');
  const shared = await table(client, 2);
  t.ok(
    (await files(client, 3)).some(({ sha256 }) => sha256 === shared.sha256),
    'backups 2 and 3 share it',
  );
  flipBit(objectPath(repository, shared.sha256), shared.size >> 1);
  t.equal(await codeOf(client, 'VERIFY', '2'), 'BACKUPCORRUPT');
  t.same(
    (await list(client)).backups.map(({ id, status }) => [id, status]),
    [
      [3, 'corrupt'],
      [2, 'corrupt'],
      [1, 'complete'],
    ],
  );
  t.match(await admin(client, 'CREATE', 'VERIFY'), { id: 4, status: 'complete' });
  t.equal((await admin<unknown[]>(client, 'VERIFY', 'ALL', 'DEEP')).length, 4, 'all are whole again');
  await server.stop();
});

t.test(
  'damage nobody has looked for yet is found by RESTORE, which marks the backup and touches nothing',
  async (t) => {
    const { server, client, repository, content } = await prepared(t);
    const { sha256, size } = await table(client, 2);
    flipBit(objectPath(repository, sha256), size >> 1);
    t.match(await list(client), { latest: 2 });
    t.equal(await codeOf(client, 'RESTORE', 'LATEST'), 'BACKUPCORRUPT');
    t.same(await dump(client), content);
    t.match(await list(client), { latest: 1 }, 'the next LATEST is the good one before');
    t.match(await admin(client, 'RESTORE', 'LATEST'), { id: 1 });
    await server.stop();
  },
);

t.test('lost states, next_id, latest and timelines cost nothing but the pin that nobody can rule out', async (t) => {
  const { server, client, repository } = await prepared(t);
  rmSync(statePath(repository, 1));
  for (const name of ['next_id', 'latest', 'timelines/1.json']) rmSync(join(repository, name));
  t.match(await admin(client, 'INFO', 1), { status: 'complete', pinned: 1 });
  await t.rejects(client.call('ADMIN.BACKUP', 'VERIFY', 'ALL'), {
    message: /^BACKUPMANIFEST the state states\/00000001.json is missing; .* pinned; timelines\/1.json is missing\. /,
  });
  t.equal((await list(client)).latest, 2, 'both backups are whole');
  t.match(await admin(client, 'CREATE'), { id: 3 }, 'no id is given twice');
  t.equal(readFileSync(join(repository, 'latest'), 'utf8').trim(), '3');
  await t.rejects(client.call('ADMIN.BACKUP', 'DELETE', '1', 'FORCE'), { message: /^BACKUPINUSE .*pinned/ });
  await client.call('ADMIN.BACKUP', 'UNPIN', '1');
  t.match(await admin(client, 'DELETE', 1), { deleted: [1] });
  await server.stop();
});

t.test('a repository brought back from a copy, and one whose disk went away, are seen without a restart', async (t) => {
  const { server, client, repository } = await prepared(t);
  const copy = join(server.dir, 'copy');
  cpSync(repository, copy, { recursive: true });
  rmSync(join(repository, 'backups'), { recursive: true });
  t.match(await list(client), { total: 0, latest: null });
  await t.rejects(client.call('ADMIN.BACKUP', 'RESTORE', 'LATEST'), { message: /^BACKUPNOTFOUND / });
  cpSync(join(copy, 'backups'), join(repository, 'backups'), { recursive: true });
  t.match(await list(client), { total: 2, latest: 2 });
  rmSync(repository, { recursive: true });
  await t.rejects(client.call('ADMIN.BACKUP', 'LIST'), { message: /^BACKUPFAILED .*is gone/ });
  await t.rejects(client.call('ADMIN.BACKUP', 'CREATE'), { message: /^BACKUPFAILED .*is gone/ });
  t.equal(await client.get('key:1'), 'value:1', 'data is served all the same');
  t.match(await client.info('backup'), /backup_last_status:err\r\nbackup_last_error:BACKUPFAILED /);
  await server.stop();
});

t.test(
  'E6: what a verification found is kept with its date over a restart, and shown by LIST, INFO and STATUS',
  async (t) => {
    const { server, client, repository } = await prepared(t);
    const beganAt = new Date().toISOString();
    const { sha256 } = await table(client, 2);
    await admin(client, 'VERIFY', 1, 'DEEP');
    flipBit(objectPath(repository, sha256), 7);
    await t.rejects(client.call('ADMIN.BACKUP', 'VERIFY', '2'), { message: /^BACKUPCORRUPT / });
    await server.stop();

    const again = await startServer(t, { dir: server.dir });
    const later = await again.client();
    const [second, first] = (await list(later)).backups as unknown as Record<string, unknown>[];
    t.match(second, { id: 2, status: 'corrupt', verify_status: 'invalid' });
    t.match(first, { id: 1, status: 'complete', verify_status: 'valid' });
    for (const backup of [first, second]) t.ok(String(backup?.verified_at) > beganAt, String(backup?.verified_at));
    const { verifications } = await admin<{ verifications: { mode: string; status: string; at?: string }[] }>(
      later,
      'INFO',
      1,
    );
    t.match(verifications, [{ mode: 'DEEP', status: 'valid', files_failed: 0 }]);
    t.match(await admin(later, 'STATUS'), {
      last_operation: 'verify',
      last_status: 'err',
      last_error: /^BACKUPCORRUPT /,
    });
    t.match(await later.info('backup'), /backup_last_verify_status:err\r\n/);
    t.match(await later.info('backup'), /backup_last_verify_time:[1-9]\d{9}\r\n/);
    await again.stop();
  },
);
