/**
 * The file of users (`aclfile`), in Redis's format: one line per user, nothing else, no comments.
 *
 *   user default on #<sha256> ~* &* +@all
 *   user operator on #<sha256> resetchannels -@all +admin.backup|create +admin.backup|list
 *
 * It is read whole or not at all: one bad line and nothing changes. It is written beside itself and renamed, synced, with
 * mode 0600. Reading and writing take turns.
 */
import { realpath } from 'node:fs/promises';
import { faultPoint } from '../base/fault-points.js';
import { atomicWriteFile, isErrno, readFileBounded, replaceable } from '../base/fs.js';
import { joinSelectors, type Rights } from './rights.js';
import { RuleError } from './rule-error.js';
import { RuleRefused, type Users, userLine, userName } from './users.js';

const maxFileBytes = 16 * 1024 * 1024;
/** Bad lines that are named: of a file that is something else altogether there are hundreds of thousands. */
const namedProblems = 100;

/** The file cannot be used. Every bad line is named (of very many the first), in Redis's words; none is repeated: a password may stand there. */
export class AclFileError extends Error {
  override readonly name = 'AclFileError';
  constructor(readonly problems: readonly string[]) {
    super(problems.join(' '));
  }
}

export class AclFile {
  private turn: Promise<unknown> = Promise.resolve();

  constructor(readonly path: string) {}

  /** The users become those of the file. Throws AclFileError, and the errors of reading; nothing has changed then. */
  load(users: Users, cause: unknown = null): Promise<void> {
    return this.inTurn(async () => {
      const bytes = await readFileBounded(await realpath(this.path), maxFileBytes);
      users.replace(this.parse(bytes, users), cause);
    });
  }

  /** The file becomes what the users are now. */
  save(users: Users): Promise<void> {
    return this.inTurn(async () => {
      const lines = users.all().flatMap((user) => [userLine(user), Buffer.from('\n')]);
      await atomicWriteFile(await this.target(), Buffer.concat(lines), {
        beforeVisible: () => faultPoint('users-written'),
      });
    });
  }

  private parse(bytes: Buffer, users: Users): Map<string, Rights> {
    const described = new Map<string, Rights>();
    const problems: string[] = [];
    let unnamed = 0;
    for (const [index, text] of bytes.toString('latin1').split('\n').entries()) {
      const line = text.replace(/^[ \t\r]+|[ \t\r]+$/g, '');
      if (line === '') continue;
      try {
        const [name, rights] = parseLine(line, users);
        if (described.has(name)) throw new RuleError('Duplicate user found');
        described.set(name, rights);
      } catch (thrown) {
        if (problems.length === namedProblems) unnamed += 1;
        else problems.push(`${this.path}:${index + 1}${whatOf(thrown).replace(/\.?$/, '.')}`);
      }
    }
    if (unnamed > 0) problems.push(`${unnamed} more lines are wrong.`);
    if (problems.length > 0) throw new AclFileError(problems);
    return described;
  }

  /** A link stays a link. */
  private async target(): Promise<string> {
    try {
      return await replaceable(this.path);
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return this.path;
      throw error;
    }
  }

  private inTurn<T>(body: () => Promise<T>): Promise<T> {
    const result = this.turn.then(body);
    this.turn = result.catch(() => undefined);
    return result;
  }
}

class NoUserLine extends Error {}

function parseLine(line: string, users: Users): [name: string, rights: Rights] {
  const [keyword, nameText = '', ...words] = line.split(' ').filter((word) => word !== '');
  if (keyword !== 'user' || nameText === '') throw new NoUserLine();
  const name = userName(nameText);
  if (name === null) throw new RuleError("Usernames can't contain spaces or null characters");
  return [name, users.describe(joinSelectors(words))];
}

function whatOf(thrown: unknown): string {
  if (thrown instanceof NoUserLine) return ' should start with user keyword followed by the username';
  if (thrown instanceof RuleRefused) return `: ${thrown.told}`;
  if (thrown instanceof RuleError) return `: ${thrown.message}`;
  throw thrown;
}
