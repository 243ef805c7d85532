/** protocol/ and src/commands/ know the same commands. */
import t from 'tap';
import { allCommands } from '../../src/commands/index.js';
import { allSpecs, lookup } from '../../src/commands/spec.js';

const commands = allCommands();

t.test('every command and subcommand of protocol/ is implemented, and nothing else is', async (t) => {
  // CLIENT, CONFIG and ADMIN.BACKUP are nothing without a subcommand; COMMAND is.
  const specs = allSpecs().filter(({ subcommands, arity }) => subcommands === undefined || arity === -1);
  t.same([...commands.keys()].sort(), specs.map(({ name }) => name).sort());
  for (const [name, command] of commands) t.equal(command.name, name);
});

t.test('what works on data has its keys in protocol/, and what writes says so', async (t) => {
  for (const [name, command] of commands) {
    const spec = lookup(name);
    if (command.kind === 'data') t.ok(spec?.flags.has('write') || spec?.flags.has('readonly'), name);
  }
});

t.test('what waits for something cannot be queued in a transaction, unless it has a form for it', async (t) => {
  for (const [name, command] of commands) {
    if (command.kind !== 'server' || command.runQueued !== undefined || name === 'exec') continue;
    if (command.run.constructor.name !== 'AsyncFunction') continue;
    t.ok(lookup(name)?.flags.has('no_multi'), name);
  }
});
