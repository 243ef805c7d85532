/** redis-parser 3 ships no types. What is declared here is what decode.ts and the tests use. */
declare module 'redis-parser' {
  export default class Parser {
    constructor(options: {
      returnReply(reply: unknown): void;
      returnError(error: Error): void;
      returnFatalError?(error: Error): void;
      returnBuffers?: boolean;
      stringNumbers?: boolean;
    });
    /** What was fed and not yet parsed; null when nothing is left. */
    readonly buffer: Buffer | null;
    execute(bytes: Buffer): void;
    reset(): void;
  }
}
