/**
 * Inline commands: a request as a line of words, for people with telnet. The quoting rules are Redis's.
 *
 *   SET greeting "hello\r\n"     double quotes: \n \r \t \b \a \xHH, any other \c is c
 *   SET greeting 'it\'s'         single quotes: only \' is special
 *
 * A quote may begin inside a word, but a closing one ends it: what follows must be a blank or the end.
 */

/** The words of a line (without its line end); null when quotes are not balanced. */
export function splitInline(line: Buffer): Buffer[] | null {
  const words: Buffer[] = [];
  let at = 0;
  for (;;) {
    while (isSpace(line[at])) at++;
    if (ended(line[at])) return words;
    const word = Buffer.allocUnsafe(line.length - at);
    const read = readWord(line, at, word);
    if (read === null) return null;
    words.push(word.subarray(0, read.length));
    at = read.next;
  }
}

/** Writes the unquoted word to `word`. */
function readWord(line: Buffer, start: number, word: Buffer): { length: number; next: number } | null {
  let at = start;
  let length = 0;
  let quote = 0;
  for (;;) {
    const byte = line[at];
    if (quote === 0) {
      if (ended(byte) || isBlank(byte)) return { length, next: at };
      if (byte === DOUBLE || byte === SINGLE) quote = byte as number;
      else word[length++] = byte as number;
    } else if (ended(byte)) {
      return null;
    } else if (byte === quote) {
      const after = line[at + 1];
      return ended(after) || isSpace(after) ? { length, next: at + 1 } : null;
    } else if (byte === BACKSLASH && quote === SINGLE && line[at + 1] === SINGLE) {
      word[length++] = SINGLE;
      at++;
    } else if (byte === BACKSLASH && quote === DOUBLE && !ended(line[at + 1])) {
      const high = hexDigit(line[at + 2]);
      const low = hexDigit(line[at + 3]);
      if (line[at + 1] === LETTER_X && high >= 0 && low >= 0) {
        word[length++] = high * 16 + low;
        at += 3;
      } else {
        word[length++] = escaped(line[at + 1] as number);
        at++;
      }
    } else {
      word[length++] = byte as number;
    }
    at++;
  }
}

const DOUBLE = 0x22;
const SINGLE = 0x27;
const BACKSLASH = 0x5c;
const LETTER_X = 0x78;

/** A NUL ends the line, as it does for Redis. */
function ended(byte: number | undefined): boolean {
  return byte === undefined || byte === 0;
}

function isSpace(byte: number | undefined): boolean {
  return byte === 32 || (byte !== undefined && byte >= 9 && byte <= 13);
}

/** What ends an unquoted word: vertical tab and form feed separate words but do not end one. */
function isBlank(byte: number | undefined): boolean {
  return byte === 32 || byte === 9 || byte === 10 || byte === 13;
}

function hexDigit(byte: number | undefined): number {
  if (byte === undefined) return -1;
  if (byte >= 48 && byte <= 57) return byte - 48;
  const lower = byte | 0x20;
  return lower >= 97 && lower <= 102 ? lower - 87 : -1;
}

function escaped(byte: number): number {
  switch (byte) {
    case 0x6e:
      return 10;
    case 0x72:
      return 13;
    case 0x74:
      return 9;
    case 0x62:
      return 8;
    case 0x61:
      return 7;
    default:
      return byte;
  }
}
