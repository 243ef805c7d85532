/** CLIENT: who is connected, and what a connection says of itself. Texts and the line's form are Redis 7's. */
import { CairnError } from '../base/errors.js';
import { OK, type Reply, Verbatim } from '../resp/reply.js';
import { isClientType } from './client-types.js';
import type { Call, Command, ServerCommand } from './command.js';
import { readInteger } from './integers.js';
import type { Session } from './session.js';
import { syntaxError } from './words.js';

const command = (name: string, run: (call: Call) => Reply): ServerCommand => ({
  name: `client|${name}`,
  kind: 'server',
  run,
});

export const clientCommands: readonly Command[] = [
  command('id', ({ session }) => session.id),
  command('getname', ({ session }) => (session.name === '' ? null : session.name)),
  command('setname', ({ session, args }) => {
    session.name = clientName(args[0] as Buffer);
    return OK;
  }),
  command('setinfo', setInfo),
  command('list', list),
  command('info', ({ session }) => new Verbatim('txt', `${describeClient(session, Date.now())}\n`)),
  command('no-evict', ({ session, args }) => {
    session.noEvict = onOrOff(args[0] as Buffer);
    return OK;
  }),
  command('no-touch', ({ session, args }) => {
    session.noTouch = onOrOff(args[0] as Buffer);
    return OK;
  }),
];

/** Names show in CLIENT LIST, between blanks. */
export function clientName(text: Buffer): string {
  return printable(text, 'Client names');
}

function setInfo({ session, args }: Call): Reply {
  const [attribute, value] = args as [Buffer, Buffer];
  const name = attribute.toString();
  switch (name.toLowerCase()) {
    case 'lib-name':
      session.libraryName = printable(value, 'lib-name');
      break;
    case 'lib-ver':
      session.libraryVersion = printable(value, 'lib-ver');
      break;
    default:
      throw new CairnError('ERR', `Unrecognized option '${name}'`);
  }
  return OK;
}

function printable(text: Buffer, what: string): string {
  for (const byte of text) {
    if (byte < 0x21 || byte > 0x7e) {
      throw new CairnError('ERR', `${what} cannot contain spaces, newlines or special characters.`);
    }
  }
  return text.toString('latin1');
}

function onOrOff(text: Buffer): boolean {
  const word = text.toString().toLowerCase();
  if (word !== 'on' && word !== 'off') throw syntaxError();
  return word === 'on';
}

function list({ services, args }: Call): Reply {
  const wanted = filter(args);
  const now = Date.now();
  let text = '';
  for (const session of services.server.sessions()) if (wanted(session)) text += `${describeClient(session, now)}\n`;
  return new Verbatim('txt', text);
}

/** [TYPE type] or [ID id …] */
function filter(args: readonly Buffer[]): (session: Session) => boolean {
  const option = args[0]?.toString().toLowerCase();
  if (option === undefined) return () => true;
  if (option === 'type' && args.length === 2) {
    const type = (args[1] as Buffer).toString();
    if (!isClientType(type.toLowerCase())) throw new CairnError('ERR', `Unknown client type '${type}'`);
    return () => type.toLowerCase() === 'normal';
  }
  if (option === 'id' && args.length >= 2) {
    const ids = new Set(args.slice(1).map(clientId));
    return (session) => ids.has(session.id);
  }
  throw syntaxError();
}

function clientId(text: Buffer): number {
  const id = readInteger(text);
  if (id === null) throw new CairnError('ERR', 'Invalid client ID');
  return Number(id);
}

/** One line; what Cairn has no notion of has the value that Redis shows for a plain client. */
export function describeClient(session: Session, nowMs: number): string {
  const { transaction, pendingInputBytes: qbuf, pendingOutputBytes: omem } = session;
  const fields: [string, string | number][] = [
    ['id', session.id],
    ['addr', session.address],
    ['laddr', session.localAddress],
    ['fd', -1],
    ['name', session.name],
    ['age', Math.trunc((nowMs - session.connectedAtMs) / 1000)],
    ['idle', Math.trunc((nowMs - session.lastCommandAtMs) / 1000)],
    ['flags', flags(session)],
    ['db', session.database],
    ['sub', 0],
    ['psub', 0],
    ['ssub', 0],
    ['multi', transaction === null ? -1 : transaction.commands.length],
    ['qbuf', qbuf],
    ['qbuf-free', 0],
    ['argv-mem', 0],
    ['multi-mem', transaction?.bytes ?? 0],
    ['rbs', 0],
    ['rbp', 0],
    ['obl', 0],
    ['oll', omem > 0 ? 1 : 0],
    ['omem', omem],
    ['tot-mem', qbuf + omem + (transaction?.bytes ?? 0)],
    ['events', 'r'],
    ['cmd', session.lastCommand === '' ? 'NULL' : session.lastCommand],
    ['user', session.user],
    ['redir', -1],
    ['resp', session.protocol],
    ['lib-name', session.libraryName],
    ['lib-ver', session.libraryVersion],
  ];
  return fields.map(([name, value]) => `${name}=${value}`).join(' ');
}

function flags(session: Session): string {
  const set = [
    session.monitoring && 'O',
    session.transaction !== null && 'x',
    session.waiting !== null && 'b',
    session.watch?.touched && 'd',
    session.noEvict && 'e',
    session.noTouch && 'T',
    session.address.startsWith('/') && 'U',
  ].filter((flag) => typeof flag === 'string');
  return set.length === 0 ? 'N' : set.join('');
}
