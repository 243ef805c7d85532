/**
 * The roles of docs/security.md, each set up by the very line that stands there, on the built server with a file of users
 * and over a restart: what the role is for works, and nothing else does.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { allSpecs } from '../../src/commands/spec.js';
import { type Server, startServer } from '../support/built-server.js';
import { scratch } from '../support/scratch.js';
import { RawClient } from '../support/server.js';

const page = readFileSync(join(process.cwd(), 'docs', 'security.md'), 'utf8');
const lines = [...page.matchAll(/^ACL SETUSER .*$/gm)].map(([line]) => line.split(' '));
const secret = 'f00d';

t.test('the page has the roles that are tested here', async (t) => {
  t.same(lines.map(([, , name]) => name).sort(), ['admin', 'app', 'backup', 'default', 'monitor', 'restore']);
});

/** A server whose only users are those of the page: set up, saved, and started again on the file. */
async function withRoles(t: Test): Promise<{ server: Server; as(user: string): Promise<RawClient> }> {
  const aclfile = join(scratch(t), 'users.acl');
  writeFileSync(aclfile, '');
  const dir = scratch(t);
  const args = ['--set', `aclfile=${aclfile}`];
  const first = await startServer(t, { dir, args });
  const setUp = await RawClient.connect(first.port);
  for (const words of lines) {
    t.equal(await setUp.ask(...words.map((word) => word.replace('SECRET', secret))), 'OK', words.join(' '));
  }
  t.equal(await setUp.ask('MSET', 'app:1', 'one', 'other:1', 'two'), 'OK');
  t.equal(await setUp.ask('ACL', 'SAVE'), 'OK');
  setUp.close();
  await first.stop();
  t.notMatch(readFileSync(aclfile, 'utf8'), secret);
  const server = await startServer(t, { dir, args });
  return {
    server,
    async as(user) {
      const client = await RawClient.connect(server.port);
      t.teardown(() => client.close());
      t.equal(await client.ask('PING'), '-NOAUTH Authentication required.', 'the default user is off');
      t.equal(await client.ask('AUTH', user, secret), 'OK', user);
      return client;
    },
  };
}

/** What nobody but an administrator may do, in any role. */
const administration = [
  'CONFIG SET backup.retention.max_count 1',
  'CONFIG SET requirepass x',
  'CONFIG GET *',
  'CONFIG REWRITE',
  'ACL SETUSER backup +@all',
  'ACL SETUSER default on nopass +@all',
  'ACL DELUSER app',
  'ACL LOAD',
  'ACL SAVE',
  'ACL LIST',
  'ACL LOG',
  'ACL DRYRUN admin GET a',
  'SHUTDOWN NOSAVE',
  'SAVE',
  'BGSAVE',
  'FLUSHALL',
  'FLUSHDB',
  'CLIENT LIST',
  'CLIENT KILL TYPE normal',
  'CLIENT PAUSE 1000',
  'SLOWLOG GET',
  'MONITOR',
  'SWAPDB 0 1',
  'ADMIN.READONLY ON',
  'ADMIN.READONLY OFF',
  'ADMIN.BACKUP DELETE 1 FORCE',
  'ADMIN.BACKUP PRUNE MAXCOUNT 1',
  'ADMIN.BACKUP PIN 1',
  'ADMIN.BACKUP UNPIN 1',
  'ADMIN.BACKUP TAG mine',
  'ADMIN.BACKUP UNTAG mine',
  'ADMIN.BACKUP ADOPTREPO x',
];
const data = [
  ...['GET app:1', 'SET app:1 x', 'DEL app:1', 'KEYS *', 'SCAN 0', 'RANDOMKEY', 'DUMP app:1', 'RESTORE app:2 0 x'],
  ...['EXISTS app:1', 'TYPE app:1', 'COPY app:1 app:2', 'SORT app:1', 'WATCH app:1', 'MULTI', 'SELECT 1'],
  ...['OBJECT ENCODING app:1', 'MEMORY USAGE app:1', 'COMMAND GETKEYS GET a'],
];

async function refusesAll(t: Test, client: RawClient, requests: readonly string[]): Promise<void> {
  for (const request of requests) {
    t.match(await client.ask(...request.split(' ')), /^-NOPERM this user has no permissions/, request);
  }
  t.equal(await client.ask('RESET'), 'RESET');
  t.equal(await client.ask('GET', 'app:1'), '-NOAUTH Authentication required.', 'RESET is no way out');
}

async function answersAll(t: Test, client: RawClient, requests: readonly string[]): Promise<void> {
  for (const request of requests) {
    const reply = await client.ask(...request.split(' '));
    t.notMatch(JSON.stringify(reply), /^"-/, `${request}: ${JSON.stringify(reply).slice(0, 200)}`);
  }
}

t.test(
  'a backup operator creates, lists and verifies; neither reads keys nor restores, nor gets at settings',
  async (t) => {
    const { server, as } = await withRoles(t);
    const client = await as('backup');
    await answersAll(t, client, [
      'PING',
      'INFO backup',
      'ADMIN.BACKUP CREATE LABEL nightly VERIFY',
      'ADMIN.BACKUP CREATE AUTO ASYNC',
      'ADMIN.BACKUP WAIT 2 10s',
      'ADMIN.BACKUP LIST',
      'ADMIN.BACKUP LIST STATUS all FORMAT JSON',
      'ADMIN.BACKUP INFO LATEST',
      'ADMIN.BACKUP VERIFY LATEST',
      'admin.backup Verify all deep',
      'ADMIN.BACKUP STATUS',
      'ADMIN.BACKUP STATUS 1',
      'ADMIN.BACKUP WINDOW',
      'ADMIN.BACKUP TAGS',
      'ADMIN.BACKUP HELP',
    ]);
    const shown: unknown[] = [];
    for (const words of [['INFO', 'LATEST'], ['STATUS', '1'], ['LIST'], ['WAIT', '1']]) {
      shown.push(await client.ask('ADMIN.BACKUP', ...words));
    }
    t.notMatch(JSON.stringify(shown), /other:1|app:1/, 'no key shows');
    await refusesAll(t, client, [
      ...administration,
      ...data,
      'DBSIZE',
      'ADMIN.BACKUP CREATE PIN',
      'ADMIN.BACKUP CREATE LABEL x pin ASYNC',
      'ADMIN.BACKUP RESTORE LATEST',
      'ADMIN.BACKUP RESTORE LATEST DRYRUN',
      'ADMIN.BACKUP RESTORE 1 TO stolen',
      'ADMIN.BACKUP RESTORE PREVIOUS',
      'ADMIN.BACKUP CANCEL',
      'ADMIN.BACKUP CANCEL 1',
    ]);
    t.notOk(existsSync(join(server.dir, 'restores', 'stolen')));
    const admin = await as('admin');
    t.match(
      await admin.ask('ADMIN.BACKUP', 'LIST', 'FORMAT', 'JSON'),
      /"total":2/,
      'two were made, none pinned, none gone',
    );
    t.notMatch(await admin.ask('ADMIN.BACKUP', 'LIST', 'FORMAT', 'JSON'), /"pinned":1/);
  },
);

t.test(
  'a restore operator brings back a state, in place and beside; neither reads keys nor makes or removes backups',
  async (t) => {
    const { server, as } = await withRoles(t);
    const admin = await as('admin');
    await answersAll(t, admin, ['ADMIN.BACKUP CREATE PIN', 'SET app:1 later']);
    const client = await as('restore');
    await answersAll(t, client, [
      'ADMIN.BACKUP LIST',
      'ADMIN.BACKUP INFO 1',
      'ADMIN.BACKUP VERIFY 1 QUICK',
      'ADMIN.BACKUP WINDOW',
      'ADMIN.BACKUP RESTORE 1 DRYRUN',
      'ADMIN.BACKUP RESTORE 1 TO beside',
      'ADMIN.BACKUP RESTORE 1',
      'ADMIN.BACKUP STATUS',
      'ADMIN.READONLY status',
    ]);
    t.ok(existsSync(join(server.dir, 'restores', 'beside')));
    t.equal(await admin.ask('GET', 'app:1'), 'one');
    t.match(await client.ask('ADMIN.BACKUP', 'CANCEL'), /^-ERR no backup operation is running/, 'it may');
    await refusesAll(t, client, [...administration, ...data, 'ADMIN.BACKUP CREATE', 'DBSIZE']);
  },
);

t.test('monitoring sees numbers; no key, no argument, no address', async (t) => {
  const { as } = await withRoles(t);
  const client = await as('monitor');
  await answersAll(t, client, [
    'PING',
    'INFO',
    'INFO everything',
    'DBSIZE',
    'LASTSAVE',
    'TIME',
    'ADMIN.BACKUP LIST',
    'ADMIN.BACKUP STATUS',
    'ADMIN.BACKUP WINDOW',
    'ADMIN.READONLY STATUS',
  ]);
  t.notMatch(await client.ask('INFO', 'everything'), /other:1/);
  await refusesAll(t, client, [
    ...administration,
    ...data,
    'ADMIN.BACKUP CREATE',
    'ADMIN.BACKUP VERIFY ALL',
    'ADMIN.BACKUP RESTORE 1',
    'ADMIN.BACKUP WAIT 1',
    'ADMIN.BACKUP CANCEL',
  ]);
});

t.test('an application reads and writes its own keys, and learns of no others', async (t) => {
  const { as } = await withRoles(t);
  const client = await as('app');
  await answersAll(t, client, [
    'GET app:1',
    'MSET app:1 a app:2 b',
    'RENAME app:2 app:3',
    'EXPIRE app:3 100',
    'SELECT 3',
    'SELECT 0',
    'WATCH app:1',
    'MULTI',
    'INCR app:n',
    'DEL app:1 app:3',
    'EXEC',
    'CLIENT SETNAME shop',
    'PING',
  ]);
  const noNames = ['KEYS *', 'SCAN 0', 'RANDOMKEY', 'DBSIZE', 'INFO', 'SORT app:1', 'ADMIN.BACKUP LIST'];
  const others = ['GET other:1', 'EXISTS other:1', 'TYPE other:1', 'COPY other:1 app:9', 'RENAME app:n other:2'];
  const andMore = [
    'MGET app:n other:1',
    'DEL app:n other:1',
    'BITOP NOT app:9 other:1',
    'WATCH other:1',
    'DUMP other:1',
  ];
  const withoutKeys = new Set(
    (
      'auth,command,discard,echo,exec,hello,multi,ping,quit,reset,select,unwatch,wait,' +
      'client|caching,client|getname,client|getredir,client|help,client|id,client|info,client|no-touch,client|reply,' +
      'client|setinfo,client|setname,client|tracking,client|trackinginfo,command|count,command|docs,command|getkeys,' +
      'command|getkeysandflags,command|help,command|info,command|list'
    ).split(','),
  );
  const admin = await as('admin');
  for (const spec of allSpecs().filter(({ keySpecs }) => keySpecs.length === 0)) {
    const argv = [...spec.name.split('|'), ...Array.from({ length: 8 }, () => '0')].slice(0, Math.abs(spec.arity));
    const allowed = (await admin.ask('ACL', 'DRYRUN', 'app', ...argv)) === 'OK';
    if (allowed && !withoutKeys.has(spec.name)) t.fail(`${spec.name} shows no other keys? then add it here`);
  }
  await refusesAll(t, client, [
    ...administration.filter((request) => request !== 'BGSAVE'),
    ...noNames,
    ...others,
    ...andMore,
  ]);
  t.equal(await admin.ask('GET', 'other:1'), 'two');
});
