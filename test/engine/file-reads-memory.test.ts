/** A file that there is no memory for: in a process of its own, whose memory is limited meanwhile. */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { nativeFiles } from '../../src/engine/index.js';
import { scratch } from '../support/scratch.js';

const isLinux = process.platform === 'linux';

t.test('it is closed, and the call says so', { skip: !isLinux && 'Linux only' }, async (t) => {
  const dir = scratch(t, { big: '' });
  truncateSync(join(dir, 'big'), 200 << 20);
  const read = () => nativeFiles.reads({ path: dir, identity: null }, ['big'], 256 << 20, 1);
  const open = () => readdirSync('/proc/self/fd').filter((fd) => linkOf(fd).endsWith('/big')).length;
  const used = Number(/VmData:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) * 1024;
  const limit = (bytes: string) => execFileSync('prlimit', ['--pid', String(process.pid), `--data=${bytes}:`]);
  limit(String(used + (60 << 20)));
  await t.rejects(read(), { message: /bad_alloc/ }).finally(() => limit('unlimited'));
  t.equal(open(), 0);
  t.equal((await read())[0]?.bytes.length, 200 << 20, 'the next one is read');
});

function linkOf(fd: string): string {
  try {
    return readlinkSync(join('/proc/self/fd', fd));
  } catch {
    return ''; // of the listing itself
  }
}
