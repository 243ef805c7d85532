/**
 * CLIENT KILL, PAUSE, UNPAUSE, REPLY and UNBLOCK: what one connection does to others, or to its own replies. Texts are
 * Redis 7's.
 */
import type { Users } from '../acl/users.js';
import { CairnError } from '../base/errors.js';
import { NO_REPLY, OK, type Reply } from '../resp/reply.js';
import { isClientType } from './client-types.js';
import type { Call, Command } from './command.js';
import { readInteger } from './integers.js';
import type { Session } from './session.js';
import { subcommandError, syntaxError, word } from './words.js';

export const clientControlCommands: readonly Command[] = [
  { name: 'client|kill', kind: 'server', run: kill },
  { name: 'client|pause', kind: 'server', run: pause },
  {
    name: 'client|unpause',
    kind: 'server',
    run({ services }) {
      services.server.pause.end();
      return OK;
    },
  },
  { name: 'client|unblock', kind: 'server', run: unblock },
  {
    name: 'client|reply',
    kind: 'server',
    run: ({ session, args }) => switchReplies(session, replyMode(args[0] as Buffer)),
    runQueued(_, { args }) {
      // Without its place in EXEC's array the client could not follow the rest.
      if (replyMode(args[0] as Buffer) !== 'on') {
        throw new CairnError('ERR', 'CLIENT REPLY OFF and SKIP are not allowed inside a transaction');
      }
      return OK;
    },
  },
];

// ── KILL ──────────────────────────────────────────────────────────────────────────────────────────────────────────

interface Filter {
  id: number | null;
  address: string | null;
  localAddress: string | null;
  user: string | null;
  type: string | null;
  skipMe: boolean;
}

function kill({ session, services, args }: Call): Reply {
  const { server } = services;
  if (args.length === 1) {
    const address = (args[0] as Buffer).toString('latin1');
    const found = [...server.sessions()].find((other) => other.address === address);
    if (found === undefined) throw new CairnError('ERR', 'No such client');
    end(found, session);
    return OK;
  }
  const filter = killFilter(args, services.users);
  let killed = 0;
  for (const other of [...server.sessions()]) {
    if (!fits(other, filter) || (filter.skipMe && other === session)) continue;
    end(other, session);
    killed++;
  }
  return killed;
}

/** Who asks is answered first. */
function end(session: Session, asker: Session): void {
  if (session === asker) session.closeAfterReply();
  else session.close();
}

function killFilter(args: readonly Buffer[], users: Users): Filter {
  const filter: Filter = { id: null, address: null, localAddress: null, user: null, type: null, skipMe: true };
  for (let at = 0; at < args.length; at += 2) {
    const value = args[at + 1];
    if (value === undefined) throw syntaxError();
    const text = value.toString('latin1');
    switch (word(args[at] as Buffer)) {
      case 'ID':
        filter.id = clientId(value);
        break;
      case 'TYPE':
        filter.type = text.toLowerCase();
        if (!isClientType(filter.type)) throw new CairnError('ERR', `Unknown client type '${text}'`);
        break;
      case 'ADDR':
        filter.address = text;
        break;
      case 'LADDR':
        filter.localAddress = text;
        break;
      case 'USER':
        filter.user = value.toString('utf8');
        if (users.get(filter.user) === undefined) throw new CairnError('ERR', `No such user '${filter.user}'`);
        break;
      case 'SKIPME':
        filter.skipMe = yesOrNo(value);
        break;
      default:
        throw syntaxError();
    }
  }
  return filter;
}

function fits(session: Session, { id, address, localAddress, user, type }: Filter): boolean {
  if (id !== null && session.id !== id) return false;
  if (address !== null && session.address !== address) return false;
  if (localAddress !== null && session.localAddress !== localAddress) return false;
  if (user !== null && !(session.authenticated && session.user === user)) return false;
  return type === null || type === 'normal';
}

function clientId(text: Buffer): number {
  const id = readInteger(text);
  if (id === null || id < 1) throw new CairnError('ERR', 'client-id should be greater than 0');
  return Number(id);
}

function yesOrNo(text: Buffer): boolean {
  const answer = word(text);
  if (answer !== 'YES' && answer !== 'NO') throw syntaxError();
  return answer === 'YES';
}

// ── PAUSE ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/** More milliseconds than that are as good as for ever, and still a number that adds up. */
const LONGEST_PAUSE_MS = 2 ** 52;

function pause({ services, args }: Call): Reply {
  if (args.length > 2) throw subcommandError('CLIENT', 'PAUSE');
  const [time, mode] = args as [Buffer, Buffer?];
  const kind = mode === undefined ? 'ALL' : word(mode);
  if (kind !== 'ALL' && kind !== 'WRITE') throw new CairnError('ERR', 'CLIENT PAUSE mode must be WRITE or ALL');
  const ms = readInteger(time);
  if (ms === null) throw new CairnError('ERR', 'timeout is not an integer or out of range');
  if (ms < 0) throw new CairnError('ERR', 'timeout is negative');
  services.server.pause.begin(Math.min(Number(ms), LONGEST_PAUSE_MS), kind === 'WRITE');
  return OK;
}

// ── UNBLOCK ───────────────────────────────────────────────────────────────────────────────────────────────────────

function unblock({ services, args }: Call): Reply {
  if (args.length > 2) throw subcommandError('CLIENT', 'UNBLOCK');
  const [idText, reason] = args as [Buffer, Buffer?];
  const how = reason === undefined ? 'TIMEOUT' : word(reason);
  if (how !== 'TIMEOUT' && how !== 'ERROR') {
    throw new CairnError('ERR', 'CLIENT UNBLOCK reason should be TIMEOUT or ERROR');
  }
  const id = readInteger(idText);
  if (id === null) throw new CairnError('ERR', 'value is not an integer or out of range');
  for (const session of services.server.sessions()) {
    if (session.id !== Number(id) || session.waiting === null) continue;
    session.waiting.unblock(
      how === 'ERROR' ? new CairnError('UNBLOCKED', 'client unblocked via CLIENT UNBLOCK') : null,
    );
    return 1;
  }
  return 0;
}

// ── REPLY ─────────────────────────────────────────────────────────────────────────────────────────────────────────

type ReplyMode = 'on' | 'off' | 'skip';

function replyMode(text: Buffer): ReplyMode {
  const mode = word(text).toLowerCase();
  if (mode !== 'on' && mode !== 'off' && mode !== 'skip') throw syntaxError();
  return mode;
}

function switchReplies(session: Session, mode: ReplyMode): Reply {
  if (mode === 'on') {
    session.replies = 'on';
    return OK;
  }
  if (mode === 'off') session.replies = 'off';
  else if (session.replies !== 'off') session.replies = 'skip next';
  return NO_REPLY;
}
