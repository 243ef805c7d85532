/** Assertions name themselves as bugs; hashes and ids have the one form that documents accept. */
import t from 'tap';
import { AssertionFailed, assert, unreachable } from '../../src/base/assert.js';
import { isSha256, sha256 } from '../../src/base/hash.js';
import { randomId } from '../../src/base/ids.js';

t.test('a failed assertion says that it is a bug', async (t) => {
  t.throws(() => assert(false, 'sequence fell'), new AssertionFailed('sequence fell'));
  t.throws(() => assert(false, 'sequence fell'), /bug in Cairn: sequence fell/);
  t.throws(() => unreachable('x' as never), AssertionFailed);
  assert(1, 'holds');
});

t.test('sha256 hashes its parts as one and is lower-case hex', async (t) => {
  const abc = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad';
  t.equal(sha256(Buffer.from('abc')), abc);
  t.equal(sha256(Buffer.from('a'), Buffer.from(''), Buffer.from('bc')), abc);
  t.ok(isSha256(abc));
  t.notOk(isSha256(abc.toUpperCase()));
  t.notOk(isSha256(`${abc}\n`));
});

t.test('random ids are 32 hex digits and do not repeat', async (t) => {
  const ids = new Set(Array.from({ length: 1000 }, randomId));
  t.equal(ids.size, 1000);
  for (const id of ids) if (!/^[0-9a-f]{32}$/.test(id)) t.fail(id);
});
