/**
 * A request as text that may be kept: passwords and their hashes masked, long arguments cut, every byte that is not
 * printable UTF-8 escaped as \xNN. What a request should have been decides what is a secret in it, also when it is
 * misspelt or has too many arguments: where there is doubt the argument is masked.
 */
import { isSecretName } from '../config/judge.js';

export interface Masked {
  readonly argv: readonly string[];
  /** What was masked, as it came: it must not come back in the text of an error. */
  readonly secrets: readonly Buffer[];
}

const MASK = '[secret]';
const SHOWN_ARGUMENTS = 32;
const SHOWN_BYTES = 128;

/** ACL rules that hold no password. */
const aclRule =
  /^(on|off|nopass|resetpass|reset(keys|channels)?|all(keys|channels|commands)|nocommands|clearselectors|(skip-)?sanitize-payload|[+\-~&%@(].*|.*\))$/is;

export function masked(argv: readonly Buffer[]): Masked {
  const hidden = secretPositions(argv);
  const shown = argv.slice(0, SHOWN_ARGUMENTS).map((arg, at) => (hidden.has(at) ? maskOf(arg) : printable(arg)));
  if (argv.length > SHOWN_ARGUMENTS) shown.push(`... (${argv.length - SHOWN_ARGUMENTS} more arguments)`);
  return { argv: shown, secrets: [...hidden].map((at) => argv[at] as Buffer) };
}

/** The text without any of the secrets in it, also where it repeats only their beginning. */
export function withoutSecrets(text: string, secrets: readonly Buffer[]): string {
  let result = text;
  for (const secret of secrets) {
    for (const form of [secret.toString('utf8'), secret.toString('utf8', 0, SHOWN_BYTES)]) {
      if (form !== '') result = result.replaceAll(form, MASK);
    }
  }
  return result;
}

export function secretPositions(argv: readonly Buffer[]): Set<number> {
  const words = argv.map((arg) => arg.toString('latin1', 0, Math.min(arg.length, 64)).toLowerCase());
  const positions = new Set<number>();
  const hideFrom = (first: number, last = argv.length - 1) => {
    for (let at = first; at <= last; at++) positions.add(at);
  };
  switch (words[0]) {
    case 'auth':
      hideFrom(argv.length === 3 ? 2 : 1);
      break;
    case 'hello': {
      const at = words.indexOf('auth');
      if (at === -1) break;
      // HELLO 3 AUTH user password [SETNAME name]; anything else may have its words in the wrong order.
      const rest = argv.length - at;
      const wellFormed = rest === 3 || (rest === 5 && words[at + 3] === 'setname');
      if (wellFormed) positions.add(at + 2);
      else hideFrom(at + 1);
      break;
    }
    case 'config':
      for (let at = 2; at < argv.length; at++) if (at > 2 && isSecretName(words[at - 1] ?? '')) positions.add(at);
      break;
    case 'acl':
      hideAcl(argv, words, positions);
      break;
  }
  return positions;
}

function hideAcl(argv: readonly Buffer[], words: readonly string[], positions: Set<number>): void {
  const [, subcommand = ''] = words;
  const holdsNoRules = [
    'deluser',
    'getuser',
    'list',
    'users',
    'whoami',
    'cat',
    'log',
    'load',
    'save',
    'genpass',
    'help',
  ];
  if (holdsNoRules.includes(subcommand)) return;
  if (subcommand === 'dryrun') {
    for (const at of secretPositions(argv.slice(3))) positions.add(at + 3);
    return;
  }
  const isRule = (at: number) => {
    const text = (argv[at] as Buffer).toString('utf8');
    // A selector holds no password; one that was put there by mistake is one all the same.
    return aclRule.test(text) && !/[\s(][><#!]/.test(text);
  };
  for (let at = 2; at < argv.length; at++) {
    const isUser = at === 2 && !/^[><#!]/.test(words[at] ?? '');
    if (!isUser && !isRule(at)) positions.add(at);
  }
}

/** The sign of an ACL rule says what was done with the password. */
function maskOf(arg: Buffer): string {
  const first = String.fromCharCode(arg[0] ?? 0);
  return '><#!'.includes(first) && arg.length > 0 ? `${first}${MASK}` : MASK;
}

/** For a log, a line, a terminal. */
export function printable(bytes: Buffer): string {
  const cut = bytes.length > SHOWN_BYTES;
  const text = escaped(cut ? bytes.subarray(0, SHOWN_BYTES) : bytes, cut);
  return cut ? `${text}... (${bytes.length} bytes)` : text;
}

function escaped(bytes: Buffer, cut: boolean): string {
  let text = bytes.toString('utf8');
  // A character that was cut in two is no reason to take the rest for binary.
  if (cut) text = text.replace(/\uFFFD{1,3}$/, '');
  const isText = bytes.subarray(0, Buffer.byteLength(text)).equals(Buffer.from(text));
  if (!isText) text = bytes.toString('latin1');
  const hex = (char: string) =>
    [...(isText ? Buffer.from(char) : Buffer.from(char, 'latin1'))]
      .map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`)
      .join('');
  const special = isText ? /[\p{C}\p{Zl}\p{Zp}]/gu : /[^\x20-\x7e]/g;
  return text.replaceAll('\\', '\\\\').replace(special, hex);
}
