/**
 * The requests in a run of bytes, the plain way: the whole input at hand, one position, Redis's rules in Redis's order.
 * It shares no code with src/resp and knows nothing of chunks; what it answers must come out however the bytes are cut.
 */
const LINE = 64 * 1024;

export interface ReferenceLimits {
  longestBulk: number;
  /** Ten arguments of 16 KB. */
  restricted: boolean;
}

export interface Parsed {
  requests: Buffer[][];
  /** null: what is left is the beginning of a request. */
  failure: string | null;
  /** Where that begins. */
  rest: number;
}

export function parseWhole(bytes: Buffer, { longestBulk, restricted }: ReferenceLimits): Parsed {
  const requests: Buffer[][] = [];
  let at = 0;
  const ends = (failure: string | null): Parsed => ({ requests, failure, rest: at });
  while (at < bytes.length) {
    if (bytes[at] !== 0x2a) {
      const end = bytes.indexOf(10, at);
      if ((end === -1 ? bytes.length : end) - at > LINE) return ends('too big inline request');
      if (end === -1) return ends(null);
      const words = wordsOf(bytes.toString('latin1', at, end).replace(/\r$/, ''));
      if (words === null) return ends('unbalanced quotes in request');
      if (words.length > 0) requests.push(words);
      at = end + 1;
      continue;
    }
    const count = numberLine(bytes, at, 'too big mbulk count string');
    if (typeof count === 'string') return ends(count);
    if (count === null) return ends(null);
    if (count.value === null || count.value > 1024 * 1024) return ends('invalid multibulk length');
    if (restricted && count.value > 10) return ends('unauthenticated multibulk length');
    const request: Buffer[] = [];
    let position = count.next;
    while (request.length < count.value) {
      if (position >= bytes.length) return ends(null);
      if (bytes[position] !== 0x24)
        return ends(`expected '$', got '${String.fromCharCode(bytes[position] as number)}'`);
      const length = numberLine(bytes, position, 'too big bulk count string');
      if (typeof length === 'string') return ends(length);
      if (length === null) return ends(null);
      if (length.value === null || length.value < 0 || length.value > longestBulk) return ends('invalid bulk length');
      if (restricted && length.value > 16 * 1024) return ends('unauthenticated bulk length');
      if (length.next + length.value + 2 > bytes.length) return ends(null);
      request.push(bytes.subarray(length.next, length.next + length.value));
      position = length.next + length.value + 2;
    }
    if (request.length > 0) requests.push(request);
    at = position;
  }
  return ends(null);
}

/** The number after a type byte, and where its line ends; null: not all of it is there. */
function numberLine(
  bytes: Buffer,
  at: number,
  tooLong: string,
): { value: number | null; next: number } | null | string {
  const end = bytes.indexOf(13, at);
  if ((end === -1 ? bytes.length : end) - at > LINE - 1 + (end === -1 ? 0 : 1)) return tooLong;
  if (end === -1 || end + 2 > bytes.length) return null;
  const text = bytes.toString('latin1', at + 1, end);
  // What does not fit 64 bits is no integer for Redis; 19 digits that do are beyond every limit here.
  const value = /^(0|-?[1-9][0-9]{0,18})$/.test(text) ? Number(text) : null;
  return { value, next: end + 2 };
}

/** sdssplitargs. */
function wordsOf(line: string): Buffer[] | null {
  const zero = line.indexOf('\0');
  const text = zero === -1 ? line : line.slice(0, zero);
  const words: Buffer[] = [];
  let at = 0;
  for (;;) {
    while (/[ \t\n\v\f\r]/.test(text[at] ?? '')) at++;
    if (at >= text.length) return words;
    let word = '';
    for (;;) {
      const char = text[at];
      if (char === undefined || /[ \t\n\r]/.test(char)) break;
      if (char !== '"' && char !== "'") {
        word += char;
        at++;
        continue;
      }
      const quoted = (char === '"' ? /"((?:\\.|[^"\\])*)"/sy : /'((?:\\'|(?!\\')[^'])*)'/y) as RegExp;
      quoted.lastIndex = at;
      const found = quoted.exec(text);
      if (found === null) return null;
      at = quoted.lastIndex;
      if (at < text.length && !/[ \t\n\v\f\r]/.test(text[at] as string)) return null;
      word += char === '"' ? unescaped(found[1] as string) : (found[1] as string).replaceAll("\\'", "'");
      break;
    }
    words.push(Buffer.from(word, 'latin1'));
  }
}

function unescaped(text: string): string {
  return text.replace(/\\(?:x([0-9a-fA-F]{2})|(.))/gs, (_, hex: string | undefined, char: string) => {
    if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16));
    return { n: '\n', r: '\r', t: '\t', b: '\b', a: '\x07' }[char] ?? char;
  });
}
