/** What the program's exit codes mean; docs/configuration.md lists them. */
export const exitCode = {
  ok: 0,
  /** It could not do what was asked: could not start, could not adopt, did not stop cleanly. The log or stderr says why. */
  failed: 1,
  /** The command line, the environment or the configuration file is not right. Nothing was touched. */
  usage: 2,
  /** A bug: an exception that nobody expected. The log has the stack. */
  bug: 70,
} as const;
