import { mkdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import t from 'tap';
import { scratch } from '../support/scratch.js';

interface Fingerprint {
  isCurrent(): boolean;
  take(): () => void;
}

const module = await import(pathToFileURL(join(process.cwd(), 'scripts', 'setup', 'fingerprint.mjs')).href);
const fingerprint = module.fingerprint as (stamp: string, inputs: string[], environment?: string) => Fingerprint;

/** Inputs are named relative to the project; this is the way from there to the scratch directory. */
const outside = (path: string) => relative(process.cwd(), path);

t.test('what was made is current until an input is changed, added or deleted', async (t) => {
  const dir = scratch(t, { src: { 'a.ts': 'a', deep: { 'b.ts': 'b' } } });
  const stamp = join(dir, 'out', '.stamp');
  const inputs = () => fingerprint(stamp, [outside(join(dir, 'src'))]);

  t.equal(inputs().isCurrent(), false, 'nothing was made yet');
  inputs().take()();
  t.equal(inputs().isCurrent(), true, 'made');

  writeFileSync(join(dir, 'src', 'deep', 'b.ts'), 'c');
  t.equal(inputs().isCurrent(), false, 'an input has other content');
  inputs().take()();

  mkdirSync(join(dir, 'src', 'more'));
  writeFileSync(join(dir, 'src', 'more', 'd.ts'), 'd');
  t.equal(inputs().isCurrent(), false, 'an input was added');
  inputs().take()();

  rmSync(join(dir, 'src', 'a.ts'));
  t.equal(inputs().isCurrent(), false, 'an input was deleted');
});

t.test('new times alone, as a checkout gives them, make nothing stale', async (t) => {
  const dir = scratch(t, { 'a.ts': 'a' });
  const stamp = join(dir, '.stamp');
  const inputs = () => fingerprint(stamp, [outside(join(dir, 'a.ts'))]);
  inputs().take()();
  utimesSync(join(dir, 'a.ts'), 1_000_000_000, 1_000_000_000);
  t.equal(inputs().isCurrent(), true);
});

t.test('an edit while the build runs makes it stale again', async (t) => {
  const dir = scratch(t, { 'a.ts': 'a' });
  const stamp = join(dir, '.stamp');
  const writeStamp = fingerprint(stamp, [outside(join(dir, 'a.ts'))]).take();
  writeFileSync(join(dir, 'a.ts'), 'edited');
  writeStamp();
  t.equal(fingerprint(stamp, [outside(join(dir, 'a.ts'))]).isCurrent(), false);
});

t.test('another environment and an unreadable stamp make it stale', async (t) => {
  const dir = scratch(t, { 'a.ts': 'a' });
  const stamp = join(dir, '.stamp');
  fingerprint(stamp, [outside(join(dir, 'a.ts'))], 'abi 115').take()();
  t.equal(fingerprint(stamp, [outside(join(dir, 'a.ts'))], 'abi 115').isCurrent(), true);
  t.equal(fingerprint(stamp, [outside(join(dir, 'a.ts'))], 'abi 127').isCurrent(), false);
  writeFileSync(stamp, '{"times":');
  t.equal(fingerprint(stamp, [outside(join(dir, 'a.ts'))], 'abi 115').isCurrent(), false);
});
