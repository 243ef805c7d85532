/** What a client says about its connection: PING, ECHO, QUIT, RESET, SELECT, HELLO, AUTH. Texts are Redis 7's. */
import type { DeniedContext } from '../acl/denials.js';
import { CairnError } from '../base/errors.js';
import { Encoded, MapReply, OK, type Reply, Simple } from '../resp/reply.js';
import { clientName } from './client.js';
import type { Call, Command, ServerCommand } from './command.js';
import { databaseIndex } from './database-index.js';
import { readInteger } from './integers.js';
import { syntaxError } from './words.js';

/** What clients that look at the version of the server expect. */
export const COMPATIBLE_REDIS_VERSION = '7.0.15';

const PONG = new Encoded(Buffer.from('+PONG\r\n'));

const ping: ServerCommand = {
  name: 'ping',
  kind: 'server',
  run({ args }) {
    if (args.length > 1) throw new CairnError('ERR', `wrong number of arguments for 'ping' command`);
    return args[0] ?? PONG;
  },
};

const echo: ServerCommand = { name: 'echo', kind: 'server', run: ({ args }) => args[0] as Buffer };

const quit: ServerCommand = {
  name: 'quit',
  kind: 'server',
  run({ session }) {
    session.closeAfterReply();
    return OK;
  },
};

const reset: ServerCommand = {
  name: 'reset',
  kind: 'server',
  run({ session }) {
    session.reset();
    return new Simple('RESET');
  },
};

const select: ServerCommand = {
  name: 'select',
  kind: 'server',
  run({ session, services, args }) {
    session.database = databaseIndex(args[0] as Buffer, services.server.databases);
    return OK;
  },
};

const auth: ServerCommand = {
  name: 'auth',
  kind: 'server',
  run(call) {
    const waiting = login(call, 'toplevel');
    return waiting === undefined ? OK : waiting.then(() => OK);
  },
  // Inside EXEC no login waits.
  runQueued(_, call) {
    login(call, 'multi');
    return OK;
  },
};

const hello: ServerCommand = {
  name: 'hello',
  kind: 'server',
  run(call) {
    const wanted = parseHello(call.args);
    const waiting = authenticate(call, wanted, 'toplevel');
    return waiting === undefined ? greet(call, wanted) : waiting.then(() => greet(call, wanted));
  },
  runQueued(_, call) {
    const wanted = parseHello(call.args);
    authenticate(call, wanted, 'multi');
    return greet(call, wanted);
  },
};

export const connectionCommands: readonly Command[] = [ping, echo, quit, reset, select, hello, auth];

function login({ args, session, services }: Call, context: DeniedContext): void | Promise<void> {
  if (args.length > 2) throw syntaxError();
  const [first, second] = args as [Buffer, Buffer?];
  const [user, password] = second === undefined ? [null, first] : [first.toString(), second];
  return services.server.authenticate(session, { user, password, command: 'AUTH', context });
}

interface Hello {
  protocol: 2 | 3 | null;
  credentials: { user: string; password: Buffer } | null;
  name: string | null;
}

function parseHello(args: readonly Buffer[]): Hello {
  const hello: Hello = { protocol: null, credentials: null, name: null };
  if (args.length === 0) return hello;
  const version = readInteger(args[0] as Buffer);
  if (version === null) throw new CairnError('ERR', 'Protocol version is not an integer or out of range');
  if (version !== 2 && version !== 3) throw new CairnError('NOPROTO', 'unsupported protocol version');
  hello.protocol = version;
  for (let at = 1; at < args.length; at++) {
    const option = (args[at] as Buffer).toString();
    const left = args.length - at - 1;
    if (option.toUpperCase() === 'AUTH' && left >= 2) {
      hello.credentials = { user: (args[at + 1] as Buffer).toString(), password: args[at + 2] as Buffer };
      at += 2;
    } else if (option.toUpperCase() === 'SETNAME' && left >= 1) {
      hello.name = clientName(args[at + 1] as Buffer);
      at += 1;
    } else {
      throw new CairnError('ERR', `Syntax error in HELLO option '${option}'`);
    }
  }
  return hello;
}

function authenticate(
  { session, services }: Call,
  { credentials }: Hello,
  context: DeniedContext,
): void | Promise<void> {
  if (credentials === null) return;
  return services.server.authenticate(session, { ...credentials, command: 'HELLO', context });
}

function greet({ session }: Call, { protocol, name }: Hello): Reply {
  if (!session.authenticated) {
    throw new CairnError(
      'NOAUTH',
      'HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> ' +
        'option can be used to authenticate the client and select the RESP protocol version at the same time',
    );
  }
  if (name !== null) session.name = name;
  if (protocol !== null) session.protocol = protocol;
  return new MapReply([
    ['server', 'redis'],
    ['version', COMPATIBLE_REDIS_VERSION],
    ['proto', session.protocol],
    ['id', session.id],
    ['mode', 'standalone'],
    ['role', 'master'],
    ['modules', []],
  ]);
}
