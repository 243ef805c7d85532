/** How the arguments of a command are written in documentation and HELP: `<id | LATEST> [TO name] [FORMAT JSON]`. */

/** Everything after the command's name. */
export function argumentSyntax(command) {
  const words = (command.arguments ?? []).map(shown);
  // Every ADMIN command takes it, so no protocol file repeats it; a container itself takes no arguments.
  if (command.origin === 'cairn' && !command.isContainer) words.push('[FORMAT JSON]');
  return words.join(' ');
}

/** The argument itself, without the brackets that say how often it may be there. */
export function wordsOf(argument) {
  const token = argument.token === undefined ? '' : `${argument.token} `;
  switch (argument.type) {
    case 'pure-token':
      return argument.token;
    case 'oneof':
      return `${token}${argument.arguments.map(wordsOf).join(' | ')}`;
    case 'block':
      return `${token}${argument.arguments.map(shown).join(' ')}`;
    default:
      return `${token}${argument.display ?? argument.name}`;
  }
}

function shown(argument) {
  const { token, ...untold } = argument;
  const words = argument.type === 'oneof' && token !== undefined ? `${token} <${wordsOf(untold)}>` : wordsOf(argument);
  if (argument.multiple) return repeated(words, argument.optional);
  if (argument.optional) return `[${words}]`;
  return argument.type === 'oneof' ? `<${words}>` : words;
}

function repeated(words, optional) {
  return optional ? `[${words} …]` : `${words} [${words} …]`;
}
