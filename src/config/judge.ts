/** Judges one name and one text, the same way for every source; and says what is wrong without telling secrets. */
import { oneLine } from '../base/errors.js';
import { isSettingName, type SettingName, settingNames, settingOf } from './schema.js';
import type { Given } from './sources.js';

export type Verdict =
  | { ok: true; name: SettingName; value: unknown }
  | { ok: false; name: SettingName | null; reason: string };

export function validate(name: string, text: string): Verdict {
  if (!isSettingName(name)) return { ok: false, name: null, reason: unknownReason(name) };
  const { value: kind } = settingOf(name);
  const parsed = kind.schema.safeParse(text);
  if (parsed.success) return { ok: true, name, value: parsed.data };
  return { ok: false, name, reason: parsed.error.issues.map((issue) => issue.message).join('; ') };
}

/** One line for a person: name, value, source, and the reason, which says what is allowed. */
export function problemOf(given: Given, reason: string): string {
  const name = oneLine(given.name);
  if (!isSettingName(given.name)) {
    const value = looksSecret(given.name) ? '' : ` = '${shown(given.text)}'`;
    return `${name}${value} (${given.where}): ${reason}`;
  }
  const value = settingOf(given.name).secret ? '[secret]' : `'${shown(given.text)}'`;
  return `${name} = ${value} (${given.where}): ${reason}`;
}

/** Whether what is given under this name, in any spelling, must not be shown. A misspelt requirepass is still a password. */
export function isSecretName(name: string): boolean {
  return isSettingName(name) ? settingOf(name).secret : looksSecret(name);
}

function looksSecret(name: string): boolean {
  const near = nearest(name);
  return /pass|pwd|auth|secret|token|key/i.test(name) || (near !== null && settingOf(near).secret);
}

function shown(text: string): string {
  return oneLine(text.length > 200 ? `${text.slice(0, 200)}…` : text);
}

function unknownReason(name: string): string {
  const better = guess(name);
  if (better !== null) return `there is no such setting. ${better}`;
  const group = settingNames.filter((setting) => setting.startsWith(`${name}.`));
  if (group.length > 0) return `this is a group of settings: ${group.join(', ')}`;
  return 'there is no such setting. docs/configuration.md lists them.';
}

/** What an unknown name was probably meant to be, as a sentence; null when nothing is near. */
export function guess(name: string): string | null {
  const near = nearest(name);
  return near === null ? null : `Did you mean ${near}?`;
}

/** The setting that a misspelt name most likely meant, in whichever source's spelling. */
function nearest(name: string): SettingName | null {
  const normal = (text: string): string =>
    text
      .toLowerCase()
      .replace(/^cairn_/, '')
      .replace(/[._-]+/g, '_');
  const wanted = normal(name.slice(0, 64));
  let best: SettingName | null = null;
  let bestDistance = Math.min(3, Math.floor(wanted.length / 2)) + 1;
  for (const setting of settingNames) {
    const distance = editDistance(wanted, normal(setting));
    if (distance < bestDistance) [best, bestDistance] = [setting, distance];
  }
  return best;
}

function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const change = (previous[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(change, (previous[j] as number) + 1, (row[j - 1] as number) + 1));
    }
    previous = row;
  }
  return previous[b.length] as number;
}
