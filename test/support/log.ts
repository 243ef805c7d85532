/** Logs for tests: one that says nothing, and one that keeps what it was told. */
import { createLog, type Log, type RootLog } from '../../src/observability/log.js';

export function silentLog(): Log {
  return createLog({ sink: { write: () => {} } });
}

export interface LogRecord {
  level: string;
  time: string;
  event: string;
  [field: string]: unknown;
}

export function capturingLog(): { log: RootLog; records: LogRecord[] } {
  const records: LogRecord[] = [];
  const sink = { write: (line: string) => void records.push(JSON.parse(line) as LogRecord) };
  return { log: createLog({ level: 'debug', format: 'json', sink }), records };
}
