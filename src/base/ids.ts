/** Identities that nobody chooses: repository and database ids. */
import { randomBytes } from 'node:crypto';

/** 128 random bits as 32 hex digits: one word for a double click, safe in any path. */
export function randomId(): string {
  return randomBytes(16).toString('hex');
}
