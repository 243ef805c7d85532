/**
 * The log: one event per line on stderr, as JSON for collectors or as text for people. stdout is left to answers
 * (the ready line), so that scripts may read it.
 *
 * Lines are written synchronously. A crash must not swallow the line that explains it, and the rate is low: requests
 * are not logged. The price is that a stderr nobody reads stops the process once the pipe is full, as for any program.
 *
 *   text   2026-01-28T10:30:04.123Z info  backup created id=5 size=1048576 label="before upgrade"
 *   json   {"level":"info","time":"2026-01-28T10:30:04.123Z","event":"backup created","id":5,…}
 *
 * Secrets never get here: values under names that say password, secret, token or credential are replaced, at any depth.
 */
import { type Logger, pino } from 'pino';
import { CairnError } from '../base/errors.js';
import { escapedJson, oneLine } from '../base/printable.js';

export const logLevels = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof logLevels)[number];
export const logFormats = ['text', 'json'] as const;
export type LogFormat = (typeof logFormats)[number];

export type Fields = Record<string, unknown>;

/** `event` says what happened in a few constant words; everything that varies goes into the fields. */
export interface Log {
  debug(event: string, fields?: Fields): void;
  info(event: string, fields?: Fields): void;
  warn(event: string, fields?: Fields): void;
  error(event: string, fields?: Fields): void;
  /** The same log with fields that every line carries. */
  child(fields: Fields): Log;
}

/** The log that the process made; its level reaches every child. */
export interface RootLog extends Log {
  setLevel(level: LogLevel): void;
}

export interface LogSink {
  write(line: string): void;
}

export interface LogOptions {
  level?: LogLevel;
  format?: LogFormat;
  /** Where lines go, each with its line end; stderr unless told. */
  sink?: LogSink;
}

export function createLog(options: LogOptions = {}): RootLog {
  const sink = options.sink ?? standardError();
  const form = options.format === 'json' ? escapedLine : toText;
  const destination = { write: (line: string) => sink.write(form(line)) };
  const logger = pino(
    {
      level: 'debug',
      base: null,
      messageKey: 'event',
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    destination,
  );
  return new GatedLog(logger, { level: options.level ?? 'info' }, {});
}

/** pino copies the level into each child; ours must follow CONFIG SET, so the gate stands in front and is shared. */
class GatedLog implements RootLog {
  constructor(
    private readonly logger: Logger,
    private readonly gate: { level: LogLevel },
    private readonly bound: Fields,
  ) {}

  debug(event: string, fields?: Fields): void {
    this.emit('debug', event, fields);
  }
  info(event: string, fields?: Fields): void {
    this.emit('info', event, fields);
  }
  warn(event: string, fields?: Fields): void {
    this.emit('warn', event, fields);
  }
  error(event: string, fields?: Fields): void {
    this.emit('error', event, fields);
  }
  child(fields: Fields): Log {
    return new GatedLog(this.logger, this.gate, { ...this.bound, ...fields });
  }
  setLevel(level: LogLevel): void {
    this.gate.level = level;
  }

  private emit(level: LogLevel, event: string, fields: Fields | undefined): void {
    if (logLevels.indexOf(level) < logLevels.indexOf(this.gate.level)) return;
    this.logger[level](printableFields({ ...this.bound, ...fields }), event);
  }
}

function standardError(): LogSink {
  const destination = pino.destination({ fd: 2, sync: true });
  // A closed stderr is no reason to stop serving, and there is nowhere left to say so.
  destination.on('error', () => {});
  return destination;
}

const reserved = new Set(['level', 'time', 'event']);
const secretName = /pass(word|phrase)?$|requirepass|secret|token|credential/i;
const maxDepth = 6;
const maxText = 4096;

function printableFields(fields: Fields): Fields {
  const result: Fields = {};
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined) continue;
    result[reserved.has(name) ? `${name}_` : name] = printable(name, value, 0);
  }
  return result;
}

function printable(name: string, value: unknown, depth: number): unknown {
  if (secretName.test(name) && value !== null && value !== undefined) return '[secret]';
  if (typeof value === 'string') return shorten(value);
  if (typeof value === 'bigint') return value.toString();
  if (typeof value === 'number') return Number.isFinite(value) ? value : String(value);
  if (typeof value === 'function' || typeof value === 'symbol') return String(value);
  if (typeof value !== 'object' || value === null) return value;
  if (depth >= maxDepth) return '…';
  if (Buffer.isBuffer(value)) return shorten(value.toString('utf8'));
  if (value instanceof Error) return printableError(value, depth);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'invalid date' : value.toISOString();
  if (Array.isArray(value)) return value.map((item) => printable('', item, depth + 1));
  const result: Fields = {};
  for (const [key, item] of Object.entries(value)) {
    if (item !== undefined) result[key] = printable(key, item, depth + 1);
  }
  return result;
}

/** A CairnError explains itself by code, hint and details; the stack is kept for errors that nobody expected. */
function printableError(error: Error, depth: number): Fields {
  const result: Fields =
    error instanceof CairnError
      ? { code: error.code, message: shorten(error.message) }
      : { name: error.name, message: shorten(error.message) };
  if (error instanceof CairnError) {
    if (error.hint !== '') result.hint = error.hint;
    if (Object.keys(error.details).length > 0) result.details = printable('', error.details, depth + 1);
  } else {
    const code = (error as { code?: unknown }).code;
    if (typeof code === 'string' || typeof code === 'number') result.code = code;
    if (error.stack !== undefined) result.stack = error.stack;
  }
  if (error.cause !== undefined) result.cause = printable('', error.cause, depth + 1);
  return result;
}

function shorten(text: string): string {
  return text.length <= maxText ? text : `${text.slice(0, maxText)}… (${text.length} characters)`;
}

function escapedLine(line: string): string {
  return `${escapedJson(line.trimEnd())}\n`;
}

function toText(jsonLine: string): string {
  const { level, time, event, ...fields } = JSON.parse(jsonLine) as Record<string, unknown>;
  const stacks: string[] = [];
  let line = `${time} ${String(level).padEnd(5)} ${oneLine(String(event))}`;
  for (const [name, value] of Object.entries(fields))
    line += ` ${oneLine(name)}=${escapedJson(textValue(value, stacks))}`;
  return `${[line, ...stacks].join('\n')}\n`;
}

/** Stacks leave their place in the value and follow the line, indented, where they can be read. */
function textValue(value: unknown, stacks: string[]): string {
  if (typeof value === 'string') return /^[^\s"=\p{Cc}]+$/u.test(value) ? value : JSON.stringify(value);
  if (value === null || typeof value !== 'object') return String(value);
  return JSON.stringify(value, (key, item: unknown) => {
    if (key !== 'stack' || typeof item !== 'string') return item;
    // A message may have lines of its own, and they may be anybody's: only the places are shown.
    stacks.push(
      ...item
        .split('\n')
        .filter((line) => /^ +at /.test(line))
        .map(oneLine),
    );
    return undefined;
  });
}
