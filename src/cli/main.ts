#!/usr/bin/env node
/** argv → subcommand → exit code, and nothing else. */
import { CairnError } from '../base/errors.js';
import { ConfigError } from '../config/sources.js';
import { exitCode } from './exit-codes.js';
import { adoptUsage, serveUsage, usage } from './usage.js';
import { cairnVersion } from './version.js';

interface Subcommand {
  usage: string;
  run(args: readonly string[]): Promise<number>;
}

/** Loaded when they run: --help needs no database engine. */
const subcommands: Readonly<Record<string, Subcommand>> = {
  serve: { usage: serveUsage, run: async (args) => (await import('./serve.js')).serve(args) },
  adopt: { usage: adoptUsage, run: async (args) => (await import('./adopt.js')).adopt(args) },
};

/** Everything that this program and RocksDB make is for its user alone: 0600 and 0700, whatever the shell's umask was. */
const PRIVATE_UMASK = 0o077;

async function main(argv: readonly string[]): Promise<number> {
  const [name = '', ...args] = argv;
  if (name === '--help' || name === '-h' || name === 'help') return print(usage);
  if (name === '--version' || name === '-v') return print(`cairn ${cairnVersion()}\n`);
  const subcommand = Object.hasOwn(subcommands, name) ? subcommands[name] : undefined;
  if (subcommand === undefined) {
    process.stderr.write(name === '' ? usage : `cairn: there is no command '${name}'\n\n${usage}`);
    return exitCode.usage;
  }
  if (args[0] === '--help' || args[0] === '-h') return print(subcommand.usage);
  try {
    return await subcommand.run(args);
  } catch (error) {
    if (error instanceof ConfigError) {
      for (const problem of error.problems) process.stderr.write(`cairn: ${problem}\n`);
      process.stderr.write(`cairn: nothing was started. \`cairn ${name} --help\` shows the options.\n`);
      return exitCode.usage;
    }
    if (!(error instanceof CairnError)) throw error;
    process.stderr.write(`cairn: ${error.line.slice(error.code.length + 1)}\n`);
    return exitCode.failed;
  }
}

function print(text: string): number {
  process.stdout.on('error', () => {}); // `cairn --help | head -1`
  process.stdout.write(text);
  return exitCode.ok;
}

process.umask(PRIVATE_UMASK);
main(process.argv.slice(2)).then(
  // Not by process.exitCode: a socket that was left open on purpose must not keep the process.
  (code) => process.exit(code),
  (error: unknown) => {
    process.stderr.write(`cairn: unexpected error: ${error instanceof Error ? error.stack : String(error)}\n`);
    process.exit(exitCode.bug);
  },
);
