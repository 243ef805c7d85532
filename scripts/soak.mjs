/** `npm run soak`: set-up, then the crash soak of test/support/soak as its own program. */
import { spawn } from 'node:child_process';
import { inProject, root } from './setup/root.mjs';
import { buildTests } from './setup/typescript.mjs';
import { setUp } from './setup.mjs';

await setUp();
await buildTests();
const program = inProject('dist-test', 'test', 'support', 'soak', 'main.js');
const child = spawn(process.execPath, ['--enable-source-maps', program, ...process.argv.slice(2)], {
  cwd: root,
  stdio: 'inherit',
});
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(signal, () => child.kill(signal));
child.on('close', (code, signal) => process.exit(signal === null ? (code ?? 1) : 1));
