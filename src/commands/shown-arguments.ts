/**
 * The arguments of a request as SLOWLOG and MONITOR show them, in Redis's form: passwords (and the name that goes with
 * one) are "(redacted)".
 */
import { secretPositions } from './masked.js';

const REDACTED = Buffer.from('(redacted)');
const SLOW_LOG_ARGUMENTS = 32;
const SLOW_LOG_BYTES = 128;

/** Requests that may hold a secret, by their first word. */
const withSecrets = /^(auth|hello|config|acl)$/i;

export function redacted(argv: readonly Buffer[]): readonly Buffer[] {
  const name = (argv[0] as Buffer).toString('latin1', 0, 8);
  if (!withSecrets.test(name)) return argv;
  const secret = secretPositions(argv);
  const isSecret = (at: number): boolean => {
    if (secret.has(at)) return true;
    // The user's name, ahead of the password.
    if (/^(auth|hello)$/i.test(name)) return at > 0 && secret.has(at + 1);
    // All of ACL SETUSER.
    return /^acl$/i.test(name) && at > 1 && secret.size > 0;
  };
  return argv.map((arg, at) => (isSecret(at) ? REDACTED : arg));
}

/** Cut as Redis cuts them: 32 arguments, 128 bytes of each. The bytes are copies: a request's buffer is not kept. */
export function slowLogArguments(argv: readonly Buffer[]): Buffer[] {
  const shown = argv.length > SLOW_LOG_ARGUMENTS ? SLOW_LOG_ARGUMENTS - 1 : argv.length;
  const result = redacted(argv).slice(0, shown).map(cut);
  if (shown < argv.length) result.push(Buffer.from(`... (${argv.length - shown} more arguments)`));
  return result;
}

function cut(arg: Buffer): Buffer {
  if (arg.length <= SLOW_LOG_BYTES) return Buffer.from(arg);
  const rest = Buffer.from(`... (${arg.length - SLOW_LOG_BYTES} more bytes)`);
  return Buffer.concat([arg.subarray(0, SLOW_LOG_BYTES), rest]);
}
