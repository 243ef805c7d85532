/** The file of users: read whole or not at all, written whole or not at all, private. */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { AclFile, AclFileError } from '../../src/acl/file.js';
import { scratch } from '../support/scratch.js';
import { newUsers, text } from './support.js';

const hash = '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08';

function withFile(t: Test, content: string | Uint8Array) {
  const dir = scratch(t, { 'users.acl': content });
  const path = join(dir, 'users.acl');
  return { dir, path, file: new AclFile(path), users: newUsers() };
}

t.test("lines in Redis's format become users; blanks around and between do not matter", async (t) => {
  const { file, users } = withFile(
    t,
    `user default on #${hash} ~* &* +@all\r\n\n   user  app on >secret   ~app:* (+get ~x) +@read\t\nuser off\n`,
  );
  await file.load(users);
  t.same(
    users.all().map(({ name }) => name),
    ['app', 'default', 'off'],
  );
  t.equal(text(users.default), `on #${hash} ~* &* +@all`);
  t.match(
    text(users.get('app')),
    /^on #2bb80d53[0-9a-f]{56} ~app:\* resetchannels -@all \+@read \(~x resetchannels -@all \+get\)$/,
  );
  t.equal(text(users.get('off')), 'off resetchannels -@all');
});

t.test('G4: every bad line is named, none is repeated, and nothing changes', async (t) => {
  const bad: [line: string, expected: string][] = [
    ['usr a on', ' should start with user keyword followed by the username.'],
    ['USER a on', ' should start with user keyword followed by the username.'],
    ['# a comment', ' should start with user keyword followed by the username.'],
    ['user', ' should start with user keyword followed by the username.'],
    ['user a +nope', ": Error in applying operation '+nope': Unknown command or category name in ACL."],
    ['user a (+nope ~x)', ": Error in applying operation '(+nope ~x)': Unknown command or category name in ACL."],
    ['user a hunter2', ': Syntax error.'],
    ['user a on\t>hunter2', ': Syntax error.'],
    ['user "a b" >hunter2', ': Syntax error.'],
    [
      'user a #hunter2',
      ': The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters.',
    ],
    ['user a <hunter2', ': The password you are trying to remove from the user does not exist.'],
    ['user a (+get ~x', ": Unmatched parenthesis in acl selector starting at '(+get'."],
    ['user a ~* ~x', ': Adding a pattern after the * pattern'],
    ['user good on', ': Duplicate user found.'],
    ['user \xff on', ": Usernames can't contain spaces or null characters."],
    ['user a\0 on', ": Usernames can't contain spaces or null characters."],
  ];
  for (const [line, expected] of bad) {
    const { file, path, users } = withFile(t, Buffer.from(`user good on +get\n${line}\nuser z off\n`, 'latin1'));
    users.set('before', ['on', '+get']);
    const error = await file.load(users).then(
      () => null,
      (thrown: Error) => thrown,
    );
    t.ok(error?.message.startsWith(`${path}:2${expected}`), `${line}: ${error?.message}`);
    t.notMatch(error?.message, /hunter2/);
    t.same(
      users.all().map(({ name }) => name),
      ['before', 'default'],
    );
  }
  const { file, path, users } = withFile(t, 'nonsense\nuser a on\nuser b +nope\n');
  const error = await file.load(users).catch((thrown: unknown) => thrown);
  t.ok(error instanceof AclFileError);
  t.same((error as AclFileError).problems, [
    `${path}:1 should start with user keyword followed by the username.`,
    `${path}:3: Error in applying operation '+nope': Unknown command or category name in ACL.`,
  ]);
});

t.test('what is no file, or too long a one, is refused before it is read', async (t) => {
  const { dir, users } = withFile(t, '');
  mkdirSync(join(dir, 'directory'));
  await t.rejects(new AclFile(join(dir, 'absent')).load(users), { code: 'ENOENT' });
  await t.rejects(new AclFile(join(dir, 'directory')).load(users), { code: 'EISDIR' });
  writeFileSync(join(dir, 'long'), Buffer.alloc(17 * 1024 * 1024));
  await t.rejects(new AclFile(join(dir, 'long')).load(users), /more than the 16777216/);
});

t.test(
  'of a file that is something else altogether the first bad lines are named, and the others counted',
  async (t) => {
    const { file, users } = withFile(t, 'nonsense\n'.repeat(200_000));
    const error = await file.load(users).catch((thrown: unknown) => thrown);
    t.ok(error instanceof AclFileError);
    t.equal((error as AclFileError).problems.length, 101);
    t.equal((error as AclFileError).problems.at(-1), '199900 more lines are wrong.');
  },
);

t.test('what is no regular file is never replaced by a file of users, neither by name nor behind a link', async (t) => {
  const { dir, users } = withFile(t, '');
  execFileSync('mkfifo', [join(dir, 'pipe')]);
  symlinkSync(join(dir, 'pipe'), join(dir, 'link'));
  mkdirSync(join(dir, 'directory'));
  for (const name of ['pipe', 'link', 'directory']) {
    await t.rejects(new AclFile(join(dir, name)).save(users), /is not a regular file/, name);
  }
  t.ok(lstatSync(join(dir, 'pipe')).isFIFO());
  t.same(
    readdirSync(dir).filter((name) => name.startsWith('.tmp')),
    [],
  );
});

t.test('saved and loaded, every user is the same; the file is private and holds no password', async (t) => {
  const { dir, path, file, users } = withFile(t, 'user gone on\n');
  chmodSync(path, 0o644);
  users.set('ann', [
    'on',
    '>hunter2',
    '~a\xff*',
    '%R~b',
    '&c',
    '+@read',
    '+config|get',
    '-keys',
    '(+set ~d)',
    '(%W~e)',
  ]);
  users.set('имя', ['skip-sanitize-payload', 'nopass', '+@all', '-@dangerous', '+select|0', '~*']);
  users.set('default', ['>hunter3', 'resetkeys', '~all*']);
  await file.save(users);
  t.equal(statSync(path).mode & 0o777, 0o600);
  t.notMatch(readFileSync(path, 'latin1'), /hunter|gone/);
  t.same(readdirSync(dir), ['users.acl'], 'nothing is left beside it');
  const again = newUsers();
  await file.load(again);
  for (const user of users.all()) t.equal(text(again.get(user.name)), text(user), user.name);
  t.equal(again.all().length, 3);
});

t.test('a link stays a link', async (t) => {
  const { dir, path, users } = withFile(t, 'user a on\n');
  const link = join(dir, 'link');
  symlinkSync(path, link);
  const file = new AclFile(link);
  await file.load(users);
  users.set('b', []);
  await file.save(users);
  t.ok(lstatSync(link).isSymbolicLink());
  t.match(readFileSync(path, 'utf8'), /^user a on .*\nuser b off/);
});

t.test('saves and loads take turns: what is saved last is what is there', async (t) => {
  const { path, file, users } = withFile(t, 'user a on\n');
  const running: Promise<void>[] = [];
  for (let nth = 0; nth < 20; nth++) {
    users.set(`u${nth}`, ['on']);
    running.push(file.save(users), file.load(users));
  }
  await Promise.all(running);
  t.equal(readFileSync(path, 'utf8').split('\n').length, 22);
  t.equal(users.all().length, 21);
});
