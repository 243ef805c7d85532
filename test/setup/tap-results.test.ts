import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import t from 'tap';

interface Results {
  passed: number;
  failed: { name: string; report: string }[];
  skipped: string[];
  planned: number | null;
}

const module = await import(pathToFileURL(join(process.cwd(), 'scripts', 'testing', 'tap-results.mjs')).href);
const readTap = module.readTap as (text: string) => Results;

t.test('outermost tests are counted, whatever they hold', async (t) => {
  const results = readTap(`TAP version 14
# Subtest: adds
    ok 1 - one
    # Subtest: inner
        ok 1 - two
        1..1
    ok 2 - inner # time=1.2ms
    1..2
ok 1 - adds # time=2.395ms

ok 2 - a bare assertion
ok 3 - not here # SKIP no redis-server
1..3
# { total: 4, pass: 3, skip: 1 }
`);
  t.equal(results.passed, 2);
  t.same(results.failed, []);
  t.same(results.skipped, ['not here (no redis-server)']);
  t.equal(results.planned, 3);
});

t.test('a failed test keeps what failed inside it, with its diagnosis, and nothing that passed', async (t) => {
  const results = readTap(`TAP version 14
# Subtest: fine
    ok 1 - fine inside
    1..1
ok 1 - fine # time=1ms

# Subtest: wrong
    ok 1 - passes
    not ok 2 - one is two
      ---
      diff: |
        -2
        +1
      ...
    1..2
not ok 2 - wrong # time=10ms
  ---
  at:
    fileName: x.js
  ...

1..2
`);
  t.equal(results.passed, 1);
  t.equal(results.failed.length, 1);
  t.equal(results.failed[0]?.name, 'wrong');
  t.match(results.failed[0]?.report, /not ok 2 - one is two[\s\S]*\+1[\s\S]*not ok 2 - wrong[\s\S]*fileName: x\.js/);
  t.notMatch(results.failed[0]?.report, /fine inside|passes/);
});

t.test('output that stops in the middle has no plan', async (t) => {
  const results = readTap('TAP version 14\n# Subtest: dies\n    ok 1 - so far\n');
  t.equal(results.planned, null);
  t.equal(results.passed, 0);
});
