/**
 * Named moments at which a test can make the server die, fail or wait, in the built program and without a mock. Off
 * (always, outside tests) a fault point is one comparison. The environment variable CAIRN_FAULT_POINTS holds the spec;
 * configuration reads it and the program's start arms it.
 *
 *   manifest-renamed=kill            SIGKILL to the own process when the point is reached
 *   file-copied=kill:3               the third time only
 *   manifest-written=throw           an Error; throw:ENOSPC carries that code, throw:ENOSPC:2 the second time only
 *   files-staged=delay:200ms         goes on 200 ms later
 *   pointer-written=pause:/tmp/x     creates /tmp/x.reached, then waits until /tmp/x exists
 *
 * Several are separated by commas. An unknown name or action is refused: a test that arms nothing proves nothing.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** Every point there is, in the order in which an operation reaches them. */
export const faultPointNames = [
  // start
  'interrupted-found',
  // create
  'checkpoint-made',
  'file-copied',
  'manifest-written',
  'manifest-renamed',
  'before-retention',
  // restore
  'files-staged',
  'replayed',
  'proven',
  'timeline-recorded',
  'pointer-written',
  'reopened',
  'old-kept',
  // capture
  'segment-written',
  'segment-renamed',
  // replay
  'segment-replayed',
  // merging
  'merged-renamed',
  'parts-removed',
  // delete
  'manifest-removed',
  'object-removed',
  // ACL SAVE
  'users-written',
] as const;

export type FaultPointName = (typeof faultPointNames)[number];

type Action = { run: () => Promise<void>; onlyTime: number | null; times: number };

const PAUSE_POLL_MS = 5;
let armed: Map<string, Action> | null = null;

/** Arms the points of a spec in place of all armed before; an empty spec disarms. */
export function armFaultPoints(spec: string): void {
  const actions = new Map<string, Action>();
  for (const entry of spec.split(',').map((part) => part.trim())) {
    if (entry === '') continue;
    const [name = '', action = ''] = splitOnce(entry, '=');
    if (!(faultPointNames as readonly string[]).includes(name)) {
      throw new Error(`unknown fault point '${name}'; there are: ${faultPointNames.join(' ')}`);
    }
    actions.set(name, parseAction(name, action));
  }
  armed = actions.size === 0 ? null : actions;
}

/** `await faultPoint('manifest-written')`; undefined, at once, when nothing is armed. */
export function faultPoint(name: FaultPointName): Promise<void> | undefined {
  if (armed === null) return undefined;
  const action = armed.get(name);
  if (action === undefined) return undefined;
  action.times += 1;
  return action.onlyTime === null || action.onlyTime === action.times ? action.run() : undefined;
}

function parseAction(name: string, text: string): Action {
  const [verb = '', argument = ''] = splitOnce(text, ':');
  const action = (run: () => Promise<void>, onlyTime: number | null = null): Action => ({ run, onlyTime, times: 0 });
  if (verb === 'kill' && /^\d*$/.test(argument)) return action(killSelf, parseTimes(argument));
  if (verb === 'delay' && /^\d+ms$/.test(argument)) return action(() => sleep(Number.parseInt(argument, 10)));
  if (verb === 'pause' && argument !== '') return action(() => pauseUntil(argument));
  const failure = /^throw(?::(E[A-Z0-9]+))?(?::(\d+))?$/.exec(text);
  if (failure !== null) {
    const code = failure[1];
    return action(() => Promise.reject(injected(name, code)), parseTimes(failure[2] ?? ''));
  }
  throw new Error(
    `fault point ${name} cannot '${text}'; actions are kill[:n] throw[:ECODE][:n] delay:<n>ms pause:<file>`,
  );
}

/** Kill -9: no handler runs, nothing is flushed. The promise stays open, so nothing after the point can run. */
function killSelf(): Promise<void> {
  process.kill(process.pid, 'SIGKILL');
  return new Promise(() => undefined);
}

async function pauseUntil(file: string): Promise<void> {
  writeFileSync(`${file}.reached`, '');
  while (!existsSync(file)) await sleep(PAUSE_POLL_MS);
}

function injected(name: string, code: string | undefined): Error {
  const error = new Error(`fault injected at ${name}${code === undefined ? '' : `: ${code}`}`);
  return code === undefined ? error : Object.assign(error, { code });
}

function parseTimes(text: string): number | null {
  return text === '' ? null : Number(text);
}

function splitOnce(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
}
