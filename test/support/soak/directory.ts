/** One data directory of the soak, from its first life to its last. */
import { mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { formatTime } from '../../../src/base/time.js';
import type { Random } from '../../property/support/random.js';
import { launchServer, type Server, serverOf, untilReady } from '../built-server.js';
import { Belongings } from '../owner.js';
import type { Ended, Running } from '../processes.js';
import {
  lookAtRestored,
  requireAgreement,
  requireClaims,
  requireNothingHeld,
  requireNothingLeft,
  requirePromises,
} from './checks.js';
import { Flatness } from './flatness.js';
import { infoFields } from './info.js';
import { commit, startLoad } from './load.js';
import { Operator } from './operator.js';
import { type End, type LifePlan, planLife, type SoakOptions, stream } from './plan.js';
import { SyncedFiles } from './power-cut.js';
import type { Report } from './report.js';
import { readLog, requireLogged, requireQuietLog } from './server-log.js';
import { readLive, requireKnown } from './states.js';
import { isGone, Violation } from './violation.js';
import { World } from './world.js';

/** How much longer what is armed may take to be reached. */
const FAULT_POINT_MS = 5000;
const READY_MS = 60_000;
const STOP_MS = 40_000;
const MAX_DIRECTORY_BYTES = 1 << 30;
/** everysec: a second, and what a machine that does much else may add to it. */
const EVERYSEC_LOSS_MS = 5000;

export class Directory {
  readonly #options: SoakOptions;
  readonly #nth: number;
  readonly #data: string;
  readonly #journal: string;
  readonly #world: World;
  readonly #synced: SyncedFiles;
  readonly #settings: string[];
  readonly #durability: string;
  readonly #lives: number;
  #life = 0;
  #lastEnd: End | null = null;
  /** When the power went, since somebody looked last: what a start finds may be less than was answered. */
  #cutUs: number | null = null;

  constructor(
    options: SoakOptions,
    library: string,
    nth: number,
    path: string,
    readonly report: Report,
  ) {
    const random = stream(options.seed, nth, 'directory');
    this.#options = options;
    this.#nth = nth;
    this.#data = join(path, 'data');
    this.#journal = path;
    mkdirSync(this.#data, { recursive: true, mode: 0o700 });
    this.#synced = new SyncedFiles(library, join(path, 'synced-files'));
    this.#lives = 12 + random.int(40);
    this.#durability = options.durability ?? random.pick(['always', 'everysec', 'no', 'everysec']);
    const varies = { durability: options.durability === null && random.once(2), archive: random.once(3) };
    const walRetentionMs = random.pick([15_000, 40_000, 120_000]);
    this.#world = new World(this.#data, report, varies, walRetentionMs);
    const settings = {
      'log.format': 'json',
      durability: this.#durability,
      write_buffer_size: random.pick(['1mb', '1mb', '4mb', '64mb']),
      cache_size: '16mb',
      'backup.retention.max_count': String(4 + random.int(6)),
      'backup.wal.interval': random.pick(['100ms', '300ms', '1s']),
      'backup.wal.retention': `${walRetentionMs}ms`,
      'restore.keep_previous': random.pick(['3s', '20s']),
    };
    this.#settings = Object.entries(settings).flatMap(([name, value]) => ['--set', `${name}=${value}`]);
    report.json.directories += 1;
  }

  async run(goesOn: () => boolean): Promise<void> {
    try {
      while (this.#life < this.#lives) {
        await this.#live(planLife(this.#random('plan'), this.#options));
        this.#life += 1;
        this.#measure();
        if (!goesOn() || this.#bytes > MAX_DIRECTORY_BYTES) break;
      }
      await this.#live({ end: 'stop', loadMs: 0, armed: null, checksClaims: true });
    } catch (error) {
      writeFileSync(join(this.#journal, 'lately.txt'), `${this.lately.join('\n')}\n`);
      writeFileSync(join(this.#journal, 'stderr.txt'), this.#lastWords);
      if (!(error instanceof Violation))
        throw new Violation(`the soak failed: ${(error as Error).stack}`, { cause: error });
      throw error;
    }
  }

  async abandon(): Promise<void> {
    await this.#belongings.letGo();
  }

  #lastWords = '';
  #belongings = new Belongings();
  #killedByUs = false;

  /** What was done last. */
  get lately(): readonly string[] {
    return this.#world.lately;
  }

  #random(role: string): Random {
    return stream(this.#options.seed, this.#nth, this.#life, role);
  }

  // ── one life ──────────────────────────────────────────────────────────────────────────────────────────────────

  async #live(plan: LifePlan): Promise<void> {
    const world = this.#world;
    world.note(`life ${this.#life}: ${JSON.stringify(plan)}`);
    this.#killedByUs = false;
    world.created = [];
    world.restoredInPlace = 0;
    world.archiveOn = true;
    world.injects = plan.armed?.does === 'throw';
    const belongings = new Belongings();
    this.#belongings = belongings;
    let running: Running | null = null;
    try {
      const env: Record<string, string | undefined> = {
        ...this.#synced.env,
        CAIRN_FAULT_POINTS: plan.armed?.spec,
      };
      const launched = await launchServer(belongings, { dir: this.#data, args: this.#settings, env });
      running = launched.running;
      const isUp = await this.#isUp(running, plan);
      if (isUp) await this.#serve(serverOf(belongings, running, launched.port, this.#data), plan);
      const ended = await this.#awaitEnd(running, plan);
      this.#noteEnd(ended, plan);
      const records = readLog(running.stderr());
      requireQuietLog(records, { mayHaveGaps: world.hadArchiveOff, injects: world.injects });
      requireLogged(records, world.created, world.restoredInPlace);
    } finally {
      this.#lastWords = running?.stderr() ?? '';
      await belongings.letGo();
      this.#synced.absorb();
    }
    if (plan.end === 'power cut') this.#cutPower();
  }

  /** False: it ended before it was ready, as it was to. */
  async #isUp(running: Running, plan: LifePlan): Promise<boolean> {
    if (plan.end === 'kill while starting') {
      await delay(this.#random('start').int(600));
      this.#kill(running);
      return false;
    }
    const isReady = await untilReady(running, READY_MS);
    if (!isReady && plan.armed?.does !== 'kill')
      throw new Violation(`the server ended before it was ready: ${running.stderr()}`);
    return isReady;
  }

  async #serve(server: Server, plan: LifePlan): Promise<void> {
    const failures: unknown[] = [];
    // A fault point may be reached at any time.
    const goneIsFine = (error: unknown): void => {
      if (isGone(error) && plan.armed?.does === 'kill') return;
      failures.push(error);
    };
    try {
      const client = await server.client();
      await this.#look(client, plan);
      if (plan.loadMs > 0) await this.#underLoad(server, plan, failures);
    } catch (error) {
      goneIsFine(error);
    }
    if (failures.length > 0) throw failures[0];
  }

  /** What the last life left, before anybody writes. */
  async #look(client: Redis, plan: LifePlan): Promise<void> {
    const world = this.#world;
    const { line } = world;
    const info = await infoFields(client);
    const timeline = Number(info.get('timeline'));
    await this.#lookAtData(client, timeline);
    world.timelines.add(timeline);
    line.durability = this.#durability;
    await lookAtRestored(world);
    await requirePromises(world, client, !removes(world.unanswered));
    world.unanswered.clear();
    await requireNothingLeft(world);
    // What fails now is not what was promised.
    if (!world.injects) await requireAgreement(world, client);
    if (plan.checksClaims && !world.injects) {
      const random = this.#random('claims');
      await requireClaims(world, new Operator(world, client, random, `claims-${this.#life}`), random);
    } else line.unproven.length = 0;
  }

  async #lookAtData(client: Redis, timeline: number): Promise<void> {
    const { history, line } = this.#world;
    if (line.head === 0) {
      await commit(client, { history, line }, [{ kind: 'flush-all' }]);
      line.settle(line.head, timeline);
      return;
    }
    const what = `the live state after ${this.#lastEnd}`;
    const id = requireKnown(history, await readLive(client), { head: line.head, timeline: null, what });
    this.report.json.liveStatesCompared += 1;
    if (!line.isMoving && timeline !== line.timeline) {
      throw new Violation(`${what}: timeline ${timeline}, it was ${line.timeline} and nothing was restored`);
    }
    if (this.#cutUs !== null && !line.isMoving && !history.has(id, line.head)) {
      this.#requireAllowedLoss(id, this.#cutUs);
      line.settle(id, timeline);
    } else line.found(id, timeline);
    this.#cutUs = null;
  }

  /** What a power cut took: nothing of `always`, about a second of `everysec`, anything of `no` that came after the last of those. */
  #requireAllowedLoss(id: number, atUs: number): void {
    const { history, line } = this.#world;
    const lost = [...history.beyond(line.head, id)].filter(({ ackedUs }) => ackedUs !== null);
    for (const commit of lost) {
      const { ackedUs, durability } = commit;
      const lostMs = Math.round((atUs - (ackedUs ?? atUs)) / 1000);
      if (durability === 'always') {
        throw new Violation(
          `a power cut took commit ${commit.id}, acknowledged ${lostMs} ms before under durability always`,
        );
      }
      if (durability === 'everysec') {
        if (lostMs > EVERYSEC_LOSS_MS)
          throw new Violation(`a power cut took commit ${commit.id}, acknowledged ${lostMs} ms before under everysec`);
        const { powerCuts } = this.report.json;
        powerCuts.longestLossMs = Math.max(powerCuts.longestLossMs, lostMs);
      }
      commit.lost = true;
      this.report.lostToPower(durability ?? 'turned meanwhile', 1);
    }
  }

  async #underLoad(server: Server, plan: LifePlan, failures: unknown[]): Promise<void> {
    const world = this.#world;
    const { history, line } = world;
    const over = new AbortController();
    const failed = (error: unknown): void => {
      failures.push(error);
      over.abort();
    };
    const acknowledgedBefore = history.size;
    const load = await startLoad({
      ...{ client: () => server.client(), history, line, failed },
      random: (role) => this.#random(role),
    });
    const changing = new Operator(world, await server.client(), this.#random('changes'), `changes-${this.#life}`);
    const looking = new Operator(world, await server.client(), this.#random('looks'), `looks-${this.#life}`);
    const repeat = async (step: () => Promise<void>): Promise<void> => {
      try {
        while (!over.signal.aborted) await step();
      } catch (error) {
        if (!isGone(error)) failed(error);
      }
    };
    const operating = Promise.all([repeat(() => changing.change(load)), repeat(() => looking.look())]);
    const isArmed = plan.armed?.does === 'kill';
    // What is armed gets more time to be reached.
    const timer = delay(isArmed ? plan.loadMs + Math.min(FAULT_POINT_MS, 3 * plan.loadMs) : plan.loadMs, undefined, {
      signal: over.signal,
    }).catch(() => undefined);
    const flatness = new Flatness(server.pid, this.report);
    await Promise.race([timer, server.process.ended]);
    flatness.end();
    if (plan.end === 'stop') {
      // In order: nobody is cut off in the middle.
      over.abort();
      await operating;
      load.resume();
      await load.stop();
      await requireNothingHeld(this.#world, server.pid);
    } else if (plan.end !== 'kill while stopping') this.#kill(server.process);
    else {
      server.process.child.kill('SIGTERM');
      await delay(this.#random('stop').int(400));
      this.#kill(server.process);
    }
    over.abort();
    if (plan.end !== 'stop') {
      await server.process.ended;
      load.resume();
      await Promise.all([operating, load.stop()]);
    }
    this.report.json.commitsAcknowledged += history.acknowledgedSince(acknowledgedBefore);
  }

  // ── ends ──────────────────────────────────────────────────────────────────────────────────────────────────────

  async #awaitEnd(running: Running, plan: LifePlan): Promise<Ended> {
    if (plan.end === 'stop') return running.end('SIGTERM', STOP_MS);
    this.#kill(running);
    return running.ended;
  }

  #kill({ child }: Running): void {
    if (child.exitCode !== null || child.signalCode !== null) return;
    this.#killedByUs = true;
    child.kill('SIGKILL');
  }

  #noteEnd({ code, signal }: Ended, plan: LifePlan): void {
    const { report } = this;
    const isClean = code === 0 && signal === null;
    if (plan.end === 'stop' ? !isClean : signal !== 'SIGKILL' && !(plan.end === 'kill while stopping' && isClean)) {
      throw new Violation(`${plan.end}: the server ended with code ${code}, signal ${signal}`);
    }
    const isReached = plan.armed?.does === 'kill' && !this.#killedByUs;
    if (signal === 'SIGKILL' && !isReached && !this.#killedByUs)
      throw new Violation('the server was killed by somebody else');
    this.#lastEnd = plan.end;
    if (plan.end === 'power cut') this.#cutUs ??= Date.now() * 1000;
    const isPlain = plan.end === 'kill at a fault point' && !isReached;
    report.ended(isClean && plan.end === 'kill while stopping' ? 'stop' : isPlain ? 'kill' : plan.end);
    if (isReached) report.killedAt(plan.armed?.name ?? '');
    else if (plan.armed !== null && plan.armed.does !== 'kill')
      report.armed(`${plan.armed.does} at ${plan.armed.name}`);
  }

  #cutPower(): void {
    const cut = this.#synced.cut(this.#data, this.#random('cut'));
    this.#world.note(`power cut: ${cut.names.join(', ')}`);
    const { powerCuts } = this.report.json;
    powerCuts.cuts += 1;
    powerCuts.filesCut += cut.files;
    powerCuts.bytesCut += cut.bytes;
  }

  // ── size ──────────────────────────────────────────────────────────────────────────────────────────────────────

  #bytes = 0;

  #measure(): void {
    this.#bytes = directoryBytes(this.#data);
    this.report.most('directoryBytes', this.#bytes);
    this.report.most('soakRssBytes', process.memoryUsage.rss());
    this.#options.say(`${formatTime(Date.now() * 1000)} ${this.report.progress()}`);
  }
}

/** Whether something that may have removed backups was not answered. */
function removes(unanswered: ReadonlySet<string>): boolean {
  return [...unanswered].some((words) => /^(CREATE|DELETE|PRUNE|WAIT|what CREATE)/.test(words));
}

function directoryBytes(path: string): number {
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((total, entry) => total + statSync(join(entry.parentPath, entry.name)).size, 0);
}
