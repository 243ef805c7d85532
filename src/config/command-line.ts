/**
 * The options of the command line that are settings. Most are short for --set; both go in the order in which they
 * stand, so that the later one wins.
 */
import { ConfigError, type Given } from './sources.js';

/** Option → setting. */
export const settingOptions: Readonly<Record<string, string>> = {
  port: 'port',
  bind: 'bind',
  dir: 'dir',
  'backup-dir': 'backup.dir',
  'data-dir': 'data_dir',
};

export interface CommandLine {
  /** The file of --config. */
  configFile: string | null;
  given: Given[];
}

/** Throws ConfigError for what is not understood. */
export function parseCommandLine(args: readonly string[]): CommandLine {
  const problems: string[] = [];
  const given: Given[] = [];
  let configFile: string | null = null;
  for (let at = 0; at < args.length; at += 1) {
    const word = args[at] as string;
    const match = /^--([a-z][a-z-]*)(?:=(.*))?$/s.exec(word);
    const option = match?.[1] ?? '';
    const isSetting = Object.hasOwn(settingOptions, option);
    if (!isSetting && option !== 'set' && option !== 'config') {
      // The text may be a secret that lost its option: only what looks like an option is repeated.
      problems.push(`unknown ${match === null ? 'argument' : `option --${option}`}; ${usageHint}`);
      continue;
    }
    let value = match?.[2];
    if (value === undefined) {
      at += 1;
      value = args[at];
    }
    if (value === undefined) {
      problems.push(`option --${option} needs a value; ${usageHint}`);
    } else if (option === 'config') {
      if (value === '') problems.push('option --config needs the path of a file');
      configFile = value;
    } else if (isSetting) {
      given.push({
        name: settingOptions[option] ?? '',
        text: value,
        source: 'command line',
        where: `option --${option}`,
      });
    } else {
      const equals = value.indexOf('=');
      if (equals <= 0) problems.push('option --set needs key=value, as in --set backup.retention.max_count=3');
      else
        given.push({
          name: value.slice(0, equals),
          text: value.slice(equals + 1),
          source: 'command line',
          where: 'option --set',
        });
    }
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return { configFile, given };
}

const usageHint = 'there are --config --port --bind --dir --backup-dir --data-dir --set key=value';
