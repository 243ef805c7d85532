/**
 * The frame of every JSON document that Cairn keeps: UTF-8, two-space indent, `format` first, and last the SHA-256 of
 * the file's own bytes with these 64 hex digits replaced by zeros, so that a document proves itself without another one.
 *
 *   {
 *     "format": 1,
 *     …
 *     "self_sha256": "9f86d081…"
 *   }
 *
 * The frame is the same in every format version: only then can an older Cairn tell "newer" from "damaged". What decodes
 * may have been written by an enemy: sizes are bounded before parsing, nesting and duplicate names are refused, and
 * nothing but FormatError is thrown.
 */
import type { z } from 'zod';
import { assert } from '../base/assert.js';
import { sha256 } from '../base/hash.js';

/** The major version that this program writes, and the only one it reads. */
export const FORMAT = 1;

/**
 * damaged: not the bytes that were written. version: written by a newer Cairn. schema: whole, but it says what no
 * Cairn of this version would say. The message continues "it …".
 */
export type FormatErrorReason = 'damaged' | 'version' | 'schema';

export class FormatError extends Error {
  override readonly name = 'FormatError';
  constructor(
    /** What kind of document it was to be: 'manifest'. */
    readonly kind: string,
    readonly reason: FormatErrorReason,
    what: string,
  ) {
    super(what.length > MAX_MESSAGE ? `${what.slice(0, MAX_MESSAGE)}...` : what);
  }
}

export interface DocumentKind<S extends z.ZodType> {
  kind: string;
  /** Sees the whole object without self_sha256, so it has to know `format`. */
  schema: S;
  maxBytes: number;
}

const MAX_MESSAGE = 400;
const MAX_DEPTH = 16;
const ZEROS = Buffer.alloc(64, '0');
const HASH_OPENING = '\n  "self_sha256": "';
const ENDING = '"\n}\n';

/** The bytes of a document; `format` must be the first member. undefined members are left out. */
export function encodeDocument(value: { format: number } & Record<string, unknown>): Buffer {
  assert(Object.keys(value)[0] === 'format', 'the first member of a document is its format');
  assert(!('self_sha256' in value), 'self_sha256 is added by the encoder');
  const bytes = Buffer.from(render({ ...value, self_sha256: ZEROS.toString() }));
  bytes.write(sha256(bytes), hashOffset(bytes));
  return bytes;
}

/** Checks frame, hash, version and schema, in this order. */
export function decodeDocument<S extends z.ZodType>(bytes: Uint8Array, document: DocumentKind<S>): z.output<S> {
  const { self_sha256: _, ...members } = decodeFrame(bytes, document);
  return check(document.kind, document.schema, members);
}

/** The same for a schema that sees neither self_sha256 nor `format`. */
export function decodeMembers<S extends z.ZodType>(bytes: Uint8Array, document: DocumentKind<S>): z.output<S> {
  const { format: _, self_sha256: __, ...members } = decodeFrame(bytes, document);
  return check(document.kind, document.schema, members);
}

function decodeFrame(bytes: Uint8Array, { kind, maxBytes }: DocumentKind<z.ZodType>): Record<string, unknown> {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  requireSize(kind, buffer, maxBytes);
  verifySelfHash(kind, buffer);
  const members = parseObject(kind, buffer);
  requireVersion(kind, members);
  return members;
}

/** A document whose hash is its name instead of a member of it: parses and checks the rest of the frame. */
export function decodeNamedByHash(bytes: Uint8Array, kind: string, maxBytes: number): Record<string, unknown> {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  requireSize(kind, buffer, maxBytes);
  const members = parseObject(kind, buffer);
  requireVersion(kind, members);
  return members;
}

/** The value as the schema reads it, or a FormatError that names the first field that is wrong. */
export function check<S extends z.ZodType>(kind: string, schema: S, value: unknown): z.output<S> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const path = issue === undefined || issue.path.length === 0 ? '' : ` in ${issue.path.map(String).join('.')}`;
  throw new FormatError(kind, 'schema', `it does not fit its format${path}: ${issue?.message ?? 'unknown reason'}`);
}

/**
 * The one way a document is laid out: two-space indent, but a list of scalars, and an object of scalars inside a list,
 * take one line each. A list of a thousand files stays readable, and greppable.
 */
export function render(value: Record<string, unknown>): string {
  return `${renderValue(value, '')}\n`;
}

function renderValue(value: unknown, indent: string): string {
  const inner = `${indent}  `;
  if (Array.isArray(value)) {
    if (value.every(isScalar)) return `[${value.map((item) => JSON.stringify(item)).join(', ')}]`;
    const lines = value.map((item) => inner + (isFlat(item) ? renderFlat(item) : renderValue(item, inner)));
    return `[\n${lines.join(',\n')}\n${indent}]`;
  }
  if (isScalar(value)) return JSON.stringify(value);
  const lines = members(value as Record<string, unknown>).map(
    ([name, member]) => `${inner}${JSON.stringify(name)}: ${renderValue(member, inner)}`,
  );
  return lines.length === 0 ? '{}' : `{\n${lines.join(',\n')}\n${indent}}`;
}

function renderFlat(value: Record<string, unknown>): string {
  const parts = members(value).map(([name, member]) => `${JSON.stringify(name)}: ${JSON.stringify(member)}`);
  return parts.length === 0 ? '{}' : `{ ${parts.join(', ')} }`;
}

function members(value: Record<string, unknown>): [string, unknown][] {
  return Object.entries(value).filter(([, member]) => member !== undefined);
}

function isScalar(value: unknown): boolean {
  return value === null || typeof value !== 'object';
}

function isFlat(value: unknown): value is Record<string, unknown> {
  return !isScalar(value) && !Array.isArray(value) && Object.values(value as object).every(isScalar);
}

function hashOffset(bytes: Buffer): number {
  return bytes.length - ENDING.length - 64;
}

function verifySelfHash(kind: string, bytes: Buffer): void {
  const at = hashOffset(bytes);
  const opening = at - HASH_OPENING.length;
  const stated = bytes.toString('latin1', Math.max(at, 0), at + 64);
  const framed =
    opening > 0 &&
    bytes.toString('latin1', opening, at) === HASH_OPENING &&
    bytes.toString('latin1', at + 64) === ENDING &&
    /^[0-9a-f]{64}$/.test(stated);
  if (!framed)
    throw new FormatError(kind, 'damaged', 'it does not end with its own SHA-256 (truncated, or not a document)');
  const actual = sha256(bytes.subarray(0, at), ZEROS, bytes.subarray(at + 64));
  if (actual === stated) return;
  throw new FormatError(kind, 'damaged', `it was written with the SHA-256 ${stated}, its bytes now have ${actual}`);
}

function requireSize(kind: string, bytes: Buffer, maxBytes: number): void {
  if (bytes.length <= maxBytes) return;
  throw new FormatError(kind, 'damaged', `it has ${bytes.length} bytes, more than the ${maxBytes} that are allowed`);
}

function requireVersion(kind: string, value: Record<string, unknown>): void {
  const { format } = value;
  if (format === FORMAT) return;
  if (!Number.isSafeInteger(format) || (format as number) < 1) {
    throw new FormatError(kind, 'schema', 'it does not say which format it has');
  }
  throw new FormatError(kind, 'version', `it has format ${format}, this version of Cairn reads format ${FORMAT}`);
}

function parseObject(kind: string, bytes: Buffer): Record<string, unknown> {
  let value: unknown;
  let names: number;
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    names = scanNames(text);
    value = JSON.parse(text);
  } catch (error) {
    throw new FormatError(kind, 'damaged', `it is not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (isScalar(value) || Array.isArray(value)) throw new FormatError(kind, 'damaged', 'it is not a JSON object');
  if (countNames(value) !== names)
    throw new FormatError(kind, 'schema', 'it has a member twice, or one named __proto__');
  return value as Record<string, unknown>;
}

/**
 * How many member names the text has: JSON.parse keeps the last of two equal ones, so fewer in the object than in the
 * text means a duplicate. Exact for valid JSON; for anything else JSON.parse fails afterwards.
 */
function scanNames(text: string): number {
  let names = 0;
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 0x7b || code === 0x5b) {
      depth += 1;
      if (depth > MAX_DEPTH) throw new Error(`nested deeper than ${MAX_DEPTH}`);
    } else if (code === 0x7d || code === 0x5d) {
      depth -= 1;
    } else if (code === 0x22) {
      at = endOfString(text, at);
    } else if (code === 0x3a) {
      names += 1;
    }
  }
  return names;
}

/** The index of the quote that closes the string that opens at `start`. */
function endOfString(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 0x5c) at += 1;
    else if (code === 0x22) return at;
  }
  return text.length;
}

function countNames(value: unknown): number {
  if (isScalar(value)) return 0;
  let names = 0;
  if (Array.isArray(value)) {
    for (const item of value) names += countNames(item);
  } else {
    const object = value as Record<string, unknown>;
    for (const name of Object.keys(object)) if (name !== '__proto__') names += 1 + countNames(object[name]);
  }
  return names;
}
