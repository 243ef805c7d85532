/**
 * SWAPDB through everything that carries a state: backups, increments, recovery to the commit (within a write group
 * too), a restore in place, a restart after a kill, and a restored directory that is served as it is.
 */
import type { Redis } from 'ioredis';
import t from 'tap';
import { admin, dump } from '../support/admin.js';
import { startServer } from '../support/built-server.js';

type Content = Map<string, string | null>;
type Databases = [Content, Content, Content];

async function content(client: Redis): Promise<Databases> {
  const found: Content[] = [];
  for (const database of [0, 1, 2]) {
    await client.select(database);
    found.push(await dump(client));
  }
  await client.select(0);
  return found as Databases;
}

/** What each command leaves, one state per commit. */
class Model {
  private databases: Databases = [new Map(), new Map(), new Map()];
  readonly states: Databases[] = [];

  set(database: 0 | 1 | 2, key: string, value: string): void {
    this.databases[database] = new Map(this.databases[database]).set(key, value);
    this.commit();
  }

  swap(first: 0 | 1 | 2, second: 0 | 1 | 2): void {
    const { databases } = this;
    [databases[first], databases[second]] = [databases[second], databases[first]];
    this.commit();
  }

  private commit(): void {
    this.databases = [...this.databases];
    this.states.push([...this.databases]);
  }
}

t.test('swapped databases are what they were at every commit, in every kind of copy', async (t) => {
  const server = await startServer(t);
  const client = await server.client();
  const model = new Model();
  const set = async (database: 0 | 1 | 2, key: string, value: string): Promise<void> => {
    await client.select(database);
    await client.set(key, value);
    model.set(database, key, value);
  };
  const swap = async (first: 0 | 1 | 2, second: 0 | 1 | 2): Promise<void> => {
    t.equal(await client.call('SWAPDB', first, second), 'OK');
    model.swap(first, second);
  };
  await set(0, 'name', 'zero');
  await set(1, 'name', 'one');
  await set(1, 'more', 'one');
  await swap(0, 1);
  const other = await server.client();
  t.equal(await other.get('name'), 'one', 'every client sees it, whatever it selected before');
  await admin(client, 'CREATE');
  await swap(1, 2);
  await set(2, 'late', 'two');
  const states = [model.states.at(-3), model.states.at(-1)];
  await admin(client, 'CREATE', 'INCREMENTAL');
  t.same(await content(client), states[1]);
  const { sequence_to: before } = (await admin<{ windows: { sequence_to: number }[] }>(client, 'WINDOW'))
    .windows[0] ?? {
    sequence_to: 0,
  };

  // One write: several commands to a write group.
  await client.select(0);
  const pipeline = client.pipeline();
  const from = model.states.length;
  for (let nth = 0; nth < 6; nth += 1) {
    pipeline.set(`k${nth}`, `before swap ${nth}`);
    model.set(0, `k${nth}`, `before swap ${nth}`);
    pipeline.call('SWAPDB', String(nth % 3), String((nth + 1) % 3));
    model.swap((nth % 3) as 0, ((nth + 1) % 3) as 1);
  }
  await pipeline.exec();
  t.same(await content(client), model.states.at(-1));
  await admin(client, 'TAG', 'end');

  const verified = await admin<{ status: string }[]>(client, 'VERIFY', 'ALL', 'DEEP');
  t.same(
    verified.map(({ status }) => status),
    ['VALID', 'VALID'],
  );
  const commits: { sequence: number }[] = [];
  for (let sequence = before + 1; commits.length < 12 && sequence < before + 40; sequence += 1) {
    const plan = await admin<{ sequence: number }>(client, 'RESTORE', 'LATEST', 'SEQ', sequence, 'DRYRUN').catch(
      () => null,
    );
    if (plan !== null && plan.sequence !== commits.at(-1)?.sequence) commits.push(plan);
  }
  t.equal(commits.length, 12, 'each is a commit');
  for (const nth of [5]) {
    const name = `at-${nth}`;
    const sequence = commits[nth]?.sequence ?? 0;
    const { target } = await admin<{ target: string }>(client, 'RESTORE', 'LATEST', 'SEQ', sequence, 'TO', name);
    const copy = await startServer(t, { dataDir: target });
    const look = await copy.client();
    t.same(await content(look), model.states[from + nth], `after command ${nth} of the pipeline`);
    t.equal(await look.dbsize(), model.states[from + nth]?.[0].size);
    await look.call('SWAPDB', '0', '1');
    const [one, zero] = model.states[from + nth] as Databases;
    t.same((await content(look)).slice(0, 2), [zero, one]);
    await copy.stop();
  }
  for (const [id, state] of [
    [1, states[0]],
    [2, states[1]],
  ] as const) {
    const { target } = await admin<{ target: string }>(client, 'RESTORE', id, 'TO', `backup-${id}`);
    const copy = await startServer(t, { dataDir: target });
    t.same(await content(await copy.client()), state, `backup ${id}`);
    await copy.stop();
  }

  for (const nth of [8]) {
    const sequence = commits[nth]?.sequence ?? 0;
    await client.call('WATCH', 'k0');
    await admin(client, 'RESTORE', 'LATEST', 'SEQ', sequence, 'TIMELINE', 1);
    t.same(await content(client), model.states[from + nth], 'in place');
    t.equal(await client.multi().get('k0').exec(), null, 'a watch does not outlive the exchange');
    await client.call('SWAPDB', '0', '2');
    await client.set('after', 'the restore');
    const [zero, one, two] = model.states[from + nth] as Databases;
    t.same(await content(client), [new Map(two).set('after', 'the restore'), one, zero]);
  }
  const last = await content(client);
  await server.kill9();
  const again = await startServer(t, { dir: server.dir });
  t.same(await content(await again.client()), last, 'after a kill');
  await again.stop();
});
