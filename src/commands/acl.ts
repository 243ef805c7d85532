/** ACL: users, what they may do, and what was refused. Forms and texts are Redis 7.0's; what a rule means is src/acl's to know. */
import { randomBytes } from 'node:crypto';
import { categories, isCategory } from '../acl/catalogue.js';
import type { DeniedEntry } from '../acl/denials.js';
import { type AclFile, AclFileError } from '../acl/file.js';
import { joinSelectors } from '../acl/rights.js';
import { RuleError } from '../acl/rule-error.js';
import type { Selector } from '../acl/selector.js';
import { defaultName, RuleRefused, userLine, userName } from '../acl/users.js';
import { CairnError } from '../base/errors.js';
import { Double, OK, type Reply, record, SetReply } from '../resp/reply.js';
import type { Call, ServerCommand } from './command.js';
import { integer } from './integers.js';
import { allSpecs, arityFits, find, wrongArity } from './spec.js';

const longestPasswordBits = 4096;
const denialsShown = 10;

const command = (name: string, run: ServerCommand['run']): ServerCommand => ({
  name: `acl|${name}`,
  kind: 'server',
  run,
});
const once = (made: ServerCommand): ServerCommand => ({ ...made, once: true });

/** ACL HELP is made from protocol/, with all other HELPs. */
export const aclCommands: readonly ServerCommand[] = [
  command('whoami', ({ session }) => session.user),
  command('users', ({ services }) => services.users.all().map(({ name }) => name)),
  command('list', ({ services }) => services.users.all().map(userLine)),
  command('getuser', getUser),
  once(command('setuser', setUser)),
  once(command('deluser', deleteUsers)),
  command('cat', listCategories),
  once(command('log', showDenials)),
  command('genpass', makePassword),
  command('dryrun', dryRun),
  command('save', save),
  command('load', load),
];

function getUser({ services, args }: Call): Reply {
  const user = services.users.get(nameOf(args[0]));
  if (user === undefined) return null;
  const { flags, passwords, selectors } = user.rights;
  const [own, ...others] = selectors;
  return record({
    flags: new SetReply(flags),
    passwords: [...passwords],
    ...permissions(own),
    selectors: others.map((selector) => record(permissions(selector))),
  });
}

function permissions({ commandsText, keysText, channelsText }: Selector): Record<string, Reply> {
  return { commands: bytes(commandsText), keys: bytes(keysText), channels: bytes(channelsText) };
}

function setUser({ session, services, args }: Call): Reply {
  const [nameText = '', ...words] = args.map((arg) => arg.toString('latin1'));
  const name = userName(nameText);
  if (name === null) throw new CairnError('ERR', "Usernames can't contain spaces or null characters");
  try {
    services.users.set(name, joinSelectors(words));
  } catch (thrown) {
    if (thrown instanceof RuleRefused) {
      throw new CairnError('ERR', `Error in ACL SETUSER modifier '${bytes(thrown.rule)}': ${thrown.message}`);
    }
    if (thrown instanceof RuleError) throw new CairnError('ERR', bytes(thrown.message).toString());
    throw thrown;
  }
  services.log.info('user changed', { user: name, by: session.user, client: session.address });
  return OK;
}

function deleteUsers({ session, services, args }: Call): Reply {
  const names = args.map(nameOf);
  if (names.includes(defaultName)) throw new CairnError('ERR', "The 'default' user cannot be removed");
  const { user: by, address: client } = session;
  const count = services.users.remove(names, session);
  if (count > 0) services.log.info('users deleted', { users: names, by, client });
  return count;
}

function listCategories({ args }: Call): Reply {
  const [word, more] = args;
  if (word === undefined) return [...categories];
  if (more !== undefined) throw unknownForm('CAT');
  const name = word.toString();
  if (!isCategory(name)) throw new CairnError('ERR', `Unknown category '${name.slice(0, 128)}'`);
  return allSpecs()
    .filter((spec) => spec.categories.has(`@${name.toLowerCase()}`))
    .map((spec) => spec.name);
}

function showDenials({ services, args }: Call): Reply {
  const [word, more] = args;
  if (more !== undefined) throw unknownForm('LOG');
  if (word?.toString('latin1').toLowerCase() === 'reset') {
    services.users.denials.clear();
    return OK;
  }
  const count = word === undefined ? denialsShown : Math.max(0, Number(integer(word)));
  const now = Date.now();
  return services.users.denials.newest(count).map((entry) => denialReply(entry, now));
}

function denialReply({ count, reason, context, object, user, atMs, client }: DeniedEntry, nowMs: number): Reply {
  return record({
    count,
    reason,
    context,
    object,
    username: user,
    'age-seconds': new Double((nowMs - atMs) / 1000),
    'client-info': client,
  });
}

/** As many hexadecimal digits as the bits need. */
function makePassword({ args }: Call): Reply {
  const [word, more] = args;
  if (more !== undefined) throw unknownForm('GENPASS');
  const bits = word === undefined ? 256 : Number(integer(word));
  if (bits <= 0 || bits > longestPasswordBits) {
    throw new CairnError(
      'ERR',
      'ACL GENPASS argument must be the number of bits for the output password, ' +
        `a positive number up to ${longestPasswordBits}`,
    );
  }
  const digits = Math.ceil(bits / 4);
  return randomBytes(Math.ceil(digits / 2))
    .toString('hex')
    .slice(0, digits);
}

function dryRun({ services, args }: Call): Reply {
  const [name, ...argv] = args;
  const user = services.users.get(nameOf(name));
  if (user === undefined) throw new CairnError('ERR', `User '${name}' not found`);
  const spec = find(argv);
  if (spec === undefined) throw new CairnError('ERR', `Command '${argv[0]}' not found`);
  if (!arityFits(spec, argv.length)) throw wrongArity(spec);
  const denial = user.rights.check(spec, argv);
  if (denial === null) return OK;
  if (denial.reason === 'command') return `This user has no permissions to run the '${spec.name}' command`;
  const key = argv[denial.at] as Buffer;
  return Buffer.concat([Buffer.from("This user has no permissions to access the '"), key, Buffer.from("' key")]);
}

async function save({ services }: Call): Promise<Reply> {
  const file = fileOf(services.aclFile);
  try {
    await file.save(services.users);
  } catch (error) {
    services.log.error('the users could not be saved', { file: file.path, error });
    throw new CairnError(
      'ERR',
      'There was an error trying to save the ACLs. Please check the server logs for more information',
    );
  }
  services.log.info('users saved', { file: file.path });
  return OK;
}

async function load({ session, services }: Call): Promise<Reply> {
  const file = fileOf(services.aclFile);
  try {
    await file.load(services.users, session);
  } catch (error) {
    const reason = error instanceof AclFileError ? error.message : `Error loading ACLs, ${(error as Error).message}.`;
    throw new CairnError(
      'ERR',
      `${reason} WARNING: ACL errors detected, no change to the previously active ACL rules was performed`,
    );
  }
  services.log.info('users loaded', { file: file.path });
  return OK;
}

function fileOf(file: AclFile | null): AclFile {
  if (file !== null) return file;
  throw new CairnError('ERR', 'This Redis instance is not configured to use an ACL file.', {
    hint: 'Start it with the setting aclfile.',
  });
}

/** As a name of a user that may not exist: what is not UTF-8 is nobody's. */
function nameOf(arg: Buffer | undefined): string {
  return (arg ?? Buffer.alloc(0)).toString();
}

function bytes(latin1: string): Buffer {
  return Buffer.from(latin1, 'latin1');
}

function unknownForm(word: string): CairnError {
  return new CairnError('ERR', `unknown subcommand or wrong number of arguments for '${word}'. Try ACL HELP.`);
}
