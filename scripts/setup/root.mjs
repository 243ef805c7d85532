/** Where the project is, and the places in it that set-up owns. */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

export const inProject = (...parts) => join(root, ...parts);

/** Set-up speaks on stderr: stdout belongs to the server's ready line and to the tests' result. */
export function say(text) {
  process.stderr.write(`setup: ${text}\n`);
}

/** A failure that set-up has already put into words; the message is for the person in front of it. */
export class SetupError extends Error {
  name = 'SetupError';
}
