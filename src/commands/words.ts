/** Option words: short, in any case. */
import { CairnError } from '../base/errors.js';

const LONGEST_WORD = 64;

/** In capitals; '' for what is too long to be an option word. */
export function word(arg: Buffer): string {
  return arg.length > LONGEST_WORD ? '' : arg.toString('latin1').toUpperCase();
}

export function syntaxError(): CairnError {
  return new CairnError('ERR', 'syntax error');
}
