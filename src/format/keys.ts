/**
 * Where everything lies in a repository: the only place that builds or reads an object's key.
 *
 *   REPOSITORY.json  backups/00000005.json  lists/<sha256>  files/<2 hex>/<sha256>  timelines/1.json
 *   states/00000005.json  tags.json  next_id  latest
 */
import { assert } from '../base/assert.js';
import { isSha256 } from '../base/hash.js';
import { MAX_ID } from './fields.js';

export const REPOSITORY_KEY = 'REPOSITORY.json';
export const TAGS_KEY = 'tags.json';
export const NEXT_ID_KEY = 'next_id';
export const LATEST_KEY = 'latest';

export const MANIFEST_PREFIX = 'backups/';
export const STATE_PREFIX = 'states/';
export const LIST_PREFIX = 'lists/';
export const FILE_PREFIX = 'files/';
export const TIMELINE_PREFIX = 'timelines/';

export function manifestKey(id: number): string {
  return `${MANIFEST_PREFIX}${eightDigits(id)}.json`;
}

export function stateKey(id: number): string {
  return `${STATE_PREFIX}${eightDigits(id)}.json`;
}

export function listKey(sha256: string): string {
  return LIST_PREFIX + requireHash(sha256);
}

export function fileKey(sha256: string): string {
  return `${FILE_PREFIX}${requireHash(sha256).slice(0, 2)}/${sha256}`;
}

export function timelineKey(timeline: number): string {
  assert(Number.isSafeInteger(timeline) && timeline >= 1, `${timeline} is not a timeline`);
  return `${TIMELINE_PREFIX}${timeline}.json`;
}

/** The parsers answer null for a key that their builder would never make. */
export function parseManifestKey(key: string): number | null {
  return parseEightDigits(key, MANIFEST_PREFIX);
}

export function parseStateKey(key: string): number | null {
  return parseEightDigits(key, STATE_PREFIX);
}

export function parseListKey(key: string): string | null {
  const name = key.slice(LIST_PREFIX.length);
  return key.startsWith(LIST_PREFIX) && isSha256(name) ? name : null;
}

export function parseFileKey(key: string): string | null {
  const name = key.slice(FILE_PREFIX.length + 3);
  return isSha256(name) && fileKey(name) === key ? name : null;
}

export function parseTimelineKey(key: string): number | null {
  const digits = /^timelines\/([1-9]\d{0,15})\.json$/.exec(key)?.[1];
  return digits !== undefined && Number.isSafeInteger(Number(digits)) ? Number(digits) : null;
}

function eightDigits(id: number): string {
  assert(Number.isSafeInteger(id) && id >= 1 && id <= MAX_ID, `${id} is not a backup id`);
  return String(id).padStart(8, '0');
}

function parseEightDigits(key: string, prefix: string): number | null {
  const digits = /^(\d{8})\.json$/.exec(key.slice(prefix.length))?.[1];
  return key.startsWith(prefix) && digits !== undefined && Number(digits) >= 1 ? Number(digits) : null;
}

function requireHash(sha256: string): string {
  assert(isSha256(sha256), `'${sha256}' is not a SHA-256`);
  return sha256;
}
