/** The number of a logical database in an argument, as Redis reads it: an int first, and then one that there is. */
import { CairnError } from '../base/errors.js';
import { readInteger } from './integers.js';

const INT32_MIN = -(2 ** 31);
const INT32_MAX = 2 ** 31 - 1;

export function databaseIndex(text: Buffer, databases: number): number {
  const index = readInteger(text);
  if (index === null) throw new CairnError('ERR', 'value is not an integer or out of range');
  if (index < INT32_MIN || index > INT32_MAX) {
    throw new CairnError('ERR', `value is out of range, value must between ${INT32_MIN} and ${INT32_MAX}`);
  }
  if (index < 0 || index >= databases) throw new CairnError('ERR', 'DB index is out of range');
  return Number(index);
}
