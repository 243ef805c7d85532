/**
 * Recovery to a moment through the server: the story that it is for, and every target that cannot be had. A restore never
 * answers with a neighbour of what was asked.
 */
import { Redis } from 'ioredis';
import t, { type Test } from 'tap';
import { formatTime, parseTime } from '../../src/base/time.js';
import { admin, dump } from '../support/admin.js';
import { type Server, startServer } from '../support/built-server.js';

interface Tag {
  name: string;
  timestamp: string;
  sequence: number;
  timeline: number;
}

interface Restored {
  sequence: number;
  last_commit_at: string;
  timeline: number;
  timeline_new: number;
  commits_replayed: number;
}

interface Window {
  timeline: number;
  parent: number | null;
  current: number;
  from: string;
  to: string;
  sequence_from: number;
  sequence_to: number;
  gaps: unknown[];
}

async function windows(client: Redis): Promise<Window[]> {
  return (await admin<{ windows: Window[] }>(client, 'WINDOW')).windows;
}

/** The moment that is so many microseconds away. */
function shifted(moment: string, us: number): string {
  return formatTime(parseTime(moment).us + us);
}

async function started(t: Test, args: string[] = []): Promise<{ server: Server; client: Redis }> {
  const server = await startServer(t, { args });
  return { server, client: await server.client() };
}

t.test('somebody deletes everything: one microsecond before it all of it is there', async (t) => {
  const { server, client } = await started(t);
  for (let i = 0; i < 300; i += 1) await client.set(`order:${i}`, `open ${i}`);
  await admin(client, 'CREATE');
  const pipeline = client.pipeline();
  for (let i = 0; i < 300; i += 3) pipeline.set(`order:${i}`, `paid ${i}`);
  for (let i = 300; i < 400; i += 1) pipeline.set(`order:${i}`, `open ${i}`, 'EX', 86_400);
  await pipeline.exec();
  await client.multi().incr('orders').rename('order:1', 'order:one').select(3).set('other', 'database').exec();
  await client.select(0);
  const content = await dump(client);
  await client.flushall();
  // Its commit is the last one so far; a dry run tells when that was.
  const sequence = (await windows(client)).at(-1)?.sequence_to ?? 0;
  const { last_commit_at: flushed } = await admin<Restored>(client, 'RESTORE', 'LATEST', 'SEQ', sequence, 'DRYRUN');
  for (let i = 0; i < 5; i += 1) await client.set(`later:${i}`, 'x');
  t.match(await admin<Restored>(client, 'RESTORE', 'LATEST', 'AT', flushed, 'DRYRUN'), {
    sequence,
    last_commit_at: flushed,
  });

  const back = await admin<Restored>(client, 'RESTORE', 'LATEST', 'AT', shifted(flushed, -1));
  t.same(await dump(client), content, 'one microsecond before');
  t.ok(back.last_commit_at < flushed);
  t.ok((await client.ttl('order:399')) > 86_000, 'with its expiry');
  await client.select(3);
  t.equal(await client.get('other'), 'database');
  await client.select(0);
  await admin(client, 'RESTORE', 'LATEST', 'AT', flushed, 'TIMELINE', 1);
  t.equal(await client.dbsize(), 0, 'at the commit it is in: targets are inclusive');
  await admin(client, 'RESTORE', 'LATEST', 'AT', shifted(flushed, 1), 'TIMELINE', 1);
  t.equal(await client.dbsize(), 0, 'one microsecond after');

  // Beside the live data, while that serves: a look before anything is swapped.
  const beside = await admin<{ target: string }>(
    client,
    ...['RESTORE', 'LATEST', 'AT', shifted(flushed, -1), 'TIMELINE', 1, 'TO', 'look'],
  );
  const look = await startServer(t, { dataDir: beside.target });
  t.same(await dump(await look.client()), content);
  await look.stop();
  await server.stop();
});

t.test('TAG names a moment, TAGS says whether it can be reached, RESTORE finds it on its own timeline', async (t) => {
  const { server, client } = await started(t);
  await client.set('n', '0');
  const early = await admin<Tag>(client, 'TAG', 'before any backup');
  await client.set('n', '0.5');
  await admin(client, 'CREATE');
  await client.set('n', '1');
  const one = await admin<Tag>(client, 'TAG', 'one');
  t.same(Object.keys(one), ['name', 'timestamp', 'sequence', 'timeline']);
  await client.set('n', '2');
  await t.rejects(admin(client, 'TAG', 'one'), { message: /^ERR tag 'one' exists already: it names 2/ });
  await t.rejects(admin(client, 'TAG', ''), { message: /^ERR a tag has 1 to 256 bytes/ });
  await t.rejects(admin(client, 'TAG', 'a\r\nb'), { message: /^ERR a tag has 1 to 256 bytes/ });
  await t.rejects(admin(client, 'TAG', 'x'.repeat(257)), { message: /this one has 257 bytes/ });
  t.same(await admin(client, 'TAGS'), [
    { ...early, reachable: 0 },
    { ...one, reachable: 1 },
  ]);
  t.same(await client.call('ADMIN.BACKUP', 'TAGS'), [
    ['name', early.name, 'timestamp', early.timestamp, 'sequence', early.sequence, 'timeline', 1, 'reachable', 0],
    ['name', 'one', 'timestamp', one.timestamp, 'sequence', one.sequence, 'timeline', 1, 'reachable', 1],
  ]);
  await admin(client, 'RESTORE', 'LATEST', 'TAG', 'one');
  t.equal(await client.get('n'), '1');
  await client.set('n', '3');
  t.match(await admin(client, 'TAG', 'on two'), { timeline: 2 });
  const again = await admin<Restored>(client, 'RESTORE', 'LATEST', 'TAG', 'one');
  t.match(again, { timeline: 1, timeline_new: 3 }, 'a tag resolves on its own timeline');
  await admin(client, 'RESTORE', 'LATEST', 'TAG', 'on two');
  t.equal(await client.get('n'), '3');
  await t.rejects(admin(client, 'RESTORE', 'LATEST', 'TAG', 'one', 'TIMELINE', 2), {
    message: /^PITRRANGE tag 'one' is on timeline 1, not 2/,
  });
  await t.rejects(admin(client, 'RESTORE', 'LATEST', 'TAG', early.name), {
    message: /^PITRRANGE .*no backup lies at or before it.*Reachable: timeline 1 from/,
  });
  t.equal(await client.call('ADMIN.BACKUP', 'UNTAG', 'one'), 'OK');
  await t.rejects(client.call('ADMIN.BACKUP', 'UNTAG', 'one'), { message: /^TAGNOTFOUND there is no tag 'one'/ });
  await t.rejects(admin(client, 'RESTORE', 'LATEST', 'TAG', 'one'), { message: /^TAGNOTFOUND / });
  await server.kill9();
  const restarted = await startServer(t, { dir: server.dir });
  const later = await restarted.client();
  t.same(
    (await admin<Tag[]>(later, 'TAGS')).map(({ name }) => name),
    [early.name, 'on two'],
    'tags are durable',
  );
  await restarted.stop();
});

t.test('WINDOW has the fields of the contract in RESP2, RESP3 and JSON', async (t) => {
  const { server, client } = await started(t);
  t.same(await windows(client), [
    { timeline: 1, parent: null, current: 1, from: null, to: null, sequence_from: null, sequence_to: null, gaps: [] },
  ]);
  await client.set('a', '1');
  await admin(client, 'CREATE');
  const [flat] = (await client.call('ADMIN.BACKUP', 'WINDOW')) as unknown[][];
  t.same(
    flat?.filter((_, i) => i % 2 === 0),
    ['timeline', 'parent', 'current', 'from', 'to', 'sequence_from', 'sequence_to', 'gaps'],
  );
  t.same(flat?.slice(2, 6), ['parent', null, 'current', 1]);
  const three = new Redis(server.port, '127.0.0.1', { retryStrategy: () => null });
  t.teardown(() => three.disconnect());
  const text = await three.call('ADMIN.BACKUP', 'WINDOW', 'FORMAT', 'JSON');
  t.match(JSON.parse(String(text)), { windows: [{ timeline: 1, sequence_to: 2, gaps: [] }] });
  await server.stop();
});

t.test(
  'C4: times before the window, in a gap, after the end, and none at all, are errors that name the window',
  async (t) => {
    const { server, client } = await started(t);
    await client.set('n', '1');
    await client.set('n', '2');
    const { timestamp: full } = await admin<{ timestamp: string }>(client, 'CREATE');
    await client.set('n', '3');
    const { timestamp: before } = await admin<Tag>(client, 'TAG', 'before the gap');
    await client.call('CONFIG', 'SET', 'backup.wal.archive', 'no');
    await client.set('n', 'in the gap');
    const gap = formatTime(Number((await client.time())[0]) * 1_000_000 + Number((await client.time())[1]));
    await client.set('n', 'still');
    await admin(client, 'CREATE');
    await client.call('CONFIG', 'SET', 'backup.wal.archive', 'yes');
    await client.set('n', '9');
    const [window] = await windows(client);
    t.equal(window?.gaps.length, 1);
    const at = (moment: string, ...words: (string | number)[]) =>
      admin<Restored>(client, 'RESTORE', 'LATEST', 'AT', moment, ...words, 'DRYRUN');
    const refused = async (moment: string, message: RegExp, ...words: (string | number)[]) => {
      await t.rejects(at(moment, ...words), { message }, moment);
      await t.rejects(admin(client, 'RESTORE', 'LATEST', 'AT', moment, ...words), { message }, `${moment}, in place`);
      t.equal(await client.get('n'), '9', 'the live data is as it was');
    };
    const reachable = /^PITRRANGE .*Reachable: timeline 1 from .* to .* \(sequences \d+ to \d+, 1 gap\)/;
    await refused(shifted(full, -1), reachable);
    await refused(
      gap,
      /^(PITRRANGE|WALGAP) .*sequence \d+ up to \d+ of timeline 1 are not available.*Reachable: timeline 1/,
    );
    await refused('2001-01-01T00:00:00Z', reachable);
    await refused('2255-01-01T00:00:00Z', reachable);
    t.equal((await at(full)).last_commit_at <= full, true);
    t.match(await at(before), { commits_replayed: 1 });
    // The same moment in every accepted form.
    const us = parseTime(before).us;
    const local = formatTime(us + 2 * 3_600_000_000).replace('Z', '+02:00');
    for (const form of [String(us), local, before.replace('T', ' ').replace('Z', ''), before.toLowerCase()]) {
      t.match(await at(form), { timestamp: before, commits_replayed: 1 }, form);
    }
    for (const form of [
      'yesterday',
      '-1',
      '0',
      '9223372036854775808',
      '2026-13-01T00:00:00Z',
      '2026-02-30T00:00:00Z',
      '1e9',
      '',
    ]) {
      await refused(form, /^ERR '.*' is not a time: /);
    }
    await refused('2026-01-28', /^ERR '2026-01-28' is a day, not a moment\. Say which/);
    await refused(before, /^PITRRANGE timeline 7 is not known: there are 1/, 'TIMELINE', 7);
    await refused(before, /^PITRRANGE timeline 0 is not known/, 'TIMELINE', 0);
    // An explicit backup is where the way begins.
    await t.rejects(admin(client, 'RESTORE', 2, 'AT', before, 'DRYRUN'), {
      message: /^PITRRANGE .*backup 2 is of .*, which is later/,
    });
    t.match(await admin(client, 'RESTORE', 1, 'AT', before, 'DRYRUN'), { id: 1 });
    await server.stop();
  },
);

t.test('C5, C6, C7: sequences that end no commit, unknown tags, two targets', async (t) => {
  const { server, client } = await started(t);
  await client.set('a', '0');
  await admin(client, 'CREATE');
  await client.set('a', '1');
  await client.mset('a', '2', 'b', '2', 'c', '2');
  const { sequence } = await admin<Tag>(client, 'TAG', 'here');
  const seq = (n: number | string) => admin<Restored>(client, 'RESTORE', 'LATEST', 'SEQ', n, 'DRYRUN');
  const reachable = /^PITRRANGE .*Reachable: timeline 1 from .*\(sequences 2 to \d+\)/;
  await t.rejects(seq(0), { message: reachable });
  await t.rejects(seq(1), { message: reachable }, 'before the first base');
  await t.rejects(seq(sequence + 1), { message: reachable }, 'beyond');
  await t.rejects(seq(Number.MAX_SAFE_INTEGER), { message: reachable });
  for (const n of ['9007199254740992', '18446744073709551615', '-3', 'x', '1.5']) {
    await t.rejects(seq(n), { message: /^ERR value is not an integer or out of range/ }, n);
  }
  for (let inside = sequence - 3; inside < sequence; inside += 1) {
    await t.rejects(
      seq(inside),
      {
        message: new RegExp(
          `^PITRRANGE sequence ${inside} .*commits are never cut.* Use SEQ ${sequence - 4} or SEQ ${sequence}\\.`,
        ),
      },
      `inside the commit that ends at ${sequence}`,
    );
  }
  t.match(await seq(sequence), { sequence, commits_replayed: 2 });
  t.match(await seq(sequence - 4), { commits_replayed: 1 });
  t.match(await seq(2), { commits_replayed: 0, sequence: 2 });
  for (const words of [
    ['AT', '2026-01-28T10:30:04Z', 'SEQ', '5'],
    ['TAG', 'here', 'SEQ', '5'],
    ['TAG', 'here', 'TAG', 'here'],
  ]) {
    await t.rejects(admin(client, 'RESTORE', 'LATEST', ...words), { message: /^ERR syntax error/ }, words.join(' '));
  }
  await t.rejects(admin(client, 'RESTORE', 'PREVIOUS', 'TAG', 'here'), { message: /^ERR syntax error/ });
  await t.rejects(admin(client, 'RESTORE', 99, 'TAG', 'here'), { message: /^BACKUPNOTFOUND there is no backup 99/ });
  t.equal(await client.get('b'), '2');
  await server.stop();
});

t.test('B6: three timelines, every future of them reachable, also after a kill', async (t) => {
  const { server, client } = await started(t, ['--set', 'durability=always']);
  await client.set('n', '1.0');
  await admin(client, 'CREATE');
  const write = async (to: Redis, value: string): Promise<[string, Tag]> => {
    await to.set('n', value);
    return [value, await admin<Tag>(to, 'TAG', value)];
  };
  const moments = [await write(client, '1.1'), await write(client, '1.2')];
  const fork = moments[0]?.[1] as Tag;
  t.match(await admin(client, 'RESTORE', 'LATEST', 'AT', fork.timestamp), { timeline: 1, timeline_new: 2 });
  moments.push(await write(client, '2.1'), await write(client, '2.2'));
  await server.kill9();

  const second = await startServer(t, { dir: server.dir, args: ['--set', 'durability=always'] });
  const later = await second.client();
  t.equal(await later.get('n'), '2.2');
  const target = moments[2]?.[1] as Tag;
  t.match(await admin(later, 'RESTORE', 'LATEST', 'SEQ', target.sequence), { timeline: 2, timeline_new: 3 });
  moments.push(await write(later, '3.1'));
  t.same(
    (await windows(later)).map(({ timeline, parent, current }) => [timeline, parent, current]),
    [
      [1, null, 0],
      [2, 1, 0],
      [3, 2, 1],
    ],
  );
  // Between a fork and the restore that made it the old timeline was live: such a moment is named, not replaced.
  const abandoned = moments[1]?.[1] as Tag;
  await t.rejects(admin(later, 'RESTORE', 'LATEST', 'AT', abandoned.timestamp, 'DRYRUN'), {
    message: /^PITRRANGE .*the moment lies on timeline 1, TIMELINE 1 reaches it/,
  });
  for (const [value, { timestamp, sequence, timeline }] of moments) {
    await admin(later, 'RESTORE', 'LATEST', 'AT', timestamp, 'TIMELINE', timeline);
    t.equal(await later.get('n'), value, `${value} by its time`);
    await admin(later, 'RESTORE', 'LATEST', 'SEQ', sequence, 'TIMELINE', timeline);
    t.equal(await later.get('n'), value, `${value} by its sequence`);
    await admin(later, 'RESTORE', 'LATEST', 'TAG', value);
    t.equal(await later.get('n'), value, `${value} by its name`);
  }
  await second.stop();
});

t.test('STATUS and INFO say how far the archive is behind, and INFO what can be reached', async (t) => {
  const { server, client } = await started(t, ['--set', 'backup.wal.interval=1h']);
  await client.set('a', '1');
  await admin(client, 'CREATE');
  await client.set('a', '2');
  await client.set('a', '3');
  const behind = await admin<Record<string, number>>(client, 'STATUS');
  t.match(behind, { archive_lag_commits: 2, archive_error: null });
  t.ok((behind.archive_lag_bytes ?? 0) > 0 && (behind.archive_lag_ms ?? -1) >= 0);
  t.match(await client.info('backup'), /wal_archive_lag_commits:2\r\n/);
  await admin(client, 'WINDOW');
  t.match(await admin(client, 'STATUS'), { archive_lag_commits: 0, archive_lag_bytes: 0, archive_lag_ms: 0 });
  const info = await client.info('backup');
  const field = (name: string) => Number(new RegExp(`${name}:(\\d+)`).exec(info)?.[1]);
  t.ok(field('recovery_window_from') > 0 && field('recovery_window_to') >= field('recovery_window_from'));
  t.equal(field('recovery_gaps'), 0);
  await client.call('CONFIG', 'SET', 'backup.wal.archive', 'no');
  t.match(await admin(client, 'STATUS'), { archive_lag_commits: null, archive_lag_bytes: null, archive_lag_ms: null });
  await server.stop();
});
