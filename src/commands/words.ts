/** Option words: short, in any case. */
import { CairnError } from '../base/errors.js';

const LONGEST_WORD = 64;

/** In capitals; '' for what is too long to be an option word. */
export function word(arg: Buffer): string {
  return arg.length > LONGEST_WORD ? '' : arg.toString('latin1').toUpperCase();
}

/** Of a subcommand that got more than it knows what to do with. */
export function subcommandError(container: string, subcommand: string): CairnError {
  return new CairnError(
    'ERR',
    `unknown subcommand or wrong number of arguments for '${subcommand}'. Try ${container} HELP.`,
  );
}

export function syntaxError(): CairnError {
  return new CairnError('ERR', 'syntax error');
}
