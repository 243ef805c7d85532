/** The generated TypeScript: one line per entry, so that a change shows as a change of that line. */
import { fullName, replyFields } from './protocol.mjs';
import { argumentSyntax } from './render-syntax.mjs';

export function errorTable({ errors }) {
  const lines = errors.map(
    ({ code, origin, kind, severity, remedies }) =>
      // The codes of Redis keep its wording: no remedy is added to them by itself.
      `  ${code}: { kind: '${kind}', severity: '${severity}', remedy: ${literal(origin === 'redis' ? '' : remedies[0])} },`,
  );
  return [
    '// Generated from protocol/errors.json by scripts/generate.mjs. Do not edit.',
    'export const errorTable = {',
    ...lines,
    '} as const;',
    'export type ErrorCode = keyof typeof errorTable;',
    '',
  ].join('\n');
}

export function commandTable({ commands, structures }) {
  const lines = commands.map((command) => `  ${JSON.stringify(entry(command, structures))},`);
  return [
    '// Generated from protocol/commands/ by scripts/generate.mjs. Do not edit.',
    "import type { RawCommand } from './spec-types.js';",
    '',
    'export const commandTable: readonly RawCommand[] = [',
    ...lines,
    '];',
    '',
  ].join('\n');
}

function entry(command, structures) {
  const fields = replyFields(command, structures).map(({ name }) => name);
  return {
    name: fullName(command),
    summary: command.summary,
    since: command.since,
    group: command.group,
    complexity: command.complexity,
    arity: command.arity,
    flags: command.flags,
    categories: command.acl_categories,
    tips: command.tips,
    keySpecs: command.key_specs,
    arguments: command.arguments,
    syntax: argumentSyntax(command),
    history: command.history,
    replyFields: fields.length === 0 ? undefined : fields,
  };
}

function literal(text) {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
