/**
 * `npm start`: set-up, then the server in this very process, so that signals, exit code and terminal are the server's
 * own and nothing stands between. `npm start -- --port 7400` is `cairn serve --port 7400`.
 *
 * npm passes SIGTERM and SIGINT on, but not SIGHUP, and cannot pass on SIGKILL: the server also stops, cleanly, when the
 * npm that started it is gone.
 */
import { pathToFileURL } from 'node:url';
import { inProject } from './setup/root.mjs';
import { setUp } from './setup.mjs';

const parent = process.ppid;
const parentCheckMs = 500;

await setUp();

const program = inProject('dist', 'cli', 'main.js');
process.argv = [process.execPath, program, 'serve', ...process.argv.slice(2)];
if (process.env.npm_lifecycle_event === 'start') stopWithParent();
await import(pathToFileURL(program).href);

/** Does nothing once the server was asked to stop: a second signal would tell it to hurry. */
function stopWithParent() {
  let listening = false;
  const check = setInterval(() => {
    // Listens only after the server does: a listener of ours alone would swallow the signal.
    if (!listening && process.listenerCount('SIGTERM') > 0) {
      listening = true;
      for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => clearInterval(check));
    }
    if (process.ppid === parent) return;
    clearInterval(check);
    process.kill(process.pid, 'SIGTERM');
  }, parentCheckMs);
  check.unref();
}
