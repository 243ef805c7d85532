/**
 * DUMP and RESTORE: one value as the bytes of Redis's RDB files, so that it can go from one server to another, Redis
 * included. The order of the checks is Redis's: options, the key, the time, the checksum, the value.
 */
import { CairnError } from '../base/errors.js';
import { decodeDump, encodeDump } from '../rdb/dump-payload.js';
import { OK, type Reply } from '../resp/reply.js';
import type { DataCommand } from './command.js';
import { afterNow, toMs } from './expire-time.js';
import { integer } from './integers.js';
import { syntaxError, word } from './words.js';

const dump: DataCommand = {
  name: 'dump',
  kind: 'data',
  run(tx, args, { database }) {
    const value = tx.get(database, args[0] as Buffer);
    return value === undefined ? null : encodeDump(value.bytes);
  },
};

const restore: DataCommand = {
  name: 'restore',
  kind: 'data',
  run(tx, args, { database, maxStringBytes }): Reply {
    const [key, ttlText, payload, ...words] = args as [Buffer, Buffer, Buffer, ...Buffer[]];
    const { replace, absolute } = parseOptions(words);
    if (!replace && tx.get(database, key) !== undefined) {
      throw new CairnError('BUSYKEY', 'Target key name already exists.');
    }
    const ttl = BigInt(integer(ttlText));
    if (ttl < 0n) throw new CairnError('ERR', 'Invalid TTL value, must be >= 0');
    const bytes = decodeDump(payload, maxStringBytes);
    if (bytes === 'checksum') throw new CairnError('ERR', 'DUMP payload version or checksum are wrong');
    if (bytes === 'format') throw new CairnError('ERR', 'Bad data format');
    const expiresAtMs = ttl === 0n ? null : absolute ? toMs(ttl) : afterNow(ttl, tx.nowMs);
    if (expiresAtMs === null || expiresAtMs > tx.nowMs) {
      tx.put(database, key, { type: 'string', bytes, expiresAtMs });
    } else {
      tx.delete(database, key);
    }
    return OK;
  },
};

/** IDLETIME and FREQ are checked, and then nothing: Cairn keeps neither. */
function parseOptions(words: readonly Buffer[]): { replace: boolean; absolute: boolean } {
  const given = { replace: false, absolute: false };
  let use: 'IDLETIME' | 'FREQ' | null = null;
  for (let at = 0; at < words.length; at += 1) {
    const option = word(words[at] as Buffer);
    const value = words[at + 1];
    if (option === 'REPLACE') given.replace = true;
    else if (option === 'ABSTTL') given.absolute = true;
    else if ((option === 'IDLETIME' || option === 'FREQ') && value !== undefined && (use ?? option) === option) {
      requireUse(option, integer(value));
      use = option;
      at += 1;
    } else throw syntaxError();
  }
  return given;
}

function requireUse(option: 'IDLETIME' | 'FREQ', value: number | bigint): void {
  if (option === 'IDLETIME' && value < 0) throw new CairnError('ERR', 'Invalid IDLETIME value, must be >= 0');
  if (option === 'FREQ' && (value < 0 || value > 255)) {
    throw new CairnError('ERR', 'Invalid FREQ value, must be >= 0 and <= 255');
  }
}

export const dumpCommands: readonly DataCommand[] = [dump, restore];
