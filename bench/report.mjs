/** Results as JSON for programs and as Markdown for people; both say on what machine they were measured. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { inProject } from '../scripts/setup/root.mjs';

const folder = inProject('bench', 'results');

/** Writes bench/results/<name>.json; answers the table. */
export function record(name, result) {
  const document = { case: name, measured_at: new Date().toISOString(), machine: machine(), ...result };
  mkdirSync(folder, { recursive: true });
  writeFileSync(`${folder}/${name}.json`, `${JSON.stringify(document, null, 2)}\n`);
  return table(document);
}

/** Makes bench/results/README.md from every recorded case. */
export function renderResults() {
  const names = readdirSync(folder)
    .filter((file) => file.endsWith('.json'))
    .sort();
  const documents = names.map((name) => JSON.parse(readFileSync(`${folder}/${name}`, 'utf8')));
  const head = '# Results\n\nMade by `npm run bench`; the numbers are of the machine that is named with them.\n';
  writeFileSync(`${folder}/README.md`, `${[head, ...documents.map(section)].join('\n')}`);
}

function section(document) {
  const { machine: on, measured_at: at } = document;
  const where = `${on.cores} × ${on.cpu}, ${on.memory_gb} GB, Linux ${on.kernel}, Node ${on.node}, RocksDB ${on.rocksdb}`;
  return `${table(document)}\nMeasured ${at.slice(0, 10)} at ${on.commit}: ${where}.\n`;
}

function table({ title, columns, rows, notes }) {
  const lines = [columns, columns.map((_, index) => (index === 0 ? '---' : '--:')), ...rows];
  const body = lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
  return `## ${title}\n\n${body}\n${notes.map((note) => `\n${note}`).join('')}\n`;
}

function machine() {
  const info = cpus();
  return {
    cpu: (info[0]?.model ?? 'unknown').trim(),
    cores: info.length,
    memory_gb: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.versions.node,
    // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query's own format language
    rocksdb: output('dpkg-query', '-W', '-f', '${Version}', 'librocksdb-dev'),
    redis: output('redis-server', '--version').replace(/^.*v=(\S+).*$/s, '$1'),
    commit: output('git', 'rev-parse', '--short', 'HEAD'),
  };
}

function output(program, ...args) {
  try {
    return execFileSync(program, args, {
      encoding: 'utf8',
      cwd: inProject(),
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return 'unknown';
  }
}

export function median(numbers) {
  return percentile(numbers, 0.5);
}

export function percentile(numbers, part) {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;
}

export function seconds(ms) {
  return `${(ms / 1000).toFixed(2)} s`;
}

export function ratio(a, b) {
  return (a / b).toFixed(2);
}
