/**
 * The settings that are in force, and the only way to change them while the server runs. A change is all or nothing:
 * every pair is checked first, then all become visible at once, then those who asked are told; if one of them refuses,
 * everything goes back.
 */
import { CairnError } from '../base/errors.js';
import { globMatch } from '../base/glob.js';
import { rewriteConfigFile } from './file.js';
import { guess, validate } from './judge.js';
import {
  isSettingName,
  redisConstants,
  type SettingName,
  type SettingValue,
  type SettingValues,
  settingNames,
  settingOf,
} from './schema.js';
import { ConfigError, type SourceKind } from './sources.js';

/** A value, and the source that won. */
export interface Sourced {
  value: unknown;
  source: SourceKind;
  /** The environment or the command line gives it: at the next start that wins over the file. */
  fixedOutside: boolean;
}

/** Throws to refuse; the message goes into the reply. Must not wait. */
export type ChangeListener<N extends SettingName> = (value: SettingValue<N>, previous: SettingValue<N>) => void;

/** What stands in CONFIG GET for a secret that is set. */
const hidden = '[secret]';

interface Change {
  readonly name: SettingName;
  /** As the caller spelt it, for error texts. */
  readonly spelling: string;
  readonly next: Sourced;
}

export class ConfigService {
  readonly #entries: Map<SettingName, Sourced>;
  readonly #listeners = new Map<SettingName, Set<ChangeListener<never>>>();
  #values: SettingValues;
  #rewriting: Promise<unknown> = Promise.resolve();

  /** Made by loadConfig; `file` is the absolute path of the configuration file, null without one. */
  constructor(
    entries: ReadonlyMap<SettingName, Sourced>,
    readonly file: string | null,
  ) {
    this.#entries = new Map(entries);
    this.#values = snapshot(this.#entries);
  }

  /** What is in force now, frozen; a change makes a new object. */
  get values(): SettingValues {
    return this.#values;
  }

  get<N extends SettingName>(name: N): SettingValue<N> {
    return this.#values[name];
  }

  source(name: SettingName): SourceKind {
    return this.#entries.get(name)?.source ?? 'default';
  }

  /** Calls `listener` after each change of the value; returns what ends that. */
  onChange<N extends SettingName>(name: N, listener: ChangeListener<N>): () => void {
    const all = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, all);
    all.add(listener as ChangeListener<never>);
    return () => void all.delete(listener as ChangeListener<never>);
  }

  /**
   * CONFIG GET: names and printed values that a glob matches, in either case, each once, secrets hidden. A name that was
   * asked for without a glob is answered as it was spelt, as in Redis.
   */
  configGet(patterns: readonly string[]): [string, string][] {
    const spelt = new Map<string, string>();
    const wanted = patterns.map((pattern) => Buffer.from(pattern));
    for (const pattern of patterns) {
      const name = pattern.toLowerCase();
      if (!/[[*?]/.test(pattern) && !spelt.has(name)) spelt.set(name, pattern);
    }
    const result: [string, string][] = [];
    const offer = (name: string, value: () => string): void => {
      const first = wanted.find((pattern) => globMatch(pattern, Buffer.from(name), { ignoreCase: true }));
      if (first === undefined) return;
      const asked = spelt.get(name);
      result.push([asked !== undefined && first.equals(Buffer.from(asked)) ? asked : name, value()]);
    };
    for (const name of settingNames) {
      const { redis, value: kind } = settingOf(name);
      offer(name, () => this.#shown(name, kind.print));
      if (redis !== null) offer(redis, () => this.#shown(name, kind.printForRedis));
    }
    for (const [name, value] of Object.entries(redisConstants)) offer(name, () => value);
    return result;
  }

  /** CONFIG SET: all of them, or none and ERR. Returns the settings whose value is another than before. */
  configSet(pairs: readonly (readonly [string, string])[]): SettingName[] {
    const names: string[] = [];
    for (const [spelling] of pairs) {
      const name = known(spelling);
      if (isSettingName(name) && settingOf(name).settable === 'start') {
        throw refusal(spelling, `can't set protected config`);
      }
      if (names.includes(name)) throw refusal(spelling, 'duplicate parameter');
      names.push(name);
    }
    const changes: Change[] = [];
    for (const [index, [spelling, text]] of pairs.entries()) {
      const name = names[index] as string;
      if (isSettingName(name)) changes.push(this.#judged(name, spelling, text));
      else requireConstant(name, spelling, text);
    }
    return this.#apply(changes);
  }

  /**
   * CONFIG REWRITE: writes what the environment, the command line and CONFIG SET determine; the rest of the file stays
   * as it is. A secret that came by the environment or the command line was kept out of the file on purpose and stays
   * out. Returns the settings whose new text in the file will not count, because the environment or the command line,
   * if they stay as they are, win over it at the next start.
   */
  async rewrite(): Promise<SettingName[]> {
    const { file } = this;
    if (file === null) throw new CairnError('ERR', 'The server is running without a config file');
    const texts = new Map<string, string>();
    const outvoted: SettingName[] = [];
    for (const [name, { value, source, fixedOutside }] of this.#entries) {
      const { secret, value: kind } = settingOf(name);
      if (source === 'default' || source === 'file') continue;
      if (source === 'CONFIG SET' && fixedOutside) outvoted.push(name);
      if (!secret || source === 'CONFIG SET') texts.set(name, kind.print(value));
    }
    const writing = this.#rewriting.then(() => rewriteConfigFile(file, texts));
    this.#rewriting = writing.catch(() => undefined);
    try {
      await writing;
    } catch (error) {
      const reason = error instanceof ConfigError ? error.problems.join('; ') : (error as Error).message;
      throw new CairnError('ERR', `Rewriting config file: ${reason}`, { details: { file }, cause: error });
    }
    return outvoted;
  }

  #shown(name: SettingName, print: (value: unknown) => string): string {
    const text = print(this.#values[name]);
    return settingOf(name).secret && text !== '' ? hidden : text;
  }

  #judged(name: SettingName, spelling: string, text: string): Change {
    const verdict = validate(name, text);
    if (!verdict.ok) throw refusal(spelling, verdict.reason);
    const { fixedOutside } = this.#entries.get(name) as Sourced;
    return { name, spelling, next: { value: verdict.value, source: 'CONFIG SET', fixedOutside } };
  }

  #apply(changes: readonly Change[]): SettingName[] {
    const before = this.#values;
    const previous = changes.map(({ name }) => [name, this.#entries.get(name) as Sourced] as const);
    for (const { name, next } of changes) this.#entries.set(name, next);
    this.#values = snapshot(this.#entries);
    const changed = changes.filter(({ name }) => this.#values[name] !== before[name]);
    const told: Change[] = [];
    for (const change of changed) {
      try {
        told.push(change);
        this.#tell(change.name, this.#values, before);
      } catch (error) {
        const after = this.#values;
        for (const [name, entry] of previous) this.#entries.set(name, entry);
        this.#values = before;
        for (const { name } of told.reverse()) this.#tellBack(name, before, after);
        throw refusal(change.spelling, error instanceof Error ? error.message : String(error));
      }
    }
    return changed.map(({ name }) => name);
  }

  #tell(name: SettingName, values: SettingValues, before: SettingValues): void {
    for (const listener of this.#listeners.get(name) ?? []) listener(values[name] as never, before[name] as never);
  }

  /** On the way back nobody is asked: what was in force is in force again. */
  #tellBack(name: SettingName, values: SettingValues, before: SettingValues): void {
    try {
      this.#tell(name, values, before);
    } catch {
      // The refusal that caused this is the one to report.
    }
  }
}

function snapshot(entries: ReadonlyMap<SettingName, Sourced>): SettingValues {
  const values = [...entries].map(([name, { value }]) => [name, value]);
  return Object.freeze(Object.fromEntries(values)) as SettingValues;
}

const spellings: ReadonlyMap<string, string> = new Map([
  ...settingNames.map((name) => [name, name] as const),
  ...settingNames.flatMap((name) => {
    const { redis } = settingOf(name);
    return redis === null ? [] : [[redis, name] as const];
  }),
  ...Object.keys(redisConstants).map((name) => [name, name] as const),
]);

/** The setting, or constant, that a spelling means in CONFIG SET. */
function known(spelling: string): string {
  const name = spellings.get(spelling.toLowerCase());
  if (name !== undefined) return name;
  const what = `Unknown option or number of arguments for CONFIG SET - '${spelling.slice(0, 128)}'`;
  throw new CairnError('ERR', what, { hint: guess(spelling) ?? '' });
}

function requireConstant(name: string, spelling: string, text: string): void {
  const answer = redisConstants[name] ?? '';
  if (text.toLowerCase() !== answer) throw refusal(spelling, `argument must be '${answer}': Cairn has no such setting`);
}

function refusal(spelling: string, reason: string): CairnError {
  return new CairnError('ERR', `CONFIG SET failed (possibly related to argument '${spelling}') - ${reason}`);
}
