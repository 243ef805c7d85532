/**
 * The configuration file: YAML, the settings' tree as nested maps (dotted keys work too). Values are taken as the text
 * that stands there, not as what YAML makes of it: 0x10, 1e3 and `on` are as wrong here as in every other source.
 * Rewriting goes through YAML's document tree, so that comments, order and layout stay.
 */
import { readFileSync } from 'node:fs';
import { chmod, readFile, stat } from 'node:fs/promises';
import { type Document, isMap, isScalar, LineCounter, type Pair, parseDocument, Scalar, type YAMLMap } from 'yaml';
import { atomicWriteFile, replaceable } from '../base/fs.js';
import { settingNames } from './schema.js';
import { ConfigError, type Given } from './sources.js';

const maxFileBytes = 1024 * 1024;

/** Throws ConfigError when the file cannot be read or is no YAML map. */
export function readConfigFile(path: string): Given[] {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    throw new ConfigError([`the configuration file ${path} cannot be read: ${(error as Error).message}`]);
  }
  return entriesOf(parseFile(path, bytes), path).map(({ name, scalar, line }) => ({
    name,
    text: textOf(scalar),
    source: 'file',
    where: `${path} line ${line}`,
  }));
}

/**
 * Sets the given settings in the file; what else it says stays. Reads it anew, so that an edit made since the start is
 * kept, and replaces it atomically. Throws ConfigError and leaves it alone when it is no longer readable.
 */
export async function rewriteConfigFile(path: string, texts: ReadonlyMap<string, string>): Promise<void> {
  const target = await replaceable(path);
  const parsed = parseFile(path, await readFile(target));
  const entries = new Map(entriesOf(parsed, path).map((entry) => [entry.name, entry]));
  for (const [name, text] of texts) {
    const entry = entries.get(name);
    if (entry === undefined) addEntry(parsed.document, name, text);
    else if (entry.pair.value === null) entry.pair.value = newScalar(text);
    else if (textOf(entry.scalar) !== text) setText(entry.scalar, text);
  }
  const { mode } = await stat(target);
  await atomicWriteFile(target, Buffer.from(parsed.document.toString({ lineWidth: 0 })));
  await chmod(target, mode & 0o777); // it was private until now: who may read it is the file's owner's to say
}

interface ParsedFile {
  document: Document.Parsed;
  lineOf(offset: number): number;
}

interface Entry {
  name: string;
  /** Where the value hangs; without a value `scalar` stands for it. */
  pair: Pair<unknown, unknown>;
  scalar: Scalar;
  line: number;
}

function parseFile(path: string, bytes: Buffer): ParsedFile {
  if (bytes.length > maxFileBytes) {
    throw new ConfigError([`the configuration file ${path} has ${bytes.length} bytes, more than ${maxFileBytes}`]);
  }
  const counter = new LineCounter();
  // Without pretty errors: those quote the lines around, and a password may stand there.
  const document = parseDocument(bytes.toString('utf8'), { lineCounter: counter, prettyErrors: false, strict: true });
  const lineOf = (offset: number): number => counter.linePos(offset).line;
  const faults = [...document.errors, ...document.warnings];
  if (faults.length > 0) {
    throw new ConfigError(
      faults.map((fault) => `${path} line ${lineOf(fault.pos[0])} is not valid YAML (${fault.code})`),
    );
  }
  if (document.contents !== null && !isMap(document.contents)) {
    if (!isScalar(document.contents) || document.contents.value !== null) {
      throw new ConfigError([`the configuration file ${path} must be a map of settings, such as "port: 7379"`]);
    }
    document.contents = null as never;
  }
  return { document, lineOf };
}

function entriesOf(parsed: ParsedFile, path: string): Entry[] {
  const problems: string[] = [];
  const entries: Entry[] = [];
  const lines = new Map<string, number>();
  const walk = (map: YAMLMap, prefix: string): void => {
    for (const pair of map.items) {
      const { key, value } = pair;
      const keyNode = isScalar(key) ? key : null;
      const line = parsed.lineOf(keyNode?.range?.[0] ?? map.range?.[0] ?? 0);
      const name = prefix + (keyNode === null ? '?' : textOf(keyNode));
      if (isMap(value)) {
        walk(value, `${name}.`);
      } else if (value !== null && !isScalar(value)) {
        problems.push(`${path} line ${line}: ${name} must be a single value, not a list or a reference`);
      } else if (lines.has(name)) {
        problems.push(`${path} line ${line}: ${name} is given twice, first in line ${lines.get(name)}`);
      } else if (!(isEmpty(value) && isGroup(name))) {
        lines.set(name, line);
        entries.push({ name, pair, scalar: value ?? new Scalar(null), line });
      }
    }
  };
  if (isMap(parsed.document.contents)) walk(parsed.document.contents, '');
  if (problems.length > 0) throw new ConfigError(problems);
  return entries;
}

function isEmpty(value: Scalar | null): boolean {
  return value === null || value.value === null;
}

function isGroup(name: string): boolean {
  return settingNames.some((setting) => setting.startsWith(`${name}.`));
}

/** What stands in the file; null, ~ and nothing are the empty text. */
function textOf(scalar: Scalar): string {
  if (scalar.value === null) return '';
  if (typeof scalar.value === 'string') return scalar.value;
  return scalar.source ?? String(scalar.value);
}

function setText(scalar: Scalar, text: string): void {
  const number = /^(0|[1-9]\d{0,15})$/.test(text);
  scalar.value = number ? Number(text) : text;
  delete scalar.source;
  delete scalar.format;
  delete scalar.tag;
  // A new text may need other quotes than the old one: YAML chooses.
  delete scalar.type;
}

function newScalar(text: string): Scalar {
  const scalar = new Scalar<unknown>(null);
  setText(scalar, text);
  return scalar;
}

function addEntry(document: Document, name: string, text: string): void {
  const keys = name.split('.');
  for (let depth = 1; depth < keys.length; depth += 1) {
    const group = document.getIn(keys.slice(0, depth), true);
    if (!isScalar(group)) continue;
    // A group with nothing but comments in it: they stay, above what comes now.
    const map = document.createNode({}) as YAMLMap;
    map.commentBefore = group.commentBefore ?? group.comment ?? null;
    document.setIn(keys.slice(0, depth), map);
  }
  document.setIn(keys, newScalar(text));
}
