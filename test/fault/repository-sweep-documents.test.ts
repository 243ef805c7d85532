/** Damage to a repository under a running server: its documents (support/sweep-running.ts). */
import t from 'tap';
import { harmless, mendedByStart, namedByStart } from './support/repository-sweep.js';
import { allKinds, sweep } from './support/sweep-running.js';

t.test('E1, E3, E4: every document of a repository, damaged in every way', (t) =>
  sweep(t, (kind) => !/^file|segment/.test(kind)),
);

t.test('what is said to be harmless is of a kind that there is', async (t) => {
  for (const table of [harmless, mendedByStart, namedByStart]) {
    for (const kind of Object.keys(table)) t.ok(allKinds.includes(kind), kind);
  }
});
