/** Rules by themselves: what they decide, and that what is shown leads to the same decisions again. */
import fc from 'fast-check';
import t from 'tap';
import { joinSelectors, Rights } from '../../src/acl/rights.js';
import { RuleError } from '../../src/acl/rule-error.js';
import { catalogue, decision, newUsers, rightsOf } from './support.js';

t.test('a new user may nothing but log in and leave', async (t) => {
  const rights = new Rights(catalogue);
  for (const request of ['GET a', 'PING', 'ACL WHOAMI', 'ADMIN.BACKUP LIST', 'EXEC'])
    t.equal(decision(rights, request), 'command', request);
  for (const request of ['AUTH x', 'HELLO 3', 'RESET', 'QUIT']) t.equal(decision(rights, request), 'ok', request);
});

t.test('subcommands of ADMIN.BACKUP are rights of their own', async (t) => {
  const rights = rightsOf('+admin.backup|create +admin.backup|list');
  t.equal(decision(rights, 'ADMIN.BACKUP CREATE'), 'ok');
  t.equal(decision(rights, 'admin.backup List'), 'ok');
  for (const word of ['RESTORE', 'DELETE', 'PRUNE', 'ADOPTREPO', 'CANCEL'])
    t.equal(decision(rights, `ADMIN.BACKUP ${word} 1`), 'command', word);
  const allButRestore = rightsOf('+admin.backup -admin.backup|restore');
  t.equal(decision(allButRestore, 'ADMIN.BACKUP DELETE 1'), 'ok');
  t.equal(decision(allButRestore, 'ADMIN.BACKUP RESTORE 1'), 'command');
});

t.test('a first argument may be allowed of a command that is not: it is compared in any case', async (t) => {
  const rights = rightsOf('+admin.readonly|Status');
  t.equal(decision(rights, 'ADMIN.READONLY status'), 'ok');
  t.equal(decision(rights, 'ADMIN.READONLY ON'), 'command');
});

t.test('without all commands or all keys there is something that can be refused', async (t) => {
  for (const rules of ['+@all ~*', 'allcommands allkeys', '+@all ~* resetchannels', '+@all %RW~*', '+@all %R~* %W~*']) {
    t.ok(rightsOf(rules).unrestricted, rules);
  }
  for (const rules of [
    '',
    '+@all',
    '~*',
    '+@all ~* -get',
    '+@all ~* -config|set',
    '+@all ~* -@dangerous',
    '+@all ~* resetkeys',
    '+@all ~* nocommands',
    '+@all %R~*',
    '(+@all ~*)',
  ]) {
    t.notOk(rightsOf(rules).unrestricted, rules);
  }
});

t.test('a change to a copy leaves the original alone', async (t) => {
  const original = rightsOf('on >p ~a %R~b &c +get +select|0 (+set ~d)');
  const before = original.text;
  const copy = original.copy();
  for (const rule of ['off', '>q', '~e', '%W~b', '&f', '-get', '+select|1', '(+ping)', '-@all', 'clearselectors'])
    copy.apply(rule);
  t.equal(original.text, before);
  t.equal(decision(original, 'GET a'), 'ok');
  t.equal(decision(original, 'SET b 1'), 'b');
  t.equal(decision(original, 'PING'), 'command');
  t.equal(decision(original, 'SELECT 1'), 'command');
});

t.test('selectors that come in several words are put together', async (t) => {
  t.same(joinSelectors(['on', '(+get', '~a', '~b)', '()', '(~c)', ')']), ['on', '(+get ~a ~b)', '()', '(~c)', ')']);
  t.throws(() => joinSelectors(['on', '(+get', '~a']), {
    message: "Unmatched parenthesis in acl selector starting at '(+get'.",
  });
  t.throws(() => joinSelectors(['(>hunter2']), { message: /starting at '\(>\(redacted\)'/ });
});

const word = fc.constantFrom('a', 'b:*', 'c?', '*', 'x*y', '[ab]', '');
const name = fc.constantFrom(
  'get',
  'set',
  'mset',
  'config',
  'config|get',
  'acl|list',
  'select',
  'keys',
  'admin.backup',
  'admin.backup|create',
);
const category = fc.constantFrom('read', 'write', 'dangerous', 'admin', 'fast', 'list', 'keyspace', 'connection');
const permission = fc.oneof(
  fc.tuple(fc.constantFrom('+', '-'), name).map((parts) => parts.join('')),
  fc.tuple(fc.constantFrom('+@', '-@'), category).map((parts) => parts.join('')),
  fc.tuple(fc.constantFrom('~', '%R~', '%W~', '%RW~', '&'), word).map((parts) => parts.join('')),
  fc.constantFrom('+select|0', '+select|1', '+ping|x', 'allkeys', 'resetkeys', 'allchannels', 'resetchannels'),
  fc.constantFrom('+@all', '-@all', 'allcommands', 'nocommands'),
);
const selector = fc.array(permission, { maxLength: 4 }).map((rules) => `(${rules.join(' ')})`);
const password = fc.tuple(fc.constantFrom('>', '<'), fc.constantFrom('p', 'q', 'p q')).map((parts) => parts.join(''));
const rule = fc.oneof(
  { weight: 8, arbitrary: permission },
  { weight: 2, arbitrary: selector },
  { weight: 1, arbitrary: password },
  {
    weight: 1,
    arbitrary: fc.constantFrom('on', 'off', 'nopass', 'resetpass', 'reset', 'clearselectors', 'skip-sanitize-payload'),
  },
);

const requests = [
  'GET a',
  'GET b:1',
  'SET a 1',
  'SET b:1 1 GET',
  'MSET a 1 cc 2',
  'DEL xyy',
  'EXISTS zz',
  'PING x',
  'SELECT 0',
];
requests.push('SELECT 2', 'CONFIG GET x', 'CONFIG SET a b', 'ACL LIST', 'KEYS *', 'FLUSHALL', 'ADMIN.BACKUP CREATE');
requests.push('ADMIN.BACKUP DELETE 1', 'RENAME a b:1', 'COPY a cc', 'BITFIELD a GET u8 0', 'TTL a', 'MULTI');

t.test('what is shown leads to the same rights again: in ACL LIST, in the file', async () => {
  fc.assert(
    fc.property(fc.array(rule, { maxLength: 12 }), (rules) => {
      const rights = new Rights(catalogue);
      for (const each of rules) {
        const next = rights.copy();
        try {
          next.apply(each);
        } catch (error) {
          if (!(error instanceof RuleError)) throw error;
          continue;
        }
        rights.apply(each);
      }
      const again = newUsers().describe(joinSelectors(rights.text.split(' ')));
      if (again.text !== rights.text) throw new Error(`${rights.text}\nbecame\n${again.text}`);
      for (const request of requests) {
        const [was, is] = [decision(rights, request), decision(again, request)];
        if (was !== is) throw new Error(`${request}: ${was}, then ${is}, by ${rights.text}`);
        if (rights.unrestricted && was !== 'ok') throw new Error(`${request} is refused to an unrestricted user`);
      }
    }),
    { numRuns: 400 },
  );
});
