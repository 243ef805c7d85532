/**
 * CLIENT TRACKING and what goes with it. The server does not remember who read what, so tracking is off and stays off:
 * a client library that would keep values because it counts on being told of changes is refused.
 */
import { CairnError } from '../base/errors.js';
import { MapReply, OK, type Reply, SetReply } from '../resp/reply.js';
import type { Call, Command } from './command.js';
import { readInteger } from './integers.js';
import { syntaxError, word } from './words.js';

export const clientTrackingCommands: readonly Command[] = [
  { name: 'client|tracking', kind: 'server', run: tracking },
  {
    name: 'client|caching',
    kind: 'server',
    run() {
      throw new CairnError(
        'ERR',
        'CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled',
      );
    },
  },
  {
    name: 'client|trackinginfo',
    kind: 'server',
    run: () =>
      new MapReply([
        ['flags', new SetReply(['off'])],
        ['redirect', -1],
        ['prefixes', []],
      ]),
  },
  { name: 'client|getredir', kind: 'server', run: () => -1 },
];

function tracking({ services, args }: Call): Reply {
  for (let at = 1; at < args.length; at++) {
    const option = word(args[at] as Buffer);
    const value = args[at + 1];
    if (option === 'REDIRECT' && value !== undefined) {
      const id = readInteger(value);
      if (id === null) throw new CairnError('ERR', 'value is not an integer or out of range');
      if (![...services.server.sessions()].some((session) => session.id === Number(id))) {
        throw new CairnError('ERR', 'The client ID you want redirect to does not exist');
      }
      at++;
    } else if (option === 'PREFIX' && value !== undefined) {
      at++;
    } else if (!['BCAST', 'OPTIN', 'OPTOUT', 'NOLOOP'].includes(option)) {
      throw syntaxError();
    }
  }
  const wanted = word(args[0] as Buffer);
  if (wanted === 'OFF') return OK;
  if (wanted !== 'ON') throw syntaxError();
  throw new CairnError('ERR', 'client tracking is not available: Cairn does not notify clients of changed keys');
}
