/**
 * Assertions: what must hold if the program is right. One that fails is a bug in Cairn, never the user's doing, and
 * says so; it is not a CairnError, so no code of the error table is spent on it.
 */
export class AssertionFailed extends Error {
  override readonly name = 'AssertionFailed';
  constructor(what: string) {
    super(`bug in Cairn: ${what}`);
  }
}

export function assert(condition: unknown, what: string): asserts condition {
  if (!condition) throw new AssertionFailed(what);
}

/** For the default of a switch over all cases. */
export function unreachable(value: never): never {
  throw new AssertionFailed(`unexpected ${JSON.stringify(value)}`);
}
