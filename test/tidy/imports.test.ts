/**
 * The direction of dependencies is a lint rule per folder (biome.json). This test shows that each rule bites: a file
 * with a forbidden import, put where the rule looks, is refused; the allowed neighbour is not.
 */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';

interface Diagnostic {
  category: string;
  location: { path: string | { file: string } };
}

const project = process.cwd();
const run = promisify(execFile);

/** One file per case: the only statement of each is what is allowed or not. */
const forbidden: Record<string, string> = {
  'src/acl/a.ts': "export { x } from '../commands/spec.js';",
  'src/base/a.ts': "export { x } from '../engine/types.js';",
  'src/format/a.ts': "export { x } from '../backup/service.js';",
  'src/format/c.ts': "export { x } from '../acl/users.js';",
  'src/format/b.ts': "export { readFile } from 'node:fs/promises';",
  'src/resp/a.ts': "export { createServer } from 'node:net';",
  'src/resp/b.ts': "export { x } from '../commands/command.js';",
  'src/rdb/a.ts': "export { x } from '../resp/reply.js';",
  'src/rdb/b.ts': "export { readFile } from 'node:fs/promises';",
  'src/codec/a.ts': "export { openSync } from 'node:fs';",
  'src/storage/a.ts': "export { x } from '../backup/service.js';",
  'src/engine/a.ts': "export { x } from '../keyspace/keyspace.js';",
  'src/keyspace/a.ts': "export { x } from '../backup/service.js';",
  'src/keyspace/b.ts': "export { x } from '../engine/addon.js';",
  'src/backup/a.ts': "export { x } from '../resp/reply.js';",
  'src/backup/b.ts': "export { x } from '../server/listener.js';",
  'src/backup/c.ts': "export { x } from '../commands/command.js';",
  'src/backup/d.ts': "export { x } from '../keyspace/keyspace.js';",
  'src/backup/e.ts': "export type { Socket } from 'node:net';",
  'src/commands/a.ts': "export { x } from '../server/listener.js';",
  'src/commands/b.ts': "export { createServer } from 'node:tls';",
  'src/commands/c.ts': "export const load = () => import('../cli/main.js');",
  'src/server/a.ts': "export { x } from '../backup/service.js';",
  'src/observability/a.ts': "export { x } from '../config/service.js';",
  'src/config/a.ts': "export { connect } from 'node:net';",
  'src/cli/a.ts': "export { createRequire } from 'node:module';",
  'src/cli/b.ts': 'export const home = process.env.HOME;',
  'src/deep/backup/a.ts': 'export const home = process.env.HOME;',
};

const allowed: Record<string, string> = {
  'src/acl/ok.ts': "export { x } from '../base/hash.js';",
  'src/backup/ok.ts': "export { x } from '../storage/store.js';\nexport { y } from '../keyspace/port.js';",
  'src/commands/ok.ts': "export { x } from '../backup/service.js';\nexport { y } from '../resp/reply.js';",
  'src/server/ok.ts':
    "export { z } from '../acl/users.js';\nexport { createServer } from 'node:net';\nexport { x } from '../commands/command.js';",
  'src/engine/ok.ts': "export { createRequire } from 'node:module';\nexport { x } from './addon.js';",
  'src/config/ok.ts': "import { isIP } from 'node:net';\n\nexport const set = isIP(String(process.env.CAIRN_BIND));",
  'src/cli/ok.ts': "export { x } from '../server/listener.js';\nexport { y } from '../backup/service.js';",
};

t.test('the linter refuses every import that goes against the direction of dependencies', async (t) => {
  const refused = await refusedFiles({ ...forbidden, ...allowed });
  t.same(refused, Object.keys(forbidden).sort());
});

/** Lints the files in a project of their own that has our biome.json; the paths of those that have a finding. */
async function refusedFiles(files: Record<string, string>): Promise<string[]> {
  const directory = await mkdtemp(join(tmpdir(), 'cairn-lint-'));
  try {
    const settings = JSON.parse(await readFile(join(project, 'biome.json'), 'utf8'));
    settings.vcs = { enabled: false };
    await writeFile(join(directory, 'biome.json'), JSON.stringify(settings));
    for (const [path, text] of Object.entries(files)) {
      await mkdir(dirname(join(directory, path)), { recursive: true });
      await writeFile(join(directory, path), `${text}\n`);
    }
    const biome = join(project, 'node_modules', '@biomejs', 'biome', 'bin', 'biome');
    const args = [biome, 'lint', '--reporter=json', '--max-diagnostics=none', '.'];
    const output = await run(process.execPath, args, { cwd: directory }).catch((failed: { stdout: string }) => failed);
    const { diagnostics } = JSON.parse(output.stdout) as { diagnostics: Diagnostic[] };
    const rules = ['lint/style/noRestrictedImports', 'lint/style/noProcessEnv'];
    return [...new Set(diagnostics.filter((found) => rules.includes(found.category)).map(pathOf))].sort();
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

function pathOf({ location }: Diagnostic): string {
  return typeof location.path === 'string' ? location.path : location.path.file;
}
