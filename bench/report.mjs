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
  writeFileSync(`${folder}/goals.svg`, picture(documents.flatMap(({ goals = [] }) => goals)));
}

/** Every goal as a bar: 1 is the goal itself, longer is better. Hatched: not met. */
function picture(goals) {
  const [label, width, line] = [430, 900, 22];
  const score = ({ value, limit, better }) => (better === 'more' ? value / limit : limit / value);
  const scale = (width - label - 90) / 3;
  const bars = goals.map((one, at) => {
    const y = 34 + at * line;
    const length = Math.max(2, Math.min(3, score(one)) * scale);
    const colour = one.met ? '#3a7d44' : '#c0392b';
    const shown = `${Number(one.value.toPrecision(3))} (goal ${one.better === 'more' ? '≥' : '≤'} ${one.limit})`;
    return (
      `<text x="${label - 8}" y="${y + 13}" text-anchor="end">${escapeXml(one.what)}</text>` +
      `<rect x="${label}" y="${y}" width="${length.toFixed(1)}" height="16" fill="${colour}"/>` +
      `<text x="${(label + length + 6).toFixed(1)}" y="${y + 13}">${escapeXml(shown)}</text>`
    );
  });
  const height = 44 + goals.length * line;
  const mark = label + scale;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width + 120} ${height}" font-family="sans-serif" font-size="12">
<rect width="100%" height="100%" fill="#ffffff"/>
<text x="${mark}" y="16" text-anchor="middle">the goal</text>
${bars.join('\n')}
<line x1="${mark}" y1="22" x2="${mark}" y2="${height - 8}" stroke="#333333" stroke-dasharray="4 3"/>
</svg>
`;
}

function escapeXml(text) {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

function section(document) {
  const { machine: on, measured_at: at } = document;
  const where = `${on.cores} × ${on.cpu}, ${on.memory_gb} GB, Linux ${on.kernel}, Node ${on.node}, RocksDB ${on.rocksdb}`;
  return `${table(document)}\nMeasured ${at.slice(0, 10)} at ${on.commit}: ${where}.\n`;
}

function table({ title, columns, rows, notes, goals = [] }) {
  const lines = [columns, columns.map((_, index) => (index === 0 ? '---' : '--:')), ...rows];
  const body = lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
  const held = goals.map(
    ({ what, value, limit, better, met }) =>
      `\n- ${met ? 'met' : 'NOT met'}: ${what}: ${Number(value.toPrecision(3))}, goal ${better === 'more' ? '≥' : '≤'} ${limit}`,
  );
  return `## ${title}\n\n${body}\n${notes.map((note) => `\n${note}`).join('')}\n${held.join('')}${held.length > 0 ? '\n' : ''}`;
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

export function megabytes(bytes) {
  return `${(bytes / 2 ** 20).toFixed(1)} MB`;
}

/**
 * One line of the picture: how Cairn compares with its goal. `value` is the ratio that the goal is about, `better` says in which
 * direction: 'more' (a rate) or 'less' (a time, memory).
 */
export function goal(what, value, limit, better) {
  return { what, value, limit, better, met: better === 'more' ? value >= limit : value <= limit };
}
