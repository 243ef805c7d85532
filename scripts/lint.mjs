/**
 * `npm run lint`: format and lint rules (Biome), the type check of sources and tests, and whether the generated files are
 * what protocol/ makes of them. All three run, so that one run tells everything; the exit code is non-zero if any failed.
 */
import { existsSync } from 'node:fs';
import { inProject } from './setup/root.mjs';
import { exitCodeOf } from './setup/run.mjs';

const program = (...path) => [process.execPath, inProject('node_modules', ...path)];

const checks = [
  {
    name: 'format and lint',
    command: [...program('@biomejs', 'biome', 'bin', 'biome'), 'check', '--error-on-warnings', '.'],
  },
  { name: 'types', command: [...program('typescript', 'bin', 'tsc'), '-p', 'test/tsconfig.json', '--noEmit'] },
  { name: 'generated files', command: [process.execPath, inProject('scripts', 'generate.mjs'), '--check'] },
];

if (!existsSync(inProject('node_modules'))) {
  process.stderr.write('lint: the npm packages are missing; run node scripts/setup.mjs first\n');
  process.exit(1);
}

const failed = [];
for (const { name, command } of checks) {
  process.stderr.write(`lint: ${name}\n`);
  if ((await exitCodeOf(command)) !== 0) failed.push(name);
}
process.stderr.write(failed.length === 0 ? 'lint: all good\n' : `lint: failed: ${failed.join(', ')}\n`);
process.exitCode = failed.length === 0 ? 0 : 1;
