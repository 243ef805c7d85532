/** A start on a data disk that has not a byte left: the server comes up, says so, and everything that leads out of it works. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { admin, list } from '../support/admin.js';
import { startServer } from '../support/built-server.js';
import { scratch } from '../support/scratch.js';
import { cannotMount, smallDisk } from '../support/small-disk.js';

t.test(
  'A2, C17: a start on a full data disk comes up and says why; LIST and VERIFY work, and a start with room has every key',
  { skip: cannotMount },
  async (t) => {
    const disk = smallDisk(t, 64);
    const dir = join(disk.path, 'data');
    mkdirSync(dir);
    const args = ['--backup-dir', join(scratch(t), 'repository')];
    const first = await startServer(t, { dir, args });
    const before = await first.client();
    for (let i = 0; i < 50; i += 1) await before.set(`key:${i}`, 'v'.repeat(1000));
    await admin(before, 'CREATE');
    await admin(before, 'CREATE');
    await first.stop();
    disk.fillUpTo(0);
    const full = await startServer(t, { dir, args });
    const client = await full.client();
    const answer = await client.get('key:1').catch((error: Error) => error.message);
    t.match(answer, /^(v+$|MISCONF .*(space|ENOSPC))/i, 'it serves, or says that there is no room');
    t.match(await list(client), { total: 2, latest: 2 });
    t.equal((await admin<unknown[]>(client, 'VERIFY', 'ALL')).length, 2);
    await full.stop();
    disk.free();
    const again = await startServer(t, { dir, args });
    t.equal(await (await again.client()).dbsize(), 50);
    t.match(await admin(await again.client(), 'CREATE', 'VERIFY'), { status: 'complete' });
    await again.stop();
  },
);
