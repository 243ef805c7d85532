/** REPOSITORY.json: whose repository this is, and in which format. Rewritten only when another database takes it over. */
import { z } from 'zod';
import { FormatError } from './document.js';
import { document, identity, moment, open } from './fields.js';

export const MAX_HEADER_BYTES = 1024 * 1024;

const schema = open({
  repository_id: identity,
  /** The database that may write here. */
  database_id: identity,
  created_at: moment,
  /** The databases that owned it before, oldest first, with the moment at which each was replaced. */
  adopted: z.array(open({ database_id: identity, at: moment })).max(10_000),
  /** Always null in format 1. */
  encryption: z.unknown(),
});

export type RepositoryHeader = Omit<z.infer<typeof schema>, 'encryption'> & { encryption: null };

const headerDocument = document('repository header', schema, MAX_HEADER_BYTES);

export function encodeRepositoryHeader(header: RepositoryHeader): Buffer {
  return headerDocument.encode(header);
}

export function decodeRepositoryHeader(bytes: Uint8Array): RepositoryHeader {
  const header = headerDocument.decode(bytes);
  if (header.encryption === null) return { ...header, encryption: null };
  if (header.encryption === undefined) throw new FormatError('repository header', 'schema', 'it has no encryption');
  throw new FormatError('repository header', 'version', 'it is encrypted, which this version of Cairn cannot read');
}
