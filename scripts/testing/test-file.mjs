/**
 * Runs one compiled test file in a process of its own. The process leads a group, so that a file that hangs or dies
 * takes the servers that it started along: what is left of the group is ended, and named, for it is a test's mistake.
 *
 * tap's own command line is not used: its TypeScript loader does not work with TypeScript 7, and plain node starts
 * twice as fast. The files print the same TAP either way.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { inProject, root } from '../setup/root.mjs';
import { readTap } from './tap-results.mjs';

const graceMs = 10_000;
const running = new Set();

/** Ends every test file that runs, with all that it started. */
export function killTestFiles() {
  for (const pid of running) killGroup(pid, 'SIGKILL');
}

/**
 * @param {string} file the compiled file, relative to the project
 * @param {string} name the source, for people
 * @param {number} timeoutMs
 * @param {Record<string, string>} environment added to the runner's own
 */
export function runTestFile(file, name, timeoutMs, environment = {}) {
  return new Promise((resolve) => {
    const startedMs = performance.now();
    const child = spawn(process.execPath, ['--enable-source-maps', join(root, file)], {
      cwd: root,
      env: {
        ...process.env,
        ...environment,
        TAP_TIMEOUT: String(timeoutMs / 1000),
        CAIRN_TEST_RUNNER: '1',
        FORCE_COLOR: '0',
      },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    if (child.pid !== undefined) running.add(child.pid);
    const output = [];
    const errors = [];
    child.stdout.on('data', (bytes) => output.push(bytes));
    child.stderr.on('data', (bytes) => errors.push(bytes));

    // tap itself gives up at timeoutMs and says where it was; only what does not listen is killed.
    let timedOut = false;
    const killer = setTimeout(() => {
      timedOut = true;
      killGroup(child.pid, 'SIGKILL');
    }, timeoutMs + graceMs);

    let leftovers = [];
    child.on('error', (error) => errors.push(Buffer.from(`${error.message}\n`)));
    // A survivor of the group may hold the pipes open: end it when the file's own process is gone, not when they close.
    child.on('exit', () => {
      leftovers = commandsOfGroup(child.pid);
      killGroup(child.pid, 'SIGKILL');
    });
    child.on('close', (code, signal) => {
      clearTimeout(killer);
      running.delete(child.pid);
      const stdout = Buffer.concat(output).toString();
      const stderr = Buffer.concat(errors).toString();
      const log = keepLog(name, stdout, stderr);
      const tap = readTap(stdout);
      const ending = howItEnded({ code, signal, timedOut, tap, timeoutMs });
      if (ending !== null) tap.failed.push({ name: ending, report: '' });
      const durationMs = performance.now() - startedMs;
      resolve({
        name,
        durationMs,
        passed: tap.passed,
        failed: tap.failed,
        skipped: tap.skipped,
        leftovers,
        stderr,
        log,
      });
    });
  });
}

/** What is wrong beyond the test points: a file that crashed has printed only the points before. */
function howItEnded({ code, signal, timedOut, tap, timeoutMs }) {
  if (timedOut) return `the file did not end within ${timeoutMs / 1000} s and was killed`;
  if (signal !== null) return `the file was ended by ${signal}`;
  const points = tap.passed + tap.failed.length + tap.skipped.length;
  if (tap.planned === null) return `the file ended before its tests did (exit code ${code})`;
  if (tap.planned !== points) return `${tap.planned} tests were planned and ${points} ran`;
  if (points === 0) return 'the file has no tests';
  if (code !== 0 && tap.failed.length === 0) return `every test passed but the file ended with exit code ${code}`;
  return null;
}

function keepLog(name, stdout, stderr) {
  const path = join('dist-test', 'logs', `${name.replace(/[^\w.-]+/g, '-')}.log`);
  mkdirSync(dirname(inProject(path)), { recursive: true });
  writeFileSync(inProject(path), `${stdout}${stderr === '' ? '' : `\n--- stderr\n${stderr}`}`);
  return path;
}

/** What still runs in a group, by command line; known on Linux only. What has ended and was not collected yet is not running. */
function commandsOfGroup(group) {
  const commands = [];
  for (const pid of existsSync('/proc/self/stat') ? readdirSync('/proc').filter((name) => /^\d+$/.test(name)) : []) {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      const [state, , processGroup] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      if (Number(processGroup) !== group || state === 'Z') continue;
      commands.push(readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim());
    } catch {
      // it ended in this moment
    }
  }
  return commands;
}

function killGroup(pid, signal) {
  try {
    process.kill(-pid, signal);
  } catch {
    // nobody is left
  }
}
