/** RESP for tests: requests as bytes, and a reader of RESP2 and RESP3 replies that shares no code with src/resp. */

/** A request as clients send it. */
export function multibulk(...words: (string | Buffer)[]): Buffer {
  const parts: Buffer[] = [Buffer.from(`*${words.length}\r\n`)];
  for (const word of words) {
    const bytes = typeof word === 'string' ? Buffer.from(word) : word;
    parts.push(Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n'));
  }
  return Buffer.concat(parts);
}

/** A RESP value with its type, so that a test sees what was on the wire. */
export type Wire =
  | { type: 'simple' | 'error' | 'bulk' | 'verbatim'; text: string }
  | { type: 'integer' | 'double'; text: string }
  | { type: 'boolean'; value: boolean }
  | { type: 'null' | 'null bulk' | 'null array' }
  | { type: 'array' | 'set' | 'push'; items: Wire[] }
  | { type: 'map'; items: Wire[] };

/** Reads the value at `at` (text in latin1); null when it is not complete. */
export function readWire(bytes: Buffer, at = 0): { value: Wire; next: number } | null {
  const lineEnd = bytes.indexOf('\r\n', at);
  if (lineEnd === -1) return null;
  const line = bytes.toString('latin1', at + 1, lineEnd);
  const next = lineEnd + 2;
  const type = String.fromCharCode(bytes[at] as number);
  switch (type) {
    case '+':
      return { value: { type: 'simple', text: line }, next };
    case '-':
      return { value: { type: 'error', text: line }, next };
    case ':':
      return { value: { type: 'integer', text: line }, next };
    case ',':
      return { value: { type: 'double', text: line }, next };
    case '_':
      return { value: { type: 'null' }, next };
    case '#':
      return { value: { type: 'boolean', value: line === 't' }, next };
    case '$':
    case '=': {
      const length = integer(line);
      if (length === -1) return { value: { type: 'null bulk' }, next };
      const end = next + length;
      if (end + 2 > bytes.length) return null;
      if (bytes.toString('latin1', end, end + 2) !== '\r\n') throw new Error(`no line end after ${length} bytes`);
      const value = { type: type === '$' ? 'bulk' : 'verbatim', text: bytes.toString('latin1', next, end) } as Wire;
      return { value, next: end + 2 };
    }
    case '*':
    case '~':
    case '>':
    case '%': {
      const count = integer(line);
      if (count === -1) return { value: { type: 'null array' }, next };
      const items: Wire[] = [];
      let position = next;
      for (let nth = 0; nth < (type === '%' ? 2 * count : count); nth++) {
        const item = position < bytes.length ? readWire(bytes, position) : null;
        if (item === null) return null;
        items.push(item.value);
        position = item.next;
      }
      const kinds = { '*': 'array', '~': 'set', '>': 'push', '%': 'map' } as const;
      return { value: { type: kinds[type], items }, next: position };
    }
    default:
      throw new Error(`no RESP type: ${JSON.stringify(type)} before ${JSON.stringify(line.slice(0, 40))}`);
  }
}

/** Every value in the bytes. Throws when the last one is not complete. */
export function readAllWire(bytes: Buffer): Wire[] {
  const values: Wire[] = [];
  for (let at = 0; at < bytes.length; ) {
    const read = readWire(bytes, at);
    if (read === null) throw new Error(`incomplete value at ${at}`);
    values.push(read.value);
    at = read.next;
  }
  return values;
}

function integer(text: string): number {
  if (!/^(-1|0|[1-9]\d*)$/.test(text)) throw new Error(`no length: ${text}`);
  return Number(text);
}
