/**
 * Which commit the live line has to have: the newest acknowledged one, unless a restore in place took the line elsewhere. A restore
 * is a move from when it is asked until a commit that was sent after its answer is acknowledged; meanwhile the line may be either.
 */
import type { Commit, History } from './history.js';
import { Violation } from './violation.js';

/** A restore in place that was done while others wrote: which state it began from is looked up later, by sequence. */
export interface Unproven {
  timeline: number;
  sequence: number;
  askedUs: number;
  /** The first commit that was sent after it was answered. */
  commit: number;
}

interface Move {
  askedUs: number;
  /** null: nobody answered, or it was refused, which ends the move. */
  answered: { timeline: number; sequence: number; atUs: number } | null;
}

export class Line {
  /** What is live; null while a restore in place is on its way. */
  timeline: number | null = null;
  /** null while it is being changed. */
  durability: string | null = null;
  readonly unproven: Unproven[] = [];
  #head = 0;
  readonly #moves = new Set<Move>();
  /** Answered before what they stand on was. */
  #early: Commit[] = [];

  constructor(private readonly history: History) {}

  /** The newest commit that has to be there. */
  get head(): number {
    return this.#head;
  }

  get isMoving(): boolean {
    return this.#moves.size > 0;
  }

  moveAsked(): Move {
    const move: Move = { askedUs: Date.now() * 1000, answered: null };
    this.#moves.add(move);
    this.timeline = null;
    return move;
  }

  /** Nothing moved: the line goes on as `timeline`. */
  moveRefused(move: Move, timeline: number | null): void {
    this.#moves.delete(move);
    if (!this.isMoving) this.timeline = timeline;
  }

  moveAnswered(move: Move, target: { timeline: number; sequence: number }, timelineNew: number): void {
    move.answered = { ...target, atUs: Date.now() * 1000 + 999 };
    this.timeline = timelineNew;
  }

  acknowledged(commit: Commit): void {
    const { history } = this;
    const waiting = [...this.#early, commit];
    this.#early = waiting.filter(({ id }) => !history.isPlaced(id));
    for (const next of waiting) if (history.isPlaced(next.id)) this.#advance(next);
  }

  #advance(commit: Commit): void {
    const { history } = this;
    if (history.has(commit.id, this.#head)) this.#head = commit.id;
    else if (!history.has(this.#head, commit.id)) {
      if (!this.isMoving) {
        throw new Violation(
          `commit ${commit.id} stands on ${history.parent(commit.id)}, which does not have ${this.#head}`,
        );
      }
      this.#head = commit.id;
    }
    for (const move of this.#moves) {
      const { answered, askedUs } = move;
      if (answered === null || commit.sentUs <= answered.atUs) continue;
      this.#moves.delete(move);
      this.#head = commit.id;
      this.unproven.push({ ...answered, askedUs, commit: commit.id });
    }
  }

  /** The state that is served now, read while nobody writes and nothing moves. Whatever moved has ended. */
  found(id: number, timeline: number): void {
    const { history } = this;
    const early = this.#early;
    this.#early = [];
    for (const commit of early) {
      if (history.isPlaced(commit.id)) this.#advance(commit);
      else if (!this.isMoving) throw new Violation(`acknowledged commit ${commit.id} is nowhere`);
    }
    if (!history.has(id, this.#head) && !this.isMoving) {
      const missing = [...history.beyond(this.#head, id)].length;
      throw new Violation(
        `the live state is commit ${id}: ${missing} acknowledged commits up to ${this.#head} are lost`,
      );
    }
    this.settle(id, timeline);
  }

  /** For a line that was taken back, as it may be: by a power cut. */
  settle(id: number, timeline: number): void {
    this.#head = id;
    this.#early = [];
    this.#moves.clear();
    this.timeline = timeline;
  }
}
