/**
 * A1, C2, D6: kill -9 at random moments, again and again on one directory, while backups of all kinds of operations run under a
 * writer. After every restart: what was acknowledged is there, every backup that is listed verifies, and nothing piles up.
 */
import { randomInt } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import t from 'tap';
import { admin, list } from '../support/admin.js';
import { startServer } from '../support/built-server.js';
import { scratch } from '../support/scratch.js';

const ROUNDS = 5;

/** One operation after the other until the server is gone; what is refused (busy, in use, nothing there) is fine. */
async function operate(client: Redis, restored: () => void): Promise<void> {
  const calls: string[][] = [
    ['CREATE'],
    ['CREATE', 'VERIFY', 'PIN'],
    ['VERIFY', 'LATEST', 'DEEP'],
    ['RESTORE', 'LATEST', 'TO', `drill-${randomInt(1e9)}`],
    ['PRUNE', 'MAXCOUNT', '2'],
    ['UNPIN', '2'],
    ['RESTORE', 'LATEST'],
    ['RESTORE', 'PREVIOUS'],
  ];
  for (;;) {
    const call = calls[randomInt(calls.length)] as string[];
    if (call[0] === 'RESTORE' && !call.includes('TO')) restored();
    const error = await client.call('ADMIN.BACKUP', ...call).then(
      () => null,
      (thrown: Error) => thrown,
    );
    if (error !== null && /closed|ECONNRESET/i.test(error.message)) return;
    if (error !== null && !/^(BACKUPNOTFOUND|RESTOREFAILED there is no previous|RESTOREDIR) /.test(error.message))
      throw error;
  }
}

t.test(
  `A1, C2, D6: ${ROUNDS} kills at random moments of anything leave every listed backup whole and no write lost`,
  async (t) => {
    const dir = scratch(t);
    let counter = 0;
    for (let round = 1; round <= ROUNDS; round += 1) {
      const server = await startServer(t, { dir });
      const writer = await server.client();
      const operator = await server.client();
      // Each round writes a key of its own, so that a restore to a state before it is seen for what it is.
      const key = `counter:${round}`;
      let acknowledged = 0;
      let restores = 0;
      const writing = (async () => {
        for (;;) {
          const value = await writer.incr(key).catch((error: Error) => error);
          if (value instanceof Error) {
            if (/^LOADING /.test(value.message)) continue;
            return;
          }
          acknowledged = value;
        }
      })();
      const operating = operate(operator, () => {
        restores += 1;
      });
      const ms = randomInt(50, 600);
      await delay(ms);
      await server.kill9();
      await Promise.all([writing, operating]);
      counter += acknowledged;

      const again = await startServer(t, { dir });
      const client = await again.client();
      const found = Number((await client.get(key)) ?? 0);
      if (restores === 0)
        t.ok(found === acknowledged || found === acknowledged + 1, `${found} of ${acknowledged} after ${ms} ms`);
      const { backups } = await list(client, 'STATUS', 'all');
      t.ok(
        backups.every(({ status }) => status === 'complete'),
        `round ${round}: ${backups.length} backups`,
      );
      if (backups.length > 0) await admin(client, 'VERIFY', 'ALL', 'DEEP');
      t.match(await admin(client, 'CREATE'), { status: 'complete' });
      const left = readdirSync(dir, { recursive: true }).map(String);
      t.same(
        left.filter((name) => /\.building|\.partial|\.tmp-|staging\/.|scratch\/./.test(name)),
        [],
        'nothing half-made is left',
      );
      await again.stop();
    }
    t.ok(counter > 0);
  },
);
