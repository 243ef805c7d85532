/**
 * Pipelines on a server that caches little, so that what comes together is read ahead: every reply is what a Map says, for each
 * client on keys of its own, with SELECT and wrong requests between them. The keys lie in tables: the server was started anew.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import t from 'tap';
import { Random, seeds } from '../property/support/random.js';
import { startServer } from '../support/built-server.js';
import { scratch } from '../support/scratch.js';

const CLIENTS = 6;
const KEYS = 400;
const PIPELINES = 25;
const { first: seed } = seeds();

/** One client's keys in two databases, and what its commands do to them. */
class Model {
  private readonly databases = [new Map<string, string>(), new Map<string, string>()];
  private selected = 0;

  constructor(
    private readonly name: string,
    private readonly random: Random,
  ) {}

  connected(): void {
    this.selected = 0;
  }

  /** A command, and its reply (or how an error begins). */
  next(): [words: string[], reply: unknown] {
    const { random } = this;
    const here = this.databases[this.selected] as Map<string, string>;
    const key = () => `${this.name}:${random.int(KEYS)}`;
    const [one, other] = [key(), key()];
    const changed = (value: string, reply: unknown): unknown => {
      here.set(one, value);
      return reply;
    };
    const value = here.get(one);
    switch (random.int(12)) {
      case 0:
        return [
          ['MGET', one, other],
          [value ?? null, here.get(other) ?? null],
        ];
      case 1: {
        const text = `v${random.int(1000)}.`.repeat(random.int(random.once(20) ? 3000 : 400) + 1);
        return [['SET', one, text], changed(text, 'OK')];
      }
      case 2:
        return [['APPEND', one, 'x'], changed(`${value ?? ''}x`, (value ?? '').length + 1)];
      case 3:
        return [['DEL', one, other], [...new Set([one, other])].filter((each) => here.delete(each)).length];
      case 4:
        this.selected = random.int(2);
        return [['SELECT', String(this.selected)], 'OK'];
      case 5:
        return [['GETRANGE', one], 'ERR wrong number of arguments'];
      case 6:
        return [['STRLEN', one], (value ?? '').length];
      case 7:
        return [['PING', one], one];
      default:
        return [['GET', one], value ?? null];
    }
  }
}

t.test(`every reply is the right one (CAIRN_SEED=${seed})`, async (t) => {
  const dir = join(scratch(t), 'data');
  const models = Array.from({ length: CLIENTS }, (_, n) => new Model(`client${n}`, new Random(seed + n)));
  for (let start = 0; start < 3; start++) {
    const server = await startServer(t, { dir, args: ['--set', 'cache_size=1mb'] });
    let replies = 0;
    await Promise.all(
      models.map(async (model) => {
        const client = await server.client();
        model.connected();
        for (let n = 0; n < PIPELINES; n++) {
          const steps = Array.from({ length: 100 }, () => model.next());
          const found =
            (await client.pipeline(steps.map(([[name, ...words]]) => [String(name).toLowerCase(), ...words])).exec()) ??
            [];
          for (const [nth, [words, reply]] of steps.entries()) {
            const [error, value] = found[nth] ?? [];
            const actual = error ? error.message.slice(0, String(reply).length) : value;
            assert.deepEqual(actual, reply, `${words.join(' ')}, pipeline ${n} of start ${start}`);
            replies++;
          }
        }
      }),
    );
    t.equal(replies, CLIENTS * PIPELINES * 100);
    await server.stop();
  }
});
