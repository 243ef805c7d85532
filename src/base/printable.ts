/**
 * Text that anybody may have chosen, on its way to a line that people and programs read. What ends a line, moves a
 * terminal's cursor or turns the direction of writing is not let through.
 */

// C0, DEL and C1; line and paragraph separators; marks of direction; the byte order mark.
const acting = '\\u0000-\\u001f\\u007f-\\u009f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069\\ufeff';
const runs = new RegExp(`[${acting}]+`, 'g');
const each = new RegExp(`[${acting}]`, 'g');

/** For people: each run becomes a space. */
export function oneLine(text: string): string {
  return text.replace(runs, ' ');
}

/** JSON leaves most of them as they are. Escaped as it escapes the others, it is the same JSON. */
export function escapedJson(json: string): string {
  return json.replace(each, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
