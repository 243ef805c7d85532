/**
 * The place of the Unix socket. What lies there is removed only where it is a socket on which nobody answers, left by a server that was
 * killed; anything else is somebody's file and stops the start. The socket is made beside its place, with its rights, and
 * renamed: libuv removes at the end whatever has the name that it listens on, so that this is not the place itself, where
 * by then another server's socket or a file may be.
 */
import { chmod, lstat, rename, unlink } from 'node:fs/promises';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { CairnError } from '../base/errors.js';
import { ignoreMissing } from '../base/fs.js';
import { randomId } from '../base/ids.js';

/** Of `sun_path`, without its end. A longer one would be cut silently. */
const MOST_BYTES = process.platform === 'linux' ? 107 : 103;

export class UnixPlace {
  readonly #path: string;
  /** What to listen on first. */
  readonly beside: string;
  #own: string | null = null;

  private constructor(path: string) {
    this.#path = path;
    this.beside = join(dirname(path), `.${randomId().slice(0, 4)}`);
  }

  /** Throws where no socket can be, or where something else is. */
  static async find(path: string): Promise<UnixPlace> {
    const place = new UnixPlace(path);
    for (const each of [path, place.beside]) {
      if (Buffer.byteLength(each) <= MOST_BYTES) continue;
      const where = each === path ? '' : `, and it is made as ${each} first`;
      throw new CairnError('ERR', `cannot listen on ${path}: a socket's path has at most ${MOST_BYTES} bytes${where}`, {
        hint: 'Choose a shorter unixsocket.',
      });
    }
    const status = await ignoreMissing(lstat(path));
    if (status === undefined) return place;
    if (!status.isSocket()) {
      throw new CairnError('ERR', `cannot listen on ${path}: it is there, and it is not a socket`, {
        hint: 'Nothing was touched. Remove it, or choose another unixsocket.',
      });
    }
    if (await isServed(path)) {
      throw new CairnError('ERR', `cannot listen on ${path}: EADDRINUSE`, {
        hint: 'Another program listens there: stop it, or choose another unixsocket.',
      });
    }
    return place;
  }

  /** The socket that is listened on gets its rights, then its name. */
  async take(permissions: number): Promise<void> {
    await chmod(this.beside, permissions);
    this.#own = await identity(this.beside);
    await rename(this.beside, this.#path);
  }

  /** Removes the socket, where it is still this one. */
  async leave(): Promise<void> {
    const own = this.#own;
    this.#own = null;
    if (own !== null && (await ignoreMissing(identity(this.#path))) === own) await ignoreMissing(unlink(this.#path));
  }
}

/** Whether somebody answers there, or might: only a refusal says that nobody does. */
function isServed(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    probe.on('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.on('error', (error: NodeJS.ErrnoException) =>
      resolve(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT'),
    );
  });
}

async function identity(path: string): Promise<string> {
  const { dev, ino } = await lstat(path, { bigint: true });
  return `${dev}:${ino}`;
}
