/**
 * Reads a protocol directory and checks it: each file by its schema, and what no single file can know (names match
 * file names, subcommands have a container, errors and structures exist).
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { commandSchema, errorSchema, structuresSchema } from './protocol-schema.mjs';

/**
 * @returns {{ protocol: { commands: object[], errors: object[], structures: Record<string, object[]> }, problems: string[] }}
 *   commands in the order of their full names ('admin.backup|create'), each with `isContainer`; problems is empty when everything is right.
 */
export function readProtocol(directory) {
  const problems = [];
  const errors = readJson(path.join(directory, 'errors.json'), errorSchema.array(), problems) ?? [];
  const structures = readJson(path.join(directory, 'structures.json'), structuresSchema, problems) ?? {};
  const commands = [];
  const folder = path.join(directory, 'commands');
  for (const file of existsSync(folder) ? readdirSync(folder).sort() : []) {
    const where = `commands/${file}`;
    if (!file.endsWith('.json')) {
      problems.push(`${where}: only .json files belong here`);
      continue;
    }
    const command = readJson(path.join(folder, file), commandSchema, problems, where);
    if (command === null) continue;
    const expected = `${[command.container, command.name].filter(Boolean).join('.').toLowerCase()}.json`;
    if (file !== expected) problems.push(`${where}: describes ${fullName(command)}, so it must be named ${expected}`);
    commands.push(command);
  }
  commands.sort((a, b) => (fullName(a) < fullName(b) ? -1 : 1));
  const containers = new Set(commands.map(({ container }) => container));
  for (const command of commands) command.isContainer = containers.has(command.name);
  problems.push(...crossCheck(commands, errors, structures));
  return { protocol: { commands, errors, structures }, problems };
}

/** 'get', 'admin.backup|create'. */
export function fullName(command) {
  return [command.container, command.name].filter(Boolean).join('|').toLowerCase();
}

/** The fields of a command's reply in their order, those of the shared structure first. */
export function replyFields(command, structures) {
  const shared = command.reply?.structure === undefined ? [] : (structures[command.reply.structure] ?? []);
  return [...shared, ...(command.reply?.fields ?? [])];
}

function readJson(file, schema, problems, where = path.basename(file)) {
  let value;
  try {
    value = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    problems.push(`${where}: ${error.message}`);
    return null;
  }
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  for (const issue of result.error.issues) {
    problems.push(`${where}: ${issue.path.join('.') || 'the whole'}: ${issue.message}`);
  }
  return null;
}

function crossCheck(commands, errors, structures) {
  const problems = [];
  const names = new Set(commands.map(fullName));
  const codes = new Set(errors.map((error) => error.code));
  if (codes.size !== errors.length) problems.push('errors.json: a code is there twice');
  for (const command of commands) {
    const where = fullName(command);
    if (command.container !== undefined && !names.has(command.container.toLowerCase())) {
      problems.push(`${where}: there is no command ${command.container}`);
    }
    for (const code of command.errors ?? []) {
      if (!codes.has(code)) problems.push(`${where}: errors.json has no ${code}`);
    }
    const structure = command.reply?.structure;
    if (structure !== undefined && !Array.isArray(structures[structure])) {
      problems.push(`${where}: structures.json has no ${structure}`);
    }
    const all = flatten(command.arguments ?? []);
    for (const argument of all) {
      if (argument.unknown !== undefined && !codes.has(argument.unknown)) {
        problems.push(`${where}: errors.json has no ${argument.unknown}`);
      }
      for (const other of argument.conflicts ?? []) {
        if (!all.some(({ name }) => name === other))
          problems.push(`${where}: conflicts with ${other}, which is not there`);
      }
      if (argument.key_spec_index !== undefined && command.key_specs?.[argument.key_spec_index] === undefined) {
        problems.push(`${where}: ${argument.name} names a key spec that is not there`);
      }
    }
    const least = Math.abs(command.arity);
    if (least < (command.container === undefined ? 1 : 2)) problems.push(`${where}: arity counts the whole name`);
  }
  return problems;
}

export function flatten(list) {
  return list.flatMap((argument) => [argument, ...flatten(argument.arguments ?? [])]);
}
