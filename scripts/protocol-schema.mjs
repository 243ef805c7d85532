/**
 * What a file under protocol/ may contain. protocol/README.md says what each field means; this says which forms it
 * takes, strictly: an unknown field is an error, so that a misspelled one cannot pass as absent.
 */
import { z } from 'zod';

/** COMMAND INFO names flags in this order. */
export const flagOrder = [
  'write',
  'readonly',
  'denyoom',
  'module',
  'admin',
  'pubsub',
  'noscript',
  'blocking',
  'loading',
  'stale',
  'skip_monitor',
  'skip_slowlog',
  'asking',
  'fast',
  'no_auth',
  'may_replicate',
  'no_mandatory_keys',
  'no_async_loading',
  'no_multi',
  'movablekeys',
  'allow_busy',
];

export const categories = [
  'keyspace',
  'read',
  'write',
  'set',
  'sortedset',
  'list',
  'hash',
  'string',
  'bitmap',
  'hyperloglog',
  'geo',
  'stream',
  'pubsub',
  'admin',
  'fast',
  'slow',
  'blocking',
  'dangerous',
  'connection',
  'transaction',
  'scripting',
].map((name) => `@${name}`);

export const argumentTypes = [
  'string',
  'integer',
  'double',
  'key',
  'pattern',
  'unix-time',
  'pure-token',
  'oneof',
  'block',
  'text',
  'time',
  'duration',
];

const sentence = z
  .string()
  .min(1)
  .regex(/^\S(.*\S)?$/s, 'no space at its ends');
const version = z.string().regex(/^\d+\.\d+\.\d+$/, 'a version such as 7.0.0');
const errorCode = z.string().regex(/^[A-Z]+$/, 'an error code in capitals');
const index = z.int().min(0);

const argument = z
  .strictObject({
    name: z.string().regex(/^[a-z][a-z0-9_:/-]*$/, 'lower case'),
    type: z.enum(argumentTypes),
    token: z
      .string()
      .regex(/^[A-Z][A-Z-]*$/, 'a word in capitals')
      .optional(),
    display: z.string().min(1).optional(),
    summary: sentence.optional(),
    optional: z.literal(true).optional(),
    multiple: z.literal(true).optional(),
    multiple_token: z.literal(true).optional(),
    key_spec_index: index.optional(),
    since: version.optional(),
    deprecated_since: version.optional(),
    minimum: z.int().optional(),
    unknown: errorCode.optional(),
    conflicts: z.array(z.string()).min(1).optional(),
    get arguments() {
      return z.array(argument).min(1).optional();
    },
  })
  .superRefine((value, context) => {
    const nested = value.type === 'oneof' || value.type === 'block';
    if (nested !== (value.arguments !== undefined)) {
      context.addIssue({ code: 'custom', message: 'oneof and block, and only they, have arguments' });
    }
    if (value.type === 'pure-token' && value.token === undefined) {
      context.addIssue({ code: 'custom', message: 'a pure-token has a token' });
    }
    const indexed = value.key_spec_index !== undefined;
    if (value.type === 'key' ? !indexed : indexed && value.type !== 'pattern') {
      context.addIssue({ code: 'custom', message: 'a key has a key_spec_index, a pattern may, nothing else does' });
    }
    if (value.unknown !== undefined && value.type !== 'oneof') {
      context.addIssue({ code: 'custom', message: 'unknown is for oneof' });
    }
  });

const keySpec = z.strictObject({
  notes: sentence.optional(),
  flags: z
    .array(
      z.enum([
        'RO',
        'RW',
        'OW',
        'RM',
        'access',
        'update',
        'insert',
        'delete',
        'not_key',
        'incomplete',
        'variable_flags',
      ]),
    )
    .min(1),
  begin_search: z.union([
    z.strictObject({ index: z.strictObject({ index: z.int().min(1) }) }),
    z.strictObject({ keyword: z.strictObject({ keyword: z.string(), startfrom: z.int() }) }),
    z.strictObject({ unknown: z.strictObject({}) }),
  ]),
  find_keys: z.union([
    z.strictObject({ range: z.strictObject({ lastkey: z.int(), keystep: z.int().min(1), limit: index }) }),
    z.strictObject({ keynum: z.strictObject({ keynumidx: index, firstkey: index, keystep: z.int().min(1) }) }),
    z.strictObject({ unknown: z.strictObject({}) }),
  ]),
});

const replyField = z.strictObject({
  name: z.string().regex(/^[a-z][a-z0-9_]*$/, 'lower-case snake_case'),
  type: z.string().min(1),
  meaning: sentence,
});

const reply = z.strictObject({
  type: z.enum(['ok', 'map', 'array of maps', 'array of strings']).optional(),
  structure: z.string().optional(),
  meaning: sentence,
  fields: z.array(replyField).min(1).optional(),
});

export const commandSchema = z.strictObject({
  name: z.string().regex(/^[A-Z][A-Z._-]*$/, 'capitals'),
  container: z
    .string()
    .regex(/^[A-Z][A-Z.-]*$/, 'capitals')
    .optional(),
  summary: sentence,
  origin: z.enum(['redis', 'cairn']),
  since: version,
  group: z.enum(['admin', 'bitmap', 'connection', 'generic', 'server', 'string', 'transactions']),
  complexity: sentence,
  arity: z.int().refine((value) => value !== 0, 'arity counts the name, so it is never 0'),
  flags: z
    .array(z.enum(flagOrder))
    .refine(
      (flags) => ascending(flags.map((flag) => flagOrder.indexOf(flag))),
      'in the order of COMMAND INFO, each once',
    ),
  acl_categories: z
    .array(z.enum(categories))
    .min(1)
    .refine(
      (names) => ascending(names.map((name) => categoryOrder.indexOf(name))),
      'in the order of COMMAND INFO, each once',
    ),
  tips: z.array(z.string().min(1)).min(1).optional(),
  key_specs: z.array(keySpec).min(1).optional(),
  arguments: z.array(argument).min(1).optional(),
  description: sentence.optional(),
  reply: reply.optional(),
  examples: z
    .array(z.strictObject({ call: sentence, reply: sentence }))
    .min(1)
    .optional(),
  errors: z.array(errorCode).min(1).optional(),
  history: z
    .array(z.tuple([version, sentence]))
    .min(1)
    .optional(),
});

const categoryOrder = categories;

export const errorSchema = z.strictObject({
  code: errorCode,
  origin: z.enum(['redis', 'cairn']),
  kind: z.enum(['user', 'operator', 'transient', 'corrupt']),
  severity: z.enum(['warning', 'error', 'critical']),
  meaning: sentence,
  remedies: z.array(sentence).min(1),
  known_as: z
    .array(z.string().regex(/^ERR_[A-Z_]+$/))
    .min(1)
    .optional(),
});

export const structuresSchema = z.record(z.string(), z.union([z.string(), z.array(replyField).min(1)]));

function ascending(numbers) {
  return numbers.every((value, position) => position === 0 || value > numbers[position - 1]);
}
