/** Rules and requests as text, on the commands that there are. */
import { joinSelectors, type Rights } from '../../src/acl/rights.js';
import { type User, Users } from '../../src/acl/users.js';
import { sha256 } from '../../src/base/hash.js';
import { allSpecs, find, lookup } from '../../src/commands/spec.js';

export const catalogue = { lookup, all: allSpecs };

export function newUsers(defaultPassword = ''): Users {
  const hash = defaultPassword === '' ? '' : sha256(Buffer.from(defaultPassword));
  return new Users({ catalogue, defaultPassword: hash, maxDenials: () => 10 });
}

/** Of nothing but these rules, separated by blanks. */
export function rightsOf(rules: string): Rights {
  return newUsers().describe(joinSelectors(rules.split(' ')));
}

/** 'ok', 'command', or the key that is refused. */
export function decision(rights: Rights, request: string): string {
  const argv = request.split(' ').map((word) => Buffer.from(word));
  const spec = find(argv);
  if (spec === undefined) throw new Error(`there is no command ${request}`);
  const denial = rights.check(spec, argv);
  if (denial === null) return 'ok';
  return denial.reason === 'command' ? 'command' : String(argv[denial.at]);
}

export function text(user: User | undefined): string | undefined {
  return user?.rights.text;
}
