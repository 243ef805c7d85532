/** Why a rule is no rule. The texts are Redis's: tools match on them. None repeats the rule, which may be a password. */
export class RuleError extends Error {
  override readonly name = 'RuleError';
}

export const syntax = (): RuleError => new RuleError('Syntax error');

/** The one refusal that is no use without the rule's own text; such a rule holds a name, no secret. */
export class UnknownName extends RuleError {
  constructor() {
    super('Unknown command or category name in ACL');
  }
}

/** Names and patterns stand between blanks, in replies and in the file. */
export function hasBlanks(text: string): boolean {
  return /[\0\t\n\v\f\r ]/.test(text);
}

/** A rule for an error text: what may be a password or a hash is left out, and what stands after a NUL. */
export function withoutSecrets(rule: string): string {
  const [shown = ''] = rule.split('\0');
  return shown.replace(/(^|[\s(])([>#<!])[^\s)]*/g, '$1$2(redacted)');
}
