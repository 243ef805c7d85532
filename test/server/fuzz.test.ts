/** Any words at all: every request gets one reply, none is an internal error, and the server answers afterwards. */
import fc from 'fast-check';
import t from 'tap';
import { allCommands } from '../../src/commands/index.js';
import { type ArgumentSpec, allSpecs } from '../../src/commands/spec.js';
import { capturingLog } from '../support/log.js';
import { multibulk } from '../support/resp.js';
import { brief, startTestServer } from '../support/server.js';

/** They end the connection or the server, or wait for what does not come. */
const left = new Set(['quit', 'shutdown', 'reset', 'hello', 'admin.backup|wait']);

const tokensOf = (argument: ArgumentSpec): string[] => [
  ...(argument.token === undefined ? [] : [argument.token]),
  ...(argument.arguments ?? []).flatMap(tokensOf),
];

const word = fc.oneof(
  fc.constantFrom(
    '',
    '0',
    '1',
    '-1',
    '2147483648',
    '9223372036854775807',
    '9223372036854775808',
    '1e3',
    'nan',
    '*',
    'a',
  ),
  fc.constantFrom('LATEST', 'ALL', 'PREVIOUS', 'JSON', 'FORMAT', 'yes', '1s', '2026-01-01', '../x', '\r\n', 'a\0b'),
  fc.string({ maxLength: 6, unit: 'binary' }),
  fc.integer().map(String),
);

const request = fc.constantFrom(...[...allCommands().keys()].filter((name) => !left.has(name))).chain((name) => {
  const spec = allSpecs().find((each) => each.name === name);
  const tokens = spec?.arguments.flatMap(tokensOf) ?? [];
  const argument = tokens.length === 0 ? word : fc.oneof(word, fc.constantFrom(...tokens));
  return fc.array(argument, { maxLength: 6 }).map((args) => [...name.split('|'), ...args]);
});

t.test('every command with any arguments', async (t) => {
  const { log, records } = capturingLog();
  const server = await startTestServer(t, {}, log);
  await fc.assert(
    fc.asyncProperty(fc.array(request, { minLength: 1, maxLength: 60 }), fc.boolean(), async (requests, inMulti) => {
      const client = await server.open();
      const sent = inMulti ? [['MULTI'], ...requests, ['EXEC']] : requests;
      client.send(Buffer.concat(sent.map((words) => multibulk(...words))));
      const replies = (await client.take(sent.length)).map(brief);
      client.close();
      const wrong = replies.findIndex((reply) => reply === undefined || /internal error/.test(JSON.stringify(reply)));
      if (wrong !== -1) throw new Error(`${JSON.stringify(sent[wrong])}: ${JSON.stringify(replies[wrong])}`);
      const bug = records.find(
        ({ event }) => event === 'a command failed unexpectedly' || event === 'a connection failed',
      );
      if (bug !== undefined) throw new Error(JSON.stringify(bug));
    }),
    { numRuns: 60, interruptAfterTimeLimit: 8000 },
  );
  t.equal(await (await server.open()).ask('ECHO', 'alive'), 'alive');
});
