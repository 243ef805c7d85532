import t from 'tap';
import { allCommands } from '../../src/commands/index.js';
import { allSpecs } from '../../src/commands/spec.js';

t.test('every command in protocol/ can be run, and no other', async (t) => {
  const names = [...allCommands().keys()].sort();
  // A container alone is a command only where its arity lets it stand alone.
  const expected = allSpecs()
    .filter((spec) => spec.subcommands === undefined || spec.arity === -1)
    .map((spec) => spec.name)
    .sort();
  t.same(names, expected);
});

t.test('what EXEC may run answers without waiting: data, a synchronous form, or no_multi', async (t) => {
  for (const command of allCommands().values()) {
    const spec = allSpecs().find(({ name }) => name === command.name);
    const waits = command.kind === 'server' && command.run.constructor.name === 'AsyncFunction';
    if (!waits || command.name === 'exec') continue;
    t.ok(command.runQueued !== undefined || spec?.flags.has('no_multi'), command.name);
  }
});
