/** The generated pages of docs/. */
import { fullName, replyFields } from './protocol.mjs';
import { argumentSyntax, wordsOf } from './render-syntax.mjs';

const NOTICE = '<!-- Generated from protocol/ by scripts/generate.mjs. Do not edit. -->';

/** @returns {[string, string][]} file name and text */
export function referencePages(protocol) {
  const { commands } = protocol;
  const ours = commands.filter(({ origin, container }) => origin === 'cairn' && container === undefined);
  const redis = commands.filter(({ origin }) => origin === 'redis');
  return [
    ...ours.map((command) => [`${fullName(command)}.md`, familyPage(command, protocol)]),
    ['redis-commands.md', redisPage(redis, protocol)],
    ['README.md', indexPage(ours, redis)],
  ];
}

export function errorPage({ errors }) {
  const part = (origin, heading, text) => [
    `## ${heading}`,
    '',
    text,
    '',
    ...errors.filter((error) => error.origin === origin).flatMap(errorSection),
  ];
  return page([
    '# Errors',
    '',
    'An error reply is one line: `-CODE what happened. what to do`. The code is what programs look at; the text names the',
    'things and numbers of the case. Plain `redis-cli` exits with 0 on an error reply: scripts use `redis-cli -e`.',
    '',
    '- **warning**: nothing is broken; do it later or otherwise.',
    '- **error**: what was asked for was not done.',
    '- **critical**: somebody has to look: data or backups are damaged, or writes stand still.',
    '',
    ...part('cairn', 'Backups and restores', 'Every error from RESTORE leaves the live data as it was.'),
    ...part('redis', "Redis's own codes", 'Used as Redis uses them.'),
  ]);
}

function errorSection(error) {
  return [
    `### ${error.code}`,
    '',
    `*${error.severity}* (${error.kind}). ${prose(error.meaning)}`,
    '',
    ...error.remedies.map((remedy, position) => `${position + 1}. ${prose(remedy)}`),
    '',
    ...(error.known_as === undefined
      ? []
      : [`Known elsewhere as ${error.known_as.map((name) => `\`${name}\``).join(', ')}.`, '']),
  ];
}

function indexPage(ours, redis) {
  return page([
    '# Reference',
    '',
    ...ours.map((command) => `- [${command.name}](${fullName(command)}.md): ${command.summary}`),
    `- [Redis commands](redis-commands.md): the ${redis.filter((command) => !command.container).length} commands of Redis that Cairn answers.`,
    '- [Errors](../errors.md): every error code and what to do about it.',
    '',
    'The same is there while the server runs: `COMMAND DOCS`, and `ADMIN.BACKUP HELP`.',
    '',
  ]);
}

function familyPage(command, protocol) {
  const subcommands = protocol.commands.filter((other) => other.container === command.name);
  const lines = [`# ${command.name}`, '', command.summary, ''];
  if (command.description !== undefined) lines.push(command.description, '');
  if (subcommands.length === 0) return page([...lines, ...commandBody(command, protocol)]);
  lines.push('| command | does |', '|---|---|');
  for (const sub of subcommands) {
    lines.push(`| [${sub.name}](#${anchor(sub)}) | ${cell(sub.summary)} |`);
  }
  lines.push('');
  for (const sub of subcommands) {
    lines.push(`## ${title(sub)}`, '', sub.summary, '');
    if (sub.description !== undefined) lines.push(sub.description, '');
    lines.push(...commandBody(sub, protocol));
  }
  return page(lines);
}

function redisPage(commands, protocol) {
  const lines = [
    '# Redis commands',
    '',
    'What Cairn answers of the commands of Redis 7. Names, arguments, arity, flags and categories are those of Redis 7.0;',
    '`since` is the version of Redis that brought the command.',
    '',
  ];
  const groups = [...new Set(commands.map(({ group }) => group))].sort();
  for (const group of groups) {
    lines.push(`## ${group[0].toUpperCase()}${group.slice(1)}`, '');
    for (const command of commands.filter((other) => other.group === group)) {
      lines.push(`### ${title(command)}`, '', [command.summary, command.description].filter(Boolean).join(' '), '');
      lines.push(...commandBody(command, protocol));
    }
  }
  return page(lines);
}

function commandBody(command, { structures }) {
  const lines = ['```', `${title(command)} ${argumentSyntax(command)}`.trimEnd(), '```', ''];
  if (command.origin === 'cairn') lines.push(...argumentTable(command.arguments ?? []));
  if (command.reply !== undefined) lines.push(`**Reply.** ${command.reply.meaning}`, '');
  const fields = replyFields(command, structures);
  if (fields.length > 0) {
    lines.push('| field | type | meaning |', '|---|---|---|');
    for (const field of fields) lines.push(`| \`${field.name}\` | ${cell(field.type)} | ${cell(field.meaning)} |`);
    lines.push('');
  }
  for (const { call, reply } of command.examples ?? []) lines.push('```', `> ${call}`, reply, '```', '');
  if (command.errors !== undefined) {
    const links = command.errors.map((code) => `[${code}](../errors.md#${code.toLowerCase()})`);
    lines.push(`**Errors.** ${links.join(', ')}`, '');
  }
  for (const [version, change] of command.history ?? []) lines.push(`- ${version}: ${change}`, '');
  lines.push(facts(command), '');
  return lines;
}

function facts(command) {
  const flags = command.flags.length === 0 ? 'none' : command.flags.join(', ');
  const since = command.origin === 'redis' ? `Redis ${command.since}` : command.since;
  return (
    `Since ${since}. Complexity: ${command.complexity}. ` +
    `Arity ${command.arity}; flags: ${flags}; categories: ${command.acl_categories.join(' ')}.`
  );
}

function argumentTable(args) {
  if (args.length === 0) return [];
  const rows = args.flatMap((argument) => argumentRows(argument));
  return ['| argument | meaning |', '|---|---|', ...rows, ''];
}

function argumentRows(argument) {
  const row = `| \`${cell(wordsOf(argument))}\` | ${cell(argument.summary ?? '')} |`;
  const alternatives = (argument.arguments ?? []).filter(({ summary }) => summary !== undefined);
  if (argument.type !== 'oneof' || alternatives.length === 0) return [row];
  return [row, ...alternatives.flatMap((other) => argumentRows(other))];
}

function title(command) {
  return [command.container, command.name].filter(Boolean).join(' ');
}

function anchor(command) {
  return title(command).toLowerCase().replaceAll('.', '').replaceAll(' ', '-');
}

function cell(text) {
  return text.replaceAll('|', '\\|');
}

/** Angle brackets would be taken for HTML. */
function prose(text) {
  return text.replaceAll('<', '\\<');
}

function page(lines) {
  return `${[NOTICE, '', ...lines].join('\n').trimEnd()}\n`;
}
