/** Text that a user chose never ends a reply, a line of INFO or CLIENT LIST, or a line of a log. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { createLog } from '../../src/observability/log.js';
import { startServer } from '../support/built-server.js';
import { scratch } from '../support/scratch.js';
import { RawClient } from '../support/server.js';

const FORGED = '2026-01-01T00:00:00.000Z error forged';
const hostile = [
  `a\r\n${FORGED}`,
  '\r\n+OK\r\n-ERR forged',
  '\n$5\r\nforged',
  'nul\0byte',
  '\u001b[2Jcleared',
  '\u009b31mred',
  `\u2028${FORGED}`,
  '\u202eesrever',
  '","level":"error","event":"forged',
  '\u007f\u0085',
  '%s%n$x',
];

/** Everything here but a space or a printable character would act on a terminal, or end the line. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const acting = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/;

/** Sends the text to every place that shows or repeats it. */
async function everywhere(client: RawClient, monitor: RawClient, text: string): Promise<void> {
  const calls: string[][] = [
    ['SET', text, text],
    ['APPEND', text, text],
    [text, text],
    ['ADMIN.BACKUP', text],
    ['CONFIG', text],
    ['ADMIN.BACKUP', 'CREATE', 'LABEL', text],
    ['ADMIN.BACKUP', 'CREATE', text],
    ['ADMIN.BACKUP', 'LIST', 'LABEL', text],
    ['ADMIN.BACKUP', 'TAG', text],
    ['ADMIN.BACKUP', 'UNTAG', text],
    ['ADMIN.BACKUP', 'RESTORE', 'LATEST', 'TAG', text],
    ['ADMIN.BACKUP', 'RESTORE', 'LATEST', 'TO', text],
    ['ADMIN.BACKUP', 'RESTORE', 'LATEST', 'AT', text],
    ['ADMIN.BACKUP', 'ADOPTREPO', text],
    ['ADMIN.BACKUP', 'PRUNE', 'MAXAGE', text],
    ['CLIENT', 'SETNAME', text],
    ['CLIENT', 'SETINFO', 'lib-name', text],
    ['CLIENT', 'SETINFO', text, 'x'],
    ['CLIENT', 'LIST', 'TYPE', text],
    ['CLIENT', 'KILL', text],
    ['HELLO', '2', 'SETNAME', text],
    ['HELLO', '2', text],
    ['ACL', 'SETUSER', text],
    ['ACL', 'SETUSER', 'ann', text],
    ['ACL', 'GETUSER', text],
    ['ACL', 'DRYRUN', 'default', text],
    ['COMMAND', 'DOCS', text],
    ['COMMAND', 'INFO', text],
    ['CONFIG', 'GET', text],
    ['CONFIG', 'SET', text, text],
    ['INFO', text],
    ['SELECT', text],
    ['GETEX', text, text],
    ['OBJECT', text, text],
    ['DEBUG', text],
  ];
  if (hostile.indexOf(text) % 5 === 0) {
    // A wrong password is answered later and later.
    calls.push(['AUTH', text, text], ['HELLO', '3', 'AUTH', text, text]);
  }
  if (hostile.indexOf(text) % 5 === 0)
    for (const name of await settings(client)) calls.push(['CONFIG', 'SET', name, text]);
  for (const call of calls) {
    const reply = await client.ask(...call);
    if (typeof reply === 'string' && reply.startsWith('-') && acting.test(Buffer.from(reply, 'latin1').toString())) {
      t.fail(`${JSON.stringify(call)}: ${JSON.stringify(reply)}`);
    }
    const nonce = `nonce-${call.length}`;
    if ((await client.ask('ECHO', nonce)) !== nonce) t.fail(`out of step after ${JSON.stringify(call)}`);
  }
  // A line of MONITOR is one simple string: a nonce of ours comes in its turn.
  await client.ask('ECHO', `seen ${text}`);
  for (;;) {
    const line = (await monitor.next()) as { type: string; text: string };
    t.equal(line.type, 'simple');
    if (acting.test(Buffer.from(line.text, 'latin1').toString())) t.fail(`MONITOR: ${JSON.stringify(line.text)}`);
    if (/"ECHO" "seen /.test(line.text)) break;
  }
}

async function settings(client: RawClient): Promise<string[]> {
  const pairs = (await client.ask('CONFIG', 'GET', '*')) as string[];
  // They would keep the rest of the test from being seen.
  return pairs
    .filter((_, nth) => nth % 2 === 0)
    .filter((name) => !/^(requirepass|log.*|audit.*|maxclients)$/.test(name));
}

for (const format of ['text', 'json']) {
  t.test(`G1, A16: control bytes of users reach no line of their own, log format ${format}`, async (t) => {
    const dir = scratch(t);
    const audit = join(dir, 'audit.log');
    const args = ['--set', `log.format=${format}`, '--set', 'log.level=debug', '--set', `audit.file=${audit}`];
    const server = await startServer(t, {
      dir: join(dir, 'data'),
      args: [...args, '--set', 'slowlog_log_slower_than=0'],
    });
    const [client, monitor, other] = await Promise.all([0, 1, 2].map(() => RawClient.connect(server.port)));
    t.teardown(() => {
      for (const each of [client, monitor, other]) each?.close();
    });
    if (client === undefined || monitor === undefined || other === undefined) throw new Error('not connected');
    await client.ask('ADMIN.BACKUP', 'CREATE', 'LABEL', 'plain');
    await monitor.ask('MONITOR');
    const texts = hostile.filter((_, nth) => format === 'text' || nth % 2 === 0);
    for (const text of texts) await everywhere(client, monitor, text);

    const info = (await client.ask('INFO', 'everything')) as string;
    for (const line of info.split('\r\n'))
      t.match(line, /^(# \w+|[\w.|-]+:[^\r\n]*|)$/) || t.comment(JSON.stringify(line));
    const clients = (await client.ask('CLIENT', 'LIST')) as string;
    t.equal(clients.trimEnd().split('\n').length, 3, 'one line for each client');
    for (const line of clients.trimEnd().split('\n'))
      t.match(line, /^id=\d+ addr=[\d.:]+ .* lib-ver=[!-~]*( [\w-]+=[^ ]*)*$/);
    for (const section of [['LIST'], ['STATUS'], ['TAGS'], ['WINDOW'], ['INFO', 'LATEST']]) {
      const text = (await client.ask('ADMIN.BACKUP', ...section, 'FORMAT', 'JSON')) as string;
      t.doesNotThrow(() => JSON.parse(text), section.join(' '));
      t.notMatch(text, /[\r\n]/);
    }
    t.ok(Array.isArray(await client.ask('SLOWLOG', 'GET', '200')));
    for (const text of texts)
      t.equal(
        Buffer.from((await client.ask('GET', text)) as string, 'latin1')
          .toString()
          .slice(0, text.length),
        text,
      );
    t.equal(await client.ask('PING'), 'PONG', 'still in step');

    t.same(await server.stop(), { code: 0, signal: null });
    const lines = server.stderr().trimEnd().split('\n');
    t.ok(lines.length > 10);
    for (const line of lines) {
      if (acting.test(line)) t.fail(`the log: ${JSON.stringify(line)}`);
      if (format === 'json') {
        const { level, event } = JSON.parse(line) as { level: string; event: string };
        t.ok(event !== 'forged' && /^(debug|info|warn|error)$/.test(level));
      } else if (!/^\d{4}-\d\d-\d\dT[\d:.]+Z (debug|info |warn |error) /.test(line) || line.startsWith(FORGED)) {
        t.fail(`the log: ${JSON.stringify(line)}`);
      }
    }
    const records = readFileSync(audit, 'utf8').trimEnd().split('\n');
    t.ok(records.length > 10);
    for (const line of records) {
      if (acting.test(line)) t.fail(`the audit log: ${JSON.stringify(line)}`);
      t.doesNotThrow(() => JSON.parse(line), line.slice(0, 200));
    }
  });
}

t.test('G1: an error that nobody expected cannot write lines of its own into the log', async (t) => {
  for (const format of ['text', 'json'] as const) {
    const lines: string[] = [];
    const log = createLog({ format, sink: { write: (line) => void lines.push(line) } });
    log.error('failed', {
      error: new Error(`about 'x\n${FORGED}\n    at forged (\u009b\r)'`),
      key: '\u2028\u202e\ufeff',
    });
    const text = lines.join('');
    t.notMatch(text, new RegExp(`^${FORGED}`, 'm'));
    t.notMatch(text.replaceAll('\n', ''), acting);
    if (format === 'json')
      t.equal((JSON.parse(text) as { key: string }).key, '\u2028\u202e\ufeff', 'the same text for programs');
    else for (const line of text.trimEnd().split('\n').slice(1)) t.match(line, /^ +at /);
  }
});
