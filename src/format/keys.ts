/**
 * Where everything lies in a repository: the only place that builds or reads an object's key.
 *
 *   REPOSITORY.json  backups/00000005.json  lists/<sha256>  files/<2 hex>/<sha256>  timelines/1.json
 *   states/00000005.json  tags.json  next_id  latest
 *   wal/<timeline>/<20-digit first sequence>-<20-digit last sequence>.seg
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
export const SEGMENT_PREFIX = 'wal/';

/** A segment's key says which commits it has: the first one's first sequence, the last one's last. */
export interface SegmentName {
  timeline: number;
  first: number;
  last: number;
}

const MAX_SEGMENT_TIMELINE = 0xffff_ffff;

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

/** Twenty digits, so that keys sort as their sequences do. */
export function segmentKey(timeline: number, first: number, last: number): string {
  assert(
    Number.isSafeInteger(first) && Number.isSafeInteger(last) && first >= 1 && first <= last,
    `${first} to ${last} are not the sequences of a segment`,
  );
  return `${timelineSegmentPrefix(timeline)}${twentyDigits(first)}-${twentyDigits(last)}.seg`;
}

/** Below which the segments of one timeline lie. */
export function timelineSegmentPrefix(timeline: number): string {
  assert(
    Number.isInteger(timeline) && timeline >= 1 && timeline <= MAX_SEGMENT_TIMELINE,
    `${timeline} is not a timeline of segments`,
  );
  return `${SEGMENT_PREFIX}${timeline}/`;
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

export function parseSegmentKey(key: string): SegmentName | null {
  const match = /^wal\/([1-9]\d{0,9})\/(\d{20})-(\d{20})\.seg$/.exec(key);
  if (match === null) return null;
  const [timeline, first, last] = match.slice(1).map(Number) as [number, number, number];
  const fits = timeline <= MAX_SEGMENT_TIMELINE && first >= 1 && first <= last && Number.isSafeInteger(last);
  return fits ? { timeline, first, last } : null;
}

function twentyDigits(sequence: number): string {
  return String(sequence).padStart(20, '0');
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
