/** Fault points: silent when off, exact when armed, and strict about what they are told. */
import { spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { armFaultPoints, faultPoint } from '../../src/base/fault-points.js';
import { scratch } from '../support/scratch.js';

t.afterEach(() => armFaultPoints(''));

t.test('an unarmed point is undefined, also while another one is armed', async (t) => {
  t.equal(faultPoint('manifest-written'), undefined);
  armFaultPoints('file-copied=throw');
  t.equal(faultPoint('manifest-written'), undefined);
});

t.test('throw fails with the code that was asked for, on the time that was asked for', async (t) => {
  armFaultPoints('manifest-written=throw, file-copied=throw:ENOSPC:2');
  await t.rejects(async () => faultPoint('manifest-written'), { message: 'fault injected at manifest-written' });
  t.equal(faultPoint('file-copied'), undefined);
  await t.rejects(async () => faultPoint('file-copied'), { code: 'ENOSPC' });
  t.equal(faultPoint('file-copied'), undefined);
});

t.test('delay waits, pause announces itself and waits for its file', async (t) => {
  const gate = join(scratch(t), 'gate');
  armFaultPoints(`proven=delay:20ms,replayed=pause:${gate}`);
  const started = performance.now();
  await faultPoint('proven');
  t.ok(performance.now() - started >= 19);

  let passed = false;
  const paused = faultPoint('replayed')?.then(() => {
    passed = true;
  });
  t.ok(existsSync(`${gate}.reached`));
  t.notOk(passed);
  writeFileSync(gate, '');
  await paused;
  t.ok(passed);
});

t.test('kill ends the process with SIGKILL and nothing after it runs', async (t) => {
  const module = new URL('../../src/base/fault-points.js', import.meta.url).href;
  const script = `
    const { armFaultPoints, faultPoint } = await import(${JSON.stringify(module)});
    process.on('exit', () => console.log('exit handler'));
    armFaultPoints('file-copied=kill:3');
    for (let n = 1; n <= 5; n++) { await faultPoint('file-copied'); console.log('survived', n); }`;
  const child = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
  t.equal(child.signal, 'SIGKILL');
  t.equal(child.stdout, 'survived 1\nsurvived 2\n');
});

t.test('an unknown point or action is refused, and what was armed before stays', async (t) => {
  armFaultPoints('proven=throw');
  const refused = [
    'nowhere=kill',
    'proven',
    'proven=',
    'proven=explode',
    'proven=kill:x',
    'proven=delay:5',
    'proven=pause:',
  ];
  for (const spec of refused) t.throws(() => armFaultPoints(spec), /fault point/, spec);
  await t.rejects(async () => faultPoint('proven'));
});
