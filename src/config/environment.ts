/**
 * The environment: CAIRN_ and a setting's name. A variable with that prefix that names nothing is an error, because a
 * misspelt CAIRN_BACKUP_RETENTION_MAX_AGE must not be silence. The only place that reads process.env.
 */
import { environmentName, settingNames } from './schema.js';
import type { Given } from './sources.js';

export type Environment = Readonly<Record<string, string | undefined>>;

/** Variables that are no settings. What tests tell each other by the environment begins with CAIRN_TEST_. */
const configFileVariable = 'CAIRN_CONFIG';
const faultPointsVariable = 'CAIRN_FAULT_POINTS';
const testPrefix = 'CAIRN_TEST_';

export interface EnvironmentSettings {
  /** CAIRN_CONFIG: the file, where the command line names none. */
  configFile: string | null;
  /** CAIRN_FAULT_POINTS: for tests of the built program, see base/fault-points.ts. */
  faultPoints: string;
  given: Given[];
}

export function readEnvironment(environment: Environment = process.env): EnvironmentSettings {
  const names = new Map(settingNames.map((name) => [environmentName(name), name as string]));
  const given: Given[] = [];
  for (const [variable, text] of Object.entries(environment).sort(([a], [b]) => (a < b ? -1 : 1))) {
    if (!variable.startsWith('CAIRN_') || text === undefined) continue;
    if (variable === configFileVariable || variable === faultPointsVariable) continue;
    if (variable.startsWith(testPrefix)) continue;
    const name = names.get(variable) ?? variable;
    given.push({ name, text, source: 'environment', where: `environment variable ${variable}` });
  }
  return {
    configFile: environment[configFileVariable] || null,
    faultPoints: environment[faultPointsVariable] ?? '',
    given,
  };
}
