/**
 * The pieces that documents are made of, each with its bound. Objects keep members that they do not know: a newer Cairn
 * may add optional ones, and a document that is rewritten must not lose them.
 */
import { z } from 'zod';
import { isSha256 } from '../base/hash.js';
import { isFormattedTime } from '../base/time.js';
import { check, decodeMembers, encodeDocument, FORMAT } from './document.js';

/** Highest backup id: names in the repository have eight digits. */
export const MAX_ID = 99_999_999;
export const MAX_LABEL_BYTES = 256;

export const count = z.int().min(0);
export const backupId = z.int().min(1).max(MAX_ID);
export const timelineNumber = z.int().min(1);
export const sha256Hex = z.string().refine(isSha256, 'not a SHA-256 in lower-case hex');
export const moment = z.string().refine(isFormattedTime, 'not a time such as 2026-01-28T10:30:04.123456Z');
/** An identity: repository, database. */
export const identity = z.string().regex(/^[0-9A-Za-z-]{1,64}$/, 'not an id');
export const text = (maxLength: number) => z.string().max(maxLength);
export const label = z.string().refine(isLabel, `more than ${MAX_LABEL_BYTES} bytes, or control characters`);

export function isLabel(value: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: refusing them is the purpose
  return Buffer.byteLength(value) <= MAX_LABEL_BYTES && !/[\u0000-\u001f\u007f-\u009f]/.test(value);
}

/** An object that keeps unknown members when it is parsed, while its type has the known ones alone. */
export function open<Shape extends z.ZodRawShape>(shape: Shape): z.ZodObject<Shape> {
  return z.looseObject(shape) as unknown as z.ZodObject<Shape>;
}

/** A kind of self-hashed document: `format` belongs to the frame, not to the value. */
export interface Document<T> {
  decode(bytes: Uint8Array): T;
  /** Throws FormatError for a value that decode would refuse. */
  encode(value: T): Buffer;
}

export function document<S extends z.ZodType<Record<string, unknown>>>(
  kind: string,
  schema: S,
  maxBytes: number,
): Document<z.output<S>> {
  return {
    decode: (bytes) => decodeMembers(bytes, { kind, schema, maxBytes }),
    encode(value) {
      const { format: _, self_sha256: __, ...members } = check(kind, schema, value) as Record<string, unknown>;
      return encodeDocument({ format: FORMAT, ...members });
    },
  };
}
