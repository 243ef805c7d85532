/** SLOWLOG: commands that took at least slowlog_log_slower_than microseconds. What is measured: docs/operating.md. */
import { CairnError } from '../base/errors.js';
import { OK, type Reply } from '../resp/reply.js';
import type { Call, Command } from './command.js';
import { readInteger } from './integers.js';
import { subcommandError } from './words.js';

const SHOWN_ENTRIES = 10;

export const slowLogCommands: readonly Command[] = [
  { name: 'slowlog|get', kind: 'server', run: get },
  { name: 'slowlog|len', kind: 'server', run: ({ services }) => services.server.statistics.slowLog.length },
  {
    name: 'slowlog|reset',
    kind: 'server',
    run({ services }) {
      services.server.statistics.slowLog.reset();
      return OK;
    },
  },
];

function get({ args, services }: Call): Reply {
  if (args.length > 1) throw subcommandError('SLOWLOG', 'GET');
  const [text] = args;
  const count = text === undefined ? SHOWN_ENTRIES : readInteger(text);
  if (count === null || count < -1) throw new CairnError('ERR', 'count should be greater than or equal to -1');
  return services.server.statistics.slowLog
    .latest(count < 0 ? Number.POSITIVE_INFINITY : Number(count))
    .map(({ id, timeSeconds, us, argv, client, clientName }) => [id, timeSeconds, us, argv, client, clientName]);
}
