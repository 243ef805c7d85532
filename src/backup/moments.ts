/**
 * Moments that can be restored: TAG, TAGS, UNTAG, WINDOW, and what a RESTORE with a target builds. What the log holds is
 * archived first, so that now is reachable.
 */
import { CairnError } from '../base/errors.js';
import { formatTime, parseTime } from '../base/time.js';
import type { Tag } from '../format/index.js';
import type { LivePort } from '../keyspace/port.js';
import type { Log } from '../observability/log.js';
import type { Archiver } from './archiver.js';
import type { BackupEntry } from './catalog.js';
import { type LiveLine, recoveryFacts } from './facts.js';
import { planPath } from './plan.js';
import type { RecoveryFacts } from './recovery.js';
import type { Repository } from './repository.js';
import type { Source } from './source.js';
import { addTag, findTag, readTags, removeTag, requireNewTag } from './tags.js';
import { sourceOfTarget } from './target.js';
import { summary, type WindowRecord, type WindowSummary, windows } from './window.js';

export interface MomentsOptions {
  repository: Repository;
  live: LivePort;
  /** null: a plain directory is served. */
  archiver: Archiver | null;
  log: Log;
}

/** As RESTORE names its target. */
export type TargetWords = { at: string } | { seq: number } | { tag: string };

export interface TagRecord extends Tag {
  reachable: 0 | 1;
}

export class Moments {
  readonly #options: MomentsOptions;

  constructor(options: MomentsOptions) {
    this.#options = options;
  }

  async tag(name: string): Promise<Tag> {
    const { repository, live, archiver, log } = this.#options;
    await repository.writable();
    if (archiver === null)
      throw new CairnError('REPOFOREIGN', 'this server serves a plain directory and owns no repository');
    await requireNewTag(repository.store, name);
    const tag = await archiver.turn(async () => {
      await archiver.ready();
      const { position, markUs } = await live.pausedBetweenGroups(async (at, us) => ({ position: at, markUs: us }));
      // A tag names a moment; whether it can be reached TAGS tells.
      await archiver.captureNow().catch((error: unknown) => log.warn('a tag could not be archived', { name, error }));
      const timeline = archiver.end?.timeline ?? position.timeline;
      return { name, timestamp: formatTime(markUs), sequence: position.sequence, timeline };
    });
    await addTag(repository, tag);
    return tag;
  }

  async tags(): Promise<TagRecord[]> {
    const { repository } = this.#options;
    await this.#refresh();
    const tags = await readTags(repository.store);
    const facts = this.#facts(tags);
    return tags.map((tag) => ({ ...tag, reachable: isReachable(facts, tag) ? 1 : 0 }));
  }

  async untag(name: string): Promise<void> {
    const { repository } = this.#options;
    await repository.writable();
    await removeTag(repository, name);
  }

  async window(): Promise<WindowRecord[]> {
    const { repository } = this.#options;
    const line = await this.#captureNow();
    await this.#refresh();
    return windows(recoveryFacts(repository, line, await repository.knownTags()));
  }

  /** From what is in memory: for INFO, which is asked often. */
  summary(): WindowSummary {
    return summary(windows(this.#facts()));
  }

  /** What a restore to a target builds; `backup` null: the base is chosen. The caller releases it. */
  async source(
    words: TargetWords,
    timeline: number | null,
    backup: BackupEntry | null,
    signal: AbortSignal,
  ): Promise<Source> {
    const { repository } = this.#options;
    const { store } = repository;
    // What is wrong with the words is said before anything is touched.
    const target =
      'at' in words
        ? { kind: 'time' as const, us: targetTime(words.at) }
        : 'seq' in words
          ? { kind: 'sequence' as const, sequence: words.seq }
          : { kind: 'tag' as const, tag: await findTag(store, words.tag) };
    if (target.kind === 'tag' && timeline !== null && timeline !== target.tag.timeline) {
      throw new CairnError(
        'PITRRANGE',
        `tag '${target.tag.name}' is on timeline ${target.tag.timeline}, not ${timeline}`,
        {
          hint: 'Leave TIMELINE out: a tag knows its own.',
        },
      );
    }
    const line = await this.#captureNow(signal);
    await this.#refresh();
    return sourceOfTarget(repository, line, { target, timeline, backup, tags: await repository.knownTags() });
  }

  /** Answers how far the live line is known then: a later turn may know less, with archiving off. */
  async #captureNow(signal?: AbortSignal): Promise<LiveLine | null> {
    const { archiver, live, log } = this.#options;
    if (archiver === null || live.database === null) return this.#line();
    return archiver.turn(async () => {
      // What is archived already can be restored all the same.
      await archiver.captureNow(signal).catch((error: unknown) => {
        signal?.throwIfAborted();
        log.warn('what the log holds could not be archived', { error });
      });
      return archiver.line();
    }, signal);
  }

  async #refresh(): Promise<void> {
    const { repository } = this.#options;
    await repository.refresh();
    await repository.timelines.refresh();
    await repository.segments.refresh();
  }

  #line(): LiveLine | null {
    return this.#options.archiver?.line() ?? null;
  }

  #facts(tags: readonly Tag[] = []): RecoveryFacts {
    return recoveryFacts(this.#options.repository, this.#line(), tags);
  }
}

function isReachable({ bases, coverage, timelines }: RecoveryFacts, { timeline, sequence }: Tag): boolean {
  try {
    planPath({ timeline, sequence }, bases, coverage, timelines);
    return true;
  } catch (error) {
    if (error instanceof CairnError) return false;
    throw error;
  }
}

/** A recovery target must never be guessed: a bare date would be one of 86,400,000,000 moments. */
function targetTime(text: string): number {
  const { us, bareDate } = parseTime(text);
  if (!bareDate) return us;
  throw new CairnError('ERR', `'${text}' is a day, not a moment`, {
    hint: `Say which moment of it: "${text} 10:30:04", with up to 6 fraction digits.`,
  });
}
