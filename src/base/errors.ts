/**
 * The one error class. Every failure that can reach a user is built here, from the table in
 * protocol/errors.json, so that code, severity, kind and remedies cannot drift apart.
 *
 * kind decides what happens to it:
 *   user       reply only (a wrong id, a bad option)
 *   operator   reply, log, alarm (disk full, permission)
 *   transient  retried in one place, then operator
 *   corrupt    never retried; names the object and what was expected
 */
import { type ErrorCode, errorTable } from './error-table.generated.js';
import { oneLine } from './printable.js';

export type { ErrorCode };
export { oneLine };
export type ErrorKind = 'user' | 'operator' | 'transient' | 'corrupt';

export interface ErrorContext {
  /** What to do about it; a full sentence. Default: the table's first remedy, which Redis's own codes do not have. */
  hint?: string;
  /** Names and numbers for programs: ids, file names, byte counts. */
  details?: Record<string, unknown>;
  cause?: unknown;
}

export class CairnError extends Error {
  override readonly name = 'CairnError';
  readonly code: ErrorCode;
  readonly hint: string;
  readonly details: Record<string, unknown>;

  constructor(code: ErrorCode, what: string, context: ErrorContext = {}) {
    super(what, context.cause === undefined ? undefined : { cause: context.cause });
    this.code = code;
    this.hint = context.hint ?? errorTable[code].remedy;
    this.details = context.details ?? {};
  }

  get kind(): ErrorKind {
    return errorTable[this.code].kind;
  }

  /** The error reply without its leading '-': `CODE what happened. what to do`, one line, printable. */
  get line(): string {
    const text = this.hint === '' ? this.message : `${endSentence(this.message)} ${this.hint}`;
    return `${this.code} ${oneLine(text)}`;
  }
}

function endSentence(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

/** Turns whatever was thrown into a CairnError; `fallback` is the code for what is not one yet. */
export function toCairnError(thrown: unknown, fallback: ErrorCode, what?: string): CairnError {
  if (thrown instanceof CairnError) return thrown;
  const reason = thrown instanceof Error ? thrown.message : String(thrown);
  return new CairnError(fallback, what === undefined ? reason : `${what}: ${reason}`, { cause: thrown });
}
