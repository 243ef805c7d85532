/** CONFIG: reads and changes settings while the server runs. What a setting is, is src/config's to know. */
import { CairnError } from '../base/errors.js';
import { MapReply, OK } from '../resp/reply.js';
import type { ServerCommand } from './command.js';
import { syntaxError } from './words.js';

const get: ServerCommand = {
  name: 'config|get',
  kind: 'server',
  run({ services, args }) {
    return new MapReply(services.config.configGet(args.map((pattern) => pattern.toString('utf8'))));
  },
};

const set: ServerCommand = {
  name: 'config|set',
  kind: 'server',
  run({ services, args }) {
    const { config, log } = services;
    if (args.length % 2 !== 0) throw syntaxError();
    const pairs: [string, string][] = [];
    for (let at = 0; at < args.length; at += 2) {
      const name = textOf(args[at] as Buffer);
      const value = textOf(args[at + 1] as Buffer);
      if (value === null || name === null) {
        throw new CairnError(
          'ERR',
          `CONFIG SET failed (possibly related to argument '${name}') - argument must be UTF-8`,
        );
      }
      pairs.push([name, value]);
    }
    const changed = config.configSet(pairs);
    if (changed.length > 0) log.info('settings changed', { settings: Object.fromEntries(config.configGet(changed)) });
    return OK;
  },
};

const rewrite: ServerCommand = {
  name: 'config|rewrite',
  kind: 'server',
  async run({ services: { config, log } }) {
    const outvoted = await config.rewrite();
    log.info('configuration file rewritten', { file: config.file });
    if (outvoted.length > 0) {
      log.warn('the environment or the command line gives these too, and wins over the file at the next start', {
        settings: outvoted,
      });
    }
    return OK;
  },
};

const resetStat: ServerCommand = {
  name: 'config|resetstat',
  kind: 'server',
  run({ services }) {
    services.server.resetStatistics();
    return OK;
  },
};

/** CONFIG HELP is made from protocol/, with all other HELPs. */
export const configCommands: readonly ServerCommand[] = [get, set, rewrite, resetStat];

/** null: a replacement character would stand for bytes that are not UTF-8, in a password too. */
function textOf(bytes: Buffer): string | null {
  const text = bytes.toString('utf8');
  return Buffer.from(text, 'utf8').equals(bytes) ? text : null;
}
