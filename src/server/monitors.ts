/**
 * MONITOR: a line for every command that ran, to every connection that asked for it, in Redis's form:
 *
 *   +1700000000.123456 [0 127.0.0.1:60866] "SET" "key" "value"
 *
 * Lines are gathered and sent once per turn of the event loop, the same bytes to all. A reader that is too slow is cut off
 * by its output limit; one whose user may no longer MONITOR is closed before it is shown more. Of an argument the first 64 KB are shown, of a command about 1 MB: Redis shows all, but a line is up
 * to four times as long as what it shows, and there is one for each monitor.
 */
import { redacted } from '../commands/shown-arguments.js';

const SEND_AT_BYTES = 1024 * 1024;
const SHOWN_BYTES = 64 * 1024;
const LINE_BYTES = 1024 * 1024;

export interface MonitoringConnection {
  push(bytes: Buffer): void;
  cutOff(event: string): void;
}

interface Caller {
  readonly database: number;
  readonly address: string;
}

export class Monitors {
  /** With what says whether it may go on. */
  private readonly readers = new Map<MonitoringConnection, () => boolean>();
  private lines = '';
  private scheduled = false;

  get some(): boolean {
    return this.readers.size > 0;
  }

  add(reader: MonitoringConnection, mayGoOn: () => boolean): void {
    this.readers.set(reader, mayGoOn);
  }

  /** What was shown before is sent all the same. */
  remove(reader: MonitoringConnection): void {
    this.send();
    this.readers.delete(reader);
  }

  feed({ database, address }: Caller, argv: readonly Buffer[], nowUs: number): void {
    const time = `${Math.floor(nowUs / 1e6)}.${String(nowUs % 1e6).padStart(6, '0')}`;
    const client = address.startsWith('/') ? `unix:${address.slice(0, address.lastIndexOf(':'))}` : address;
    let line = `+${time} [${database} ${client}]`;
    for (const [at, arg] of redacted(argv).entries()) {
      if (line.length > LINE_BYTES) {
        line += ` ... (${argv.length - at} more arguments)`;
        break;
      }
      line += ` ${quoted(arg)}`;
    }
    this.lines += `${line}\r\n`;
    if (this.lines.length >= SEND_AT_BYTES) this.send();
    else if (!this.scheduled) {
      this.scheduled = true;
      setImmediate(() => {
        this.scheduled = false;
        this.send();
      });
    }
  }

  private send(): void {
    if (this.lines === '') return;
    const bytes = Buffer.from(this.lines, 'latin1');
    this.lines = '';
    for (const [reader, mayGoOn] of this.readers) {
      if (mayGoOn()) reader.push(bytes);
      else reader.cutOff('the user may no longer MONITOR: connection closed');
    }
  }
}

const named: Readonly<Record<string, string>> = {
  '\\': '\\\\',
  '"': '\\"',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\x07': '\\a',
  '\b': '\\b',
};

function quoted(arg: Buffer): string {
  const shown = arg.toString('latin1', 0, Math.min(arg.length, SHOWN_BYTES));
  const text = shown.replace(
    /[^\x20\x21\x23-\x5b\x5d-\x7e]/g,
    (char) => named[char] ?? `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
  return arg.length > SHOWN_BYTES ? `"${text}"... (${arg.length - SHOWN_BYTES} more bytes)` : `"${text}"`;
}
