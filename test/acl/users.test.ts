/** The table of users: passwords, changes that are all or nothing, and who is told that a user is gone. */
import t from 'tap';
import { Denials } from '../../src/acl/denials.js';
import { type User, userName } from '../../src/acl/users.js';
import { sha256 } from '../../src/base/hash.js';
import { newUsers, text } from './support.js';

const bytes = (word: string) => Buffer.from(word);

t.test('a login needs a user that is on, and one of the passwords', async (t) => {
  const users = newUsers();
  users.set('ann', ['on', '>one', '>two']);
  users.set('bob', ['>one']);
  users.set('cid', ['on', 'nopass']);
  users.set('dan', ['on']);
  t.equal(users.verify('ann', bytes('one')), users.get('ann'));
  t.equal(users.verify('ann', bytes('two')), users.get('ann'));
  for (const wrong of ['', 'One', 'one ', sha256(bytes('one'))])
    t.equal(users.verify('ann', bytes(wrong)), null, wrong);
  t.equal(users.verify('bob', bytes('one')), null, 'off');
  t.equal(users.verify('cid', bytes('anything')), users.get('cid'));
  t.equal(users.verify('dan', bytes('')), null, 'no password is not any password');
  t.equal(users.verify('nobody', bytes('one')), null);
});

t.test('passwords are bytes, and only their hashes are kept', async (t) => {
  const users = newUsers('sécret');
  const binary = Buffer.of(0xff, 0x00, 0x20, 0x0a);
  users.set('ann', ['on', `>${binary.toString('latin1')}`, `>${Buffer.from('ключ').toString('latin1')}`]);
  t.equal(users.verify('ann', binary), users.get('ann'));
  t.equal(users.verify('ann', bytes('ключ')), users.get('ann'));
  t.equal(users.verify('default', bytes('sécret')), users.default);
  t.same(users.get('ann')?.rights.passwords, [sha256(binary), sha256(bytes('ключ'))]);
  t.notMatch(JSON.stringify(users.all()), /sécret|ключ/);
});

t.test('a rule that is refused leaves the user as it was, and makes none', async (t) => {
  const users = newUsers();
  users.set('ann', ['on', '>p', '~a', '+get']);
  const before = text(users.get('ann'));
  t.throws(() => users.set('ann', ['~b', '+set', 'off', '+nope']), /Unknown command or category/);
  t.equal(text(users.get('ann')), before);
  t.throws(() => users.set('bob', ['on', '+nope']));
  t.equal(users.get('bob'), undefined);
});

t.test('a change holds for who already has the user', async (t) => {
  const users = newUsers();
  users.set('ann', ['+@all', '~*']);
  const ann = users.get('ann') as User;
  t.ok(ann.unrestricted);
  users.set('ann', ['-get']);
  t.notOk(ann.unrestricted);
  t.equal(users.get('ann'), ann);
});

t.test('requirepass and rules for the default user: the last one holds', async (t) => {
  const users = newUsers();
  t.notOk(users.passwordRequired);
  users.setDefaultPassword(sha256(bytes('one')));
  t.ok(users.passwordRequired);
  users.set('default', ['>two']);
  t.equal(users.verify('default', bytes('one')), users.default);
  t.equal(users.verify('default', bytes('two')), users.default);
  users.setDefaultPassword(sha256(bytes('three')));
  t.equal(users.verify('default', bytes('two')), null, 'requirepass is the only password');
  users.setDefaultPassword('');
  t.notOk(users.passwordRequired);
  users.set('default', ['off']);
  t.ok(users.passwordRequired, 'nobody comes in as a user that is off');
});

t.test('replacing all: who is gone or has other rules is told, equal ones and the default user stay', async (t) => {
  const users = newUsers('secret');
  users.set('same', ['on', '+get']);
  users.set('other', ['on', '+get']);
  users.set('gone', ['on']);
  users.set('default', ['-flushall']);
  const [same, other] = [users.get('same'), users.get('other')];
  const told: [string, unknown][] = [];
  users.onGone((user, cause) => told.push([user.name, cause]));
  const described = new Map([
    ['same', users.describe(['on', '+get'])],
    ['other', users.describe(['on', '+set'])],
    ['new', users.describe(['off'])],
  ]);
  users.replace(described, 'why');
  t.same(told.sort(), [
    ['gone', 'why'],
    ['other', 'why'],
  ]);
  t.equal(users.get('same'), same);
  t.not(users.get('other'), other);
  t.same(
    users.all().map(({ name }) => name),
    ['default', 'new', 'other', 'same'],
  );
  t.ok(users.default.unrestricted);
  t.equal(users.verify('default', bytes('secret')), users.default, 'nobody describes it: requirepass holds');
  t.equal(users.verify('default', bytes('x')), null);
});

t.test('names: UTF-8 without blanks', async (t) => {
  const latin1 = (name: string) => Buffer.from(name).toString('latin1');
  t.equal(userName(latin1('имя')), 'имя');
  t.equal(userName(''), '');
  for (const bad of [' ', 'a b', 'a\tb', 'a\n', 'a\0', '\xff', '\xc3'])
    t.equal(userName(bad), null, JSON.stringify(bad));
  const users = newUsers();
  for (const name of ['b', 'a', 'ä', '𝄞', 'Z', '\uffff']) users.set(name, []);
  t.same(
    users.all().map(({ name }) => name),
    ['Z', 'a', 'b', 'default', 'ä', '\uffff', '𝄞'],
    'in the order of their bytes',
  );
});

t.test('refusals: equal ones within a minute are one entry, the newest first, so many and no more', async (t) => {
  let limit = 12;
  const denials = new Denials(() => limit);
  const add = (object: string, atMs: number, changes = {}) =>
    denials.add(
      { reason: 'key', context: 'toplevel', object: bytes(object), user: 'ann', client: `at ${atMs}`, ...changes },
      atMs,
    );
  const shown = () => denials.newest(100).map(({ object, count, atMs }) => `${object} ${count} ${atMs}`);
  add('a', 0);
  add('b', 1);
  add('a', 60_000);
  t.same(shown(), ['a 2 60000', 'b 1 1']);
  t.equal(denials.newest(1)[0]?.client, 'at 60000');
  add('b', 60_002);
  t.same(shown(), ['b 1 60002', 'a 2 60000', 'b 1 1'], 'more than a minute apart');
  for (const changes of [{ reason: 'command' }, { context: 'multi' }, { user: 'bob' }]) add('a', 60_003, changes);
  t.equal(denials.newest(100).length, 6);
  for (let nth = 0; nth < 9; nth++) add(`c${nth}`, 60_004);
  t.equal(denials.newest(100).length, 12);
  add('a', 60_005, { user: 'bob' });
  t.equal(denials.newest(1)[0]?.count, 2, 'within the ten newest');
  add('a', 60_006, { reason: 'command' });
  t.equal(denials.newest(1)[0]?.count, 1, 'further back none is looked for');
  limit = 2;
  add('d', 60_007);
  t.equal(denials.newest(100).length, 2);
  add('k'.repeat(1000), 60_008, { user: 'u'.repeat(1000) });
  t.match(denials.newest(1)[0], { object: bytes('k'.repeat(256)), user: 'u'.repeat(256) });
  denials.clear();
  t.same(denials.newest(10), []);
});
