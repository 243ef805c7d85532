/**
 * From all sources to one ConfigService: file < environment < command line. Everything is checked before anything
 * starts, and every problem is told at once: a server that starts with half of what was asked would be trusted with
 * the other half.
 */
import { dirname, join, resolve } from 'node:path';
import { parseCommandLine } from './command-line.js';
import { type Environment, readEnvironment } from './environment.js';
import { readConfigFile } from './file.js';
import { problemOf, validate } from './judge.js';
import { isSettingName, type SettingName, type SettingValues, settingNames, settings } from './schema.js';
import { ConfigService, type Sourced } from './service.js';
import { ConfigError, type Given } from './sources.js';

export interface LoadOptions {
  /** What follows the subcommand. */
  args: readonly string[];
  /** process.env unless told. */
  environment?: Environment;
  /** What relative paths are relative to, in every source; process.cwd() unless told. */
  workingDirectory?: string;
}

export interface LoadedConfig {
  config: ConfigService;
  /** For armFaultPoints; '' outside tests. */
  faultPoints: string;
}

/** Throws ConfigError with every problem. */
export function loadConfig(options: LoadOptions): LoadedConfig {
  const workingDirectory = options.workingDirectory ?? process.cwd();
  const commandLine = parseCommandLine(options.args);
  const environment = readEnvironment(options.environment);
  const named = commandLine.configFile ?? environment.configFile;
  const file = named === null ? null : resolve(workingDirectory, named);
  const given: Given[] = [...(file === null ? [] : readConfigFile(file)), ...environment.given, ...commandLine.given];

  const problems: string[] = [];
  const values = defaults();
  for (const each of given) {
    const outcome = validate(each.name, each.text);
    if (outcome.ok)
      values.set(outcome.name, { value: outcome.value, source: each.source, fixedOutside: each.source !== 'file' });
    else problems.push(problemOf(each, outcome.reason));
  }
  if (problems.length > 0) throw new ConfigError(problems);

  resolvePaths(values, workingDirectory);
  const config = new ConfigService(values, file);
  problems.push(...contradictions(config.values));
  if (problems.length > 0) throw new ConfigError(problems);
  return { config, faultPoints: environment.faultPoints };
}

function defaults(): Map<SettingName, Sourced> {
  const values = new Map<SettingName, Sourced>();
  for (const name of settingNames) {
    const outcome = validate(name, settings[name].default);
    if (!outcome.ok) throw new Error(`the default of ${name} is not valid: ${outcome.reason}`);
    values.set(name, { value: outcome.value, source: 'default', fixedOutside: false });
  }
  return values;
}

/**
 * Paths become absolute once, here. When a plain directory is served, `dir` is not in use and nothing may lie in it by
 * default: then there is no repository and no audit log unless one is named, and restores go beside the directory.
 */
function resolvePaths(values: Map<SettingName, Sourced>, workingDirectory: string): void {
  const absolute = (name: SettingName): string | null => {
    const entry = values.get(name);
    if (typeof entry?.value !== 'string') return null;
    entry.value = resolve(workingDirectory, entry.value);
    return entry.value as string;
  };
  const dir = absolute('dir') as string;
  const plain = absolute('data_dir');
  for (const [name, entry] of values) {
    if (!isSettingName(name) || settings[name].value.kind !== 'path' || name === 'dir' || name === 'data_dir') continue;
    if (entry.source === 'default' && settings[name].default.startsWith('<dir>/')) {
      const inDir = join(dir, settings[name].default.slice('<dir>/'.length));
      entry.value = plain === null ? inDir : name === 'backup.restore_dir' ? dirname(plain) : null;
    } else {
      absolute(name);
    }
  }
}

/** What each setting alone allows and all together do not. */
function contradictions(values: SettingValues): string[] {
  const problems: string[] = [];
  if (values.bind.length === 0 && values.unixsocket === null) {
    problems.push('bind is empty and there is no unixsocket: nobody could connect. Set one of them');
  }
  problems.push(...tlsContradictions(values));
  if (values.data_dir === null && values['backup.dir'] === null) {
    problems.push('backup.dir is empty: there would be nowhere to put backups. Name a directory, or leave it out');
  }
  for (const name of ['backup.dir', 'backup.restore_dir'] as const) {
    const mustDiffer = values.data_dir ?? values.dir;
    if (values[name] === mustDiffer) {
      problems.push(`${name} = '${mustDiffer}' is the data directory itself. Choose another directory`);
    }
  }
  if (values['backup.dir'] !== null && values['backup.dir'] === values['backup.restore_dir']) {
    problems.push(`backup.dir and backup.restore_dir are both '${values['backup.dir']}'. Choose two directories`);
  }
  return problems;
}

function tlsContradictions(values: SettingValues): string[] {
  const problems: string[] = [];
  const { port, bind, unixsocket, 'tls.port': tlsPort } = values;
  if (tlsPort === 0) {
    if (port === null && unixsocket === null) {
      problems.push('port is off, tls.port is 0 and there is no unixsocket: nobody could connect. Set one of them');
    }
    return problems;
  }
  if (tlsPort === port) problems.push(`port and tls.port are both ${tlsPort}. Choose two ports, or port = off`);
  if (bind.length === 0) problems.push('tls.port is set, but bind is empty: there is no address to listen on');
  for (const name of ['tls.cert', 'tls.key'] as const) {
    if (values[name] === null) problems.push(`tls.port is set, but ${name} is not. Name the PEM file`);
  }
  if (values['tls.client_auth'] !== 'no' && values['tls.ca'] === null) {
    problems.push(
      `tls.client_auth = '${values['tls.client_auth']}' needs tls.ca: the authorities that vouch for clients`,
    );
  }
  return problems;
}
