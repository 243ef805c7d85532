/** The file of users at the start and over restarts of the built program. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { scratch } from '../support/scratch.js';
import { RawClient } from '../support/server.js';
import { cairn, serve } from './program.js';

async function reply(t: Test, port: number, ...requests: string[]): Promise<unknown> {
  const client = await RawClient.connect(port);
  t.teardown(() => client.close());
  let last: unknown;
  for (const request of requests) last = await client.ask(...request.split(' '));
  return last;
}

t.test(
  'G4: a bad file, or none where one is named, stops the start: line and reason, no password, nothing touched',
  async (t) => {
    const cases: [content: string | null, expected: RegExp[]][] = [
      [
        'user a on\nuser b on +nope >hunter2\n',
        [/users\.acl:2: Error in applying operation '\+nope': Unknown command or category/],
      ],
      [
        'usr a on\nuser b >hunter2 <hunter3\n',
        [/users\.acl:1 should start with user/, /users\.acl:2: The password you are trying/],
      ],
      [null, [/aclfile: .*ENOENT.*users\.acl/]],
    ];
    for (const [content, expected] of cases) {
      const cwd = scratch(t, content === null ? {} : { 'users.acl': content });
      const run = cairn(t, ['serve', '--port', '0', '--dir', 'data', '--set', 'aclfile=users.acl'], { cwd });
      t.same(await run.ended, { code: 2, signal: null });
      for (const each of expected) t.match(run.stderr(), each);
      t.notMatch(run.stderr(), /hunter/);
      t.notOk(existsSync(join(cwd, 'data')));
    }
  },
);

t.test('what ACL SAVE wrote is there after a restart; what it did not is not', async (t) => {
  const cwd = scratch(t, { 'users.acl': '' });
  const args = ['--dir', 'data', '--set', 'aclfile=users.acl'];
  const first = await serve(t, args, { cwd });
  await first.client.call('ACL', 'SETUSER', 'ann', 'on', '>hunter2', '~a*', '+get');
  await first.client.call('ACL', 'SAVE');
  await first.client.call('ACL', 'SETUSER', 'bob', 'on');
  t.equal(statSync(join(cwd, 'users.acl')).mode & 0o777, 0o600);
  await t.rejects(first.client.config('SET', 'aclfile', 'other'), /can't set protected config/);
  await first.end('SIGTERM');
  const again = await serve(t, args, { cwd });
  t.same(await again.client.call('ACL', 'USERS'), ['ann', 'default']);
  t.equal(await reply(t, again.port, 'AUTH ann hunter2', 'GET a'), null);
  t.match(await reply(t, again.port, 'AUTH ann hunter2', 'GET b'), /^-NOPERM/);
});

t.test('requirepass and the file: a line for default counts more, without one requirepass holds', async (t) => {
  const cwd = scratch(t, {
    'with.acl': 'user default on >filed ~* +@all\n',
    'without.acl': 'user ann on >p +ping\n',
  });
  const start = (file: string, password: string) => {
    const args = ['--dir', file, '--set', `aclfile=${file}.acl`, '--set', 'requirepass=hunter2'];
    return serve(t, args, { cwd, password });
  };
  const filed = await start('with', 'filed');
  t.equal(await reply(t, filed.port, 'AUTH filed'), 'OK');
  t.match(await reply(t, filed.port, 'AUTH hunter2'), /^-WRONGPASS/);
  t.match(filed.stderr(), /requirepass has no effect/);
  const open = await start('without', 'hunter2');
  t.match(await reply(t, open.port, 'PING'), /^-NOAUTH/);
  t.equal(await reply(t, open.port, 'AUTH hunter2', 'ACL LOAD'), 'OK');
  t.match(await reply(t, open.port, 'PING'), /^-NOAUTH/, 'after ACL LOAD too');
  t.equal(await reply(t, open.port, 'AUTH hunter2', 'CONFIG SET requirepass other', 'ACL LOAD'), 'OK');
  t.equal(await reply(t, open.port, 'AUTH other', 'PING'), 'PONG');
  t.match(await reply(t, open.port, 'AUTH hunter2'), /^-WRONGPASS/);
});

t.test('CONFIG REWRITE writes the hash of a password, and the next start takes it', async (t) => {
  const cwd = scratch(t, { 'cairn.yaml': 'port: 0\n' });
  const args = ['--config', 'cairn.yaml', '--dir', 'data'];
  const first = await serve(t, args, { cwd });
  await first.client.config('SET', 'requirepass', 'hunter2');
  await first.client.config('REWRITE');
  t.match(readFileSync(join(cwd, 'cairn.yaml'), 'utf8'), /^requirepass: "#[0-9a-f]{64}"$/m);
  await first.end('SIGTERM');
  const again = await serve(t, args, { cwd, password: 'hunter2' });
  t.match(await reply(t, again.port, 'PING'), /^-NOAUTH/);
  t.equal(await reply(t, again.port, 'AUTH hunter2', 'PING'), 'PONG');
  t.same(await reply(t, again.port, 'AUTH hunter2', 'CONFIG GET requirepass'), ['requirepass', '[secret]']);
});

t.test('killed, or without room, in the middle of ACL SAVE: the users are those from before', async (t) => {
  for (const fault of ['users-written=kill', 'users-written=throw:ENOSPC']) {
    const before = 'user ann on nopass +ping\n';
    const cwd = scratch(t, { 'users.acl': before });
    const args = ['--dir', 'data', '--set', 'aclfile=users.acl'];
    const armed = await serve(t, args, { cwd, env: { CAIRN_FAULT_POINTS: fault } });
    await armed.client.call('ACL', 'SETUSER', 'bob', 'on');
    const saving = armed.client.call('ACL', 'SAVE');
    if (fault.endsWith('kill')) {
      await t.rejects(saving);
      t.equal((await armed.ended).signal, 'SIGKILL');
    } else {
      await t.rejects(saving, { message: /^ERR There was an error trying to save the ACLs/ });
      t.match(armed.stderr(), /the users could not be saved.*ENOSPC/s);
      t.equal(readFileSync(join(cwd, 'users.acl'), 'utf8'), before);
      await armed.client.call('ACL', 'LOAD');
      t.same(await armed.client.call('ACL', 'USERS'), ['ann', 'default']);
      await armed.end('SIGTERM');
    }
    t.equal(readFileSync(join(cwd, 'users.acl'), 'utf8'), before);
  }
});
