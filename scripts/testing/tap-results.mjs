/**
 * Reads the TAP that one test file prints. What counts is the outermost test points: `t.test('a sentence', …)` in the
 * file is one test, however many assertions it makes. For a failed one everything that did not pass inside it is kept,
 * with its diagnosis, as tap printed it.
 */

/**
 * @param {string} text
 * @returns {{ passed: number, failed: { name: string, report: string }[], skipped: string[], planned: number | null }}
 */
export function readTap(text) {
  const result = { passed: 0, failed: [], skipped: [], planned: null };
  /** Lines since the last outermost point: they belong to the next one. */
  let inner = [];
  let diagnosed = null;
  for (const line of text.split('\n')) {
    if (diagnosed !== null && line.startsWith('  ')) {
      diagnosed.push(line);
      continue;
    }
    diagnosed = null;
    const plan = /^1\.\.(\d+)/.exec(line);
    if (plan !== null) result.planned = Number(plan[1]);
    const point = /^(not )?ok\b(?: \d+)?(?: - )?(.*)$/.exec(line);
    if (point === null) {
      inner.push(line);
      continue;
    }
    const { name, directive } = nameAndDirective(point[2] ?? '');
    if (directive !== null) {
      result.skipped.push(directive === '' ? name : `${name} (${directive})`);
    } else if (point[1] === undefined) {
      result.passed += 1;
    } else {
      diagnosed = [line];
      result.failed.push({ name, lines: [...withoutPasses(inner), diagnosed] });
    }
    inner = [];
  }
  for (const failure of result.failed) {
    failure.report = failure.lines.flat().join('\n');
    delete failure.lines;
  }
  return result;
}

/** `name # SKIP why`, `name # TODO why`, `name # time=12ms`; a brace opens a buffered subtest. */
function nameAndDirective(rest) {
  const match = /^(.*?)\s+# (SKIP|TODO)\b:?\s*(.*)$/i.exec(rest);
  if (match !== null) return { name: match[1], directive: match[3] };
  return { name: rest.replace(/\s+# time=[\d.]+m?s.*$/, '').replace(/\s*\{$/, ''), directive: null };
}

/** Without the points that passed and the plans: what is left of a failed test is short enough to read. */
function withoutPasses(lines) {
  return lines.filter(
    (line) => !/^\s*ok\b/.test(line) && !/^\s*1\.\.\d+/.test(line) && !/^(TAP version|\s*#|$)/.test(line),
  );
}
