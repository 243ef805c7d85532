/**
 * What the sources of settings have in common. Each hands over (name, text, where it stood) and judges nothing but its
 * own form; names and values are judged in one place, load.ts, so that no source is more lenient than another.
 */
export type SourceKind = 'default' | 'file' | 'environment' | 'command line' | 'CONFIG SET';

export interface Given {
  /** As it was written; it may be no setting at all. */
  readonly name: string;
  readonly text: string;
  readonly source: SourceKind;
  /** For people: "cairn.yaml line 3", "environment variable CAIRN_PORT", "option --port". */
  readonly where: string;
}

/** The configuration cannot be used. Every problem is named, not just the first. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  constructor(readonly problems: readonly string[]) {
    super(problems.join('\n'));
  }
}
