/**
 * ADMIN.BACKUP as scripts see it: every subcommand's fields, their order and types in RESP2, RESP3 and FORMAT JSON; labels,
 * filters, SAVE and its kin, INFO, and what is refused with which words.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createClient } from 'redis';
import t, { type Test } from 'tap';
import { lookup } from '../../src/commands/spec.js';
import { type Answer, admin, list } from '../support/admin.js';
import { type Server, startServer } from '../support/built-server.js';
import { isInstalled } from '../support/processes.js';
import { manifestPath } from '../support/repository-files.js';
import type { Wire } from '../support/resp.js';
import { multibulk } from '../support/resp.js';
import { RawClient } from '../support/server.js';
import { waitFor } from '../support/wait.js';

const TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z$/;

async function raw(t: Test, server: Server, resp3 = false): Promise<RawClient> {
  const client = await RawClient.connect(server.port);
  t.teardown(() => client.close());
  if (resp3) {
    client.send(multibulk('HELLO', '3'));
    await client.next();
  }
  return client;
}

async function ask(client: RawClient, ...words: string[]): Promise<Wire> {
  client.send(multibulk('ADMIN.BACKUP', ...words));
  const wire = await client.next();
  if (wire === null) throw new Error('the connection was closed');
  return wire;
}

/** Field names in order, from a flat array (RESP2) or a map (RESP3). */
function fieldNames(wire: Wire): string[] {
  if (wire.type !== 'array' && wire.type !== 'map') throw new Error(`no structure: ${JSON.stringify(wire)}`);
  return wire.items.filter((_, at) => at % 2 === 0).map((item) => (item as { text: string }).text);
}

function fields(word: string): readonly string[] {
  const names = lookup(`admin.backup|${word}`)?.replyFields;
  if (names === undefined) throw new Error(`protocol/ names no fields for ${word}`);
  return names;
}

/** Each value's type on the wire must be what protocol/ says of the field. */
function checkTypes(t: Test, word: string, wire: Wire, nullType: string): void {
  if (wire.type !== 'array' && wire.type !== 'map') throw new Error('no structure');
  const path = (name: string) => join(process.cwd(), 'protocol', name);
  const shared = JSON.parse(readFileSync(path('structures.json'), 'utf8'));
  const spec = JSON.parse(readFileSync(path(`commands/admin.backup.${word}.json`), 'utf8'));
  const types = [...(spec.reply.structure ? shared[spec.reply.structure] : []), ...(spec.reply.fields ?? [])] as {
    name: string;
    type: string;
  }[];
  for (const [at, { name, type }] of types.entries()) {
    const value = wire.items[at * 2 + 1] as Wire;
    const label = `${word} ${name}: ${type}`;
    if (value.type === nullType) t.match(type, /or null/, label);
    else if (/^(integer|0 or 1)/.test(type)) t.equal(value.type, 'integer', label);
    else if (/^array/.test(type)) t.equal(value.type, 'array', label);
    else if (/^map/.test(type)) t.equal(value.type, wire.type, label);
    else t.equal(value.type, 'bulk', label);
    if (/^time/.test(type) && value.type === 'bulk') t.match((value as { text: string }).text, TIME, label);
  }
}

t.test(
  'every subcommand answers the fields of the contract, in order and type, in RESP2, RESP3 and JSON',
  async (t) => {
    const server = await startServer(t);
    const client = await server.client();
    await client.set('a', '1');
    const two = await raw(t, server);
    const three = await raw(t, server, true);

    const calls: [string, ...string[]][] = [
      ['create', 'LABEL', 'x', 'VERIFY'],
      ['info', 'LATEST'],
      ['verify', 'LATEST', 'DEEP'],
      ['restore', '1', 'DRYRUN'],
      ['restore', 'LATEST'],
      ['restore', 'PREVIOUS', 'DRYRUN'],
      ['restore', 'PREVIOUS'],
      ['prune', 'MAXCOUNT', '100'],
      ['status'],
      ['status', '1'],
    ];
    for (const [word, ...rest] of calls) {
      const flat = await ask(two, word, ...rest);
      t.equal(flat.type, 'array', `${word} ${rest.join(' ')} is a flat array in RESP2`);
      t.same(fieldNames(flat), fields(word), `${word} ${rest.join(' ')}`);
      checkTypes(t, word, flat, 'null bulk');
      const map = await ask(three, word, ...rest);
      t.equal(map.type, 'map', `${word} ${rest.join(' ')} is a map in RESP3`);
      t.same(fieldNames(map), fields(word));
      checkTypes(t, word, map, 'null');
      const text = await ask(two, word, ...rest, 'FORMAT', 'JSON');
      t.equal(text.type, 'bulk', 'JSON is a bulk string in RESP2');
      t.same(Object.keys(JSON.parse((text as { text: string }).text)), fields(word));
      const verbatim = await ask(three, word, ...rest, 'format', 'json');
      t.equal(verbatim.type, 'verbatim', 'and a verbatim string in RESP3');
      t.match((verbatim as { text: string }).text, /^txt:\{/);
    }

    for (const reader of [two, three]) {
      const to = await ask(reader, 'RESTORE', '1', 'TO', `drill-${reader === two ? 2 : 3}`);
      t.same(fieldNames(to), fields('restore'));
      const structure = reader === two ? 'array' : 'map';
      for (const [word, ...rest] of [['LIST'], ['LIST', 'STATUS', 'all'], ['VERIFY', 'ALL']] as string[][]) {
        const answer = await ask(reader, word as string, ...(rest as string[]));
        t.equal(answer.type, 'array');
        const items = (answer as { items: Wire[] }).items;
        t.ok(items.length >= 3);
        for (const item of items) {
          t.equal(item.type, structure);
          t.same(fieldNames(item), fields((word as string).toLowerCase()));
          checkTypes(t, (word as string).toLowerCase(), item, reader === two ? 'null bulk' : 'null');
        }
      }
      const deleted = await ask(reader, 'DELETE', reader === two ? '2' : '3');
      t.same(fieldNames(deleted), fields('delete'));
      checkTypes(t, 'delete', deleted, 'null');
      for (const word of ['PIN', 'UNPIN']) {
        t.same(await ask(reader, word, '1'), { type: 'simple', text: 'OK' });
        t.same(await ask(reader, word, '1'), { type: 'simple', text: 'OK' }, `${word} is idempotent`);
      }
      const help = (await ask(reader, 'HELP')) as { type: string; items: Wire[] };
      t.equal(help.type, 'array');
      t.ok(help.items.every((line) => line.type === 'simple' || line.type === 'bulk'));
    }

    const json = await admin<{ backups: Answer[]; total: number; latest: number }>(client, 'LIST', 'LIMIT', 1);
    t.same(Object.keys(json), ['backups', 'total', 'latest']);
    t.match(json, { backups: [{ id: json.latest }] });
    t.ok(json.total > 1, 'total counts before LIMIT');
    await server.stop();
  },
);

t.test('node-redis reads maps with RESP 3 as objects, ioredis reads JSON', async (t) => {
  const server = await startServer(t);
  const client = createClient({ socket: { port: server.port, host: '127.0.0.1' }, RESP: 3 });
  client.on('error', () => {});
  await client.connect();
  t.teardown(() => client.destroy());
  await client.set('a', '1');
  const created = (await client.sendCommand(['ADMIN.BACKUP', 'CREATE', 'LABEL', 'from node-redis'])) as unknown;
  const entries = created instanceof Map ? Object.fromEntries(created) : (created as Answer);
  t.match(entries, { id: 1, type: 'full', status: 'complete', label: 'from node-redis', pruned: [] });
  const io = await server.client();
  const info = await admin<{ checksum: string; files_list: { sha256: string }[] }>(io, 'INFO', 1);
  const bytes = readFileSync(manifestPath(join(server.dir, 'backups'), 1));
  t.equal(info.checksum, `sha256:${createHash('sha256').update(bytes).digest('hex')}`, 'sha256sum of the manifest');
  t.equal(readFileSync(join(server.dir, 'backups', 'latest'), 'utf8').trim(), '1');
  await server.stop();
});

t.test(
  'redis-cli --json and FORMAT JSON say the same, and -e makes an error an exit code',
  { skip: isInstalled('redis-cli') ? false : 'redis-cli is not installed' },
  async (t) => {
    const server = await startServer(t);
    await (await server.client()).set('a', '1');
    t.equal((await server.redisCli('ADMIN.BACKUP', 'CREATE')).code, 0);
    const ours = await server.redisCli('ADMIN.BACKUP', 'LIST', 'FORMAT', 'JSON');
    const theirs = await server.redisCli('-3', '--json', 'ADMIN.BACKUP', 'LIST');
    t.same(JSON.parse(theirs.stdout), JSON.parse(ours.stdout).backups);
    t.equal((await server.redisCli('ADMIN.BACKUP', 'VERIFY', '99')).code, 1);
    await server.stop();
  },
);

t.test('A16: labels are kept as they are or refused; they never become a path or break a reply', async (t) => {
  const server = await startServer(t);
  const client = await server.client();
  await client.set('a', '1');
  const kept = [
    '',
    'x'.repeat(256),
    'é'.repeat(128),
    '🪨 cairn',
    '../x',
    '/etc/passwd',
    '"quoted" \\ \'',
    'FULL',
    '%s%n',
  ];
  for (const label of kept) {
    const { id } = await admin<{ id: number }>(client, 'CREATE', 'LABEL', label);
    t.equal((await admin<{ label: string }>(client, 'INFO', id)).label, label, JSON.stringify(label));
  }
  const refused: (string | Buffer)[] = [
    'x'.repeat(257),
    `${'é'.repeat(128)}x`,
    'a\r\nb',
    'a\0b',
    'a\x7fb',
    '\t',
    'x'.repeat(65536),
  ];
  refused.push(Buffer.from([0x61, 0xff]), 'a\u0085b');
  for (const label of refused) {
    await t.rejects(
      client.call('ADMIN.BACKUP', 'CREATE', 'LABEL', label),
      { message: /^ERR [^\r\n]*$/ },
      JSON.stringify(label).slice(0, 40),
    );
  }
  t.equal((await list(client)).total, kept.length, 'a refused one is not listed');
  t.equal(await client.ping(), 'PONG');
  await server.stop();
});

t.test('LIST filters by type, status, label and time, and pages; bare dates mean whole days', async (t) => {
  const server = await startServer(t);
  const client = await server.client();
  await client.set('a', '1');
  for (const label of ['nightly-1', 'nightly-2', 'before upgrade']) await admin(client, 'CREATE', 'LABEL', label);
  const all = (await admin<{ backups: { id: number; timestamp: string }[] }>(client, 'LIST')).backups;
  const at = new Map(all.map(({ id, timestamp }) => [id, timestamp]));
  const time = (id: number): string => at.get(id) as string;
  const ids = async (...words: (string | number)[]) => (await list(client, ...words)).backups.map(({ id }) => id);

  t.same(await ids(), [3, 2, 1], 'newest first');
  t.same(await ids('TYPE', 'full'), [3, 2, 1]);
  t.same(await ids('type', 'INCREMENTAL'), []);
  t.same(await ids('STATUS', 'complete'), [3, 2, 1]);
  t.same(await ids('STATUS', 'corrupt'), []);
  t.same(await ids('STATUS', 'running'), []);
  t.same(await ids('STATUS', 'all'), [3, 2, 1]);
  t.same(await ids('LABEL', 'nightly-*'), [2, 1]);
  t.same(await ids('LABEL', 'nightly-[2-9]'), [2]);
  t.same(await ids('LABEL', 'NIGHTLY-*'), [], 'as Redis globs, case counts');
  t.same(await ids('SINCE', time(2)), [3, 2], 'SINCE is inclusive');
  t.same(await ids('UNTIL', time(2)), [2, 1], 'UNTIL is inclusive');
  t.same(await ids('BEFORE', time(2)), [2, 1], 'BEFORE is inclusive');
  t.same(await ids('SINCE', time(2), 'UNTIL', time(2)), [2]);
  const day = time(1).slice(0, 10);
  t.same(await ids('SINCE', day), [3, 2, 1]);
  t.same(await ids('UNTIL', time(3).slice(0, 10)), [3, 2, 1], 'a bare date as UNTIL means its last microsecond');
  t.same(await ids('BEFORE', time(3).slice(0, 10)), [3, 2, 1]);
  t.same(await ids('UNTIL', '2020-01-01'), []);
  t.same(await ids('SINCE', String(Date.parse(time(2)) + 1)), [3], 'an epoch in ms');
  t.same(await ids('LIMIT', 2), [3, 2]);
  t.same(await ids('OFFSET', 1, 'LIMIT', 1), [2]);
  t.same(await ids('OFFSET', 9), []);
  t.same(await ids('LIMIT', 0), [3, 2, 1], '0 means no limit');
  t.match(await list(client, 'LABEL', 'nightly-*', 'LIMIT', 1), { total: 2, latest: 3 });
  await server.stop();
});

t.test('SAVE, BGSAVE and LASTSAVE speak as Redis does', async (t) => {
  const server = await startServer(t);
  const client = await server.client();
  await client.set('a', '1');
  t.equal(await client.lastsave(), 0, 'never');
  t.equal(await client.save(), 'OK');
  t.match(await admin(client, 'INFO', 1), { type: 'full', label: null, trigger: { command: 'SAVE' } });
  const saved = await client.lastsave();
  t.ok(Math.abs(saved - Date.now() / 1000) < 30);
  t.equal(await client.bgsave(), 'Background saving started');
  await admin(client, 'WAIT', 2);
  t.equal(await client.call('BGSAVE', 'SCHEDULE'), 'Background saving started');
  await admin(client, 'WAIT', 3);
  await t.rejects(client.call('BGSAVE', 'NOW'), { message: /^ERR syntax error/ });
  t.match(await admin(client, 'STATUS', 3), { last_operation: 'create', last_status: 'ok' });
  await server.stop();
});

t.test('INFO has the backup and persistence fields that scripts and monitors look at', async (t) => {
  const server = await startServer(t);
  const client = await server.client();
  const parse = (text: string): Record<string, string> =>
    Object.fromEntries(
      text
        .split('\r\n')
        .filter((line) => line.includes(':'))
        .map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]),
    );
  const names =
    'backup_in_progress backup_operation backup_last_status backup_last_error backup_last_success_time ' +
    'backup_last_failure_time backup_last_duration_ms backup_count backup_repository_bytes backup_same_device ' +
    'backup_last_verify_time backup_last_verify_status recovery_window_from recovery_window_to recovery_gaps ' +
    'wal_archive_lag_ms wal_archive_lag_commits timeline last_restore_time last_restore_duration_ms';
  const before = parse(await client.info('backup'));
  t.same(Object.keys(before).slice(0, 20), names.split(' '));
  t.match(before, { backup_in_progress: '0', backup_last_status: 'none', backup_last_success_time: '0' });
  t.match(before, { backup_count: '0', timeline: '1', last_restore_time: '0', backup_last_verify_status: 'none' });
  t.equal(before.backup_same_device, '1', 'repository and data share a disk here');
  t.match(server.stderr(), /share the disk/, 'and the server warned once');

  await client.set('a', '1');
  await admin(client, 'CREATE');
  await admin(client, 'VERIFY', 1);
  await admin(client, 'RESTORE', 1);
  const after = parse(await client.info('backup'));
  t.match(after, { backup_last_status: 'ok', backup_last_error: '', backup_count: '1', timeline: '2' });
  t.match(after, { backup_last_verify_status: 'ok', backup_last_failure_time: '0' });
  const now = Date.now() / 1000;
  for (const name of ['backup_last_success_time', 'backup_last_verify_time', 'last_restore_time']) {
    t.ok(Math.abs(Number(after[name]) - now) < 60, `${name} is unix seconds`);
  }
  t.ok(Number(after.backup_repository_bytes) > 1000);
  const persistence = parse(await client.info('persistence'));
  t.match(persistence, { loading: '0', loading_eta_seconds: '0', rdb_bgsave_in_progress: '0' });
  t.match(persistence, { rdb_last_bgsave_status: 'ok' });
  t.equal(Number(persistence.rdb_last_save_time), await client.lastsave());
  const everything = await client.info();
  t.match(everything, /# Backup\r\n/);
  await server.stop();
});

t.test('errors have the codes and the wording that clients match on', async (t) => {
  const server = await startServer(t);
  const client = await server.client();
  await client.set('a', '1');
  await admin(client, 'CREATE');
  const refused = (message: RegExp, ...words: string[]) =>
    t.rejects(client.call('ADMIN.BACKUP', ...words), { message }, words.join(' '));

  await refused(/^ERR unknown subcommand 'NOPE'\. Try ADMIN\.BACKUP HELP\.$/, 'NOPE');
  await refused(/^ERR wrong number of arguments for 'admin\.backup\|info' command$/, 'INFO');
  await refused(/^ERR wrong number of arguments for 'admin\.backup\|restore' command$/, 'RESTORE');
  await t.rejects(client.call('ADMIN.BACKUP'), {
    message: /^ERR wrong number of arguments for 'admin\.backup' command$/,
  });
  await refused(/^ERR syntax error/, 'CREATE', 'FULL', 'AUTO');
  await refused(/^ERR syntax error/, 'CREATE', 'FULL', 'FULL');
  await refused(/^ERR syntax error/, 'CREATE', 'LABEL', 'a', 'LABEL', 'b');
  await refused(/^ERR syntax error/, 'CREATE', 'LABEL');
  await refused(/^ERR syntax error/, 'LIST', 'LIMIT', '1', 'LIMIT', '2');
  await refused(/^ERR syntax error/, 'LIST', 'STATUS', 'fine');
  await refused(/^ERR syntax error/, 'RESTORE', 'PREVIOUS', 'TO', 'x');
  await refused(/^ERR syntax error/, 'VERIFY', '1', 'QUICK', 'DEEP');
  await refused(/^ERR syntax error/, 'LIST', 'FORMAT', 'XML');
  await refused(/^BACKUPTYPE .*'WEEKLY'/, 'CREATE', 'WEEKLY');
  await refused(/^BACKUPTYPE /, 'LIST', 'TYPE', 'weekly');
  for (const id of ['0', '-1', '1.5', '1e3', '007', 'abc', '9007199254740993', '']) {
    await refused(/^ERR value is not an integer or out of range/, 'INFO', id);
    await refused(/^ERR value is not an integer or out of range/, 'DELETE', id);
  }
  for (const word of ['INFO', 'VERIFY', 'RESTORE', 'DELETE', 'PIN', 'UNPIN', 'STATUS', 'WAIT']) {
    await refused(/^BACKUPNOTFOUND .*99/, word, '99');
  }
  await refused(/^ERR no backup operation is running$/, 'CANCEL');
  await refused(/^ERR no backup operation is running$/, 'CANCEL', '1');
  await refused(/^ERR .*not a time/, 'LIST', 'SINCE', 'yesterday');
  await refused(/^ERR .*not a time/, 'LIST', 'UNTIL', '2026-02-30');
  await refused(/^ERR .*not a duration/, 'PRUNE', 'MAXAGE', '7');
  await refused(/^ERR .*not a duration/, 'PRUNE', 'MAXAGE', '-1d');
  await refused(/^ERR value is not an integer/, 'PRUNE', 'MAXCOUNT', '-1');
  await refused(/^ERR .*not a time/, 'WAIT', '1', 'soon');
  await refused(/^RESTOREFAILED .*no previous/, 'RESTORE', 'PREVIOUS');
  await refused(/^RESTOREFAILED .*timeline is 1, not 2/, 'RESTORE', '1', 'IFTIMELINE', '2');
  await refused(/^ERR there is|^ERR the repository/, 'ADOPTREPO', 'nonsense');
  t.equal((await list(client)).total, 1);
  await server.stop();
});

t.test('backups inside a transaction are refused when they are queued, and the EXEC is aborted', async (t) => {
  const server = await startServer(t);
  const client = await server.client();
  for (const words of [
    ['ADMIN.BACKUP', 'CREATE'],
    ['ADMIN.BACKUP', 'LIST'],
    ['ADMIN.BACKUP', 'RESTORE', '1'],
    ['SAVE'],
    ['BGSAVE'],
  ]) {
    await client.call('MULTI');
    await t.rejects(client.call(words[0] as string, ...words.slice(1)), {
      message: /^ERR Command not allowed inside a transaction/,
    });
    await t.rejects(client.call('EXEC'), { message: /^EXECABORT / });
  }
  t.equal((await list(client)).total, 0);
  await server.stop();
});

t.test('CREATE VERIFY and backup.verify_after_create list only what was verified', async (t) => {
  const server = await startServer(t);
  const client = await server.client();
  await client.set('a', '1');
  t.match(await admin(client, 'CREATE', 'VERIFY'), { status: 'complete', verify_status: 'valid' });
  t.match(await admin(client, 'CREATE'), { verify_status: 'never', verified_at: null });
  await client.call('CONFIG', 'SET', 'backup.verify_after_create', 'yes');
  t.match(await admin(client, 'CREATE', 'PIN'), { verify_status: 'valid', pinned: 1 });
  t.match(await admin(client, 'CREATE', 'AUTO'), { type: 'incremental', parent: 3, verify_status: 'valid' });
  await admin(client, 'VERIFY', 2, 'QUICK');
  t.match(await admin(client, 'INFO', 2), { verify_status: 'never' }, 'QUICK does not count as verified');
  await waitFor(async () => (await list(client)).total === 4, { what: 'four backups' });
  await server.stop();
});
