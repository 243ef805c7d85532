/**
 * The facts of recovery, indexed, and what follows from them for each line of history: which states can be restored,
 * and how long a state lasted. `plan.ts` finds the way to a state, `window.ts` prints what there is.
 *
 *   coverage          ├───────────┤          ├──────┤
 *   bases          ●     ●              ●                ●
 *   stretches      ╵     ├────────┤     ╵                ├──→ known to be the end: lasts until `completeThroughUs`
 *                                            (nothing: no base leads there)
 *
 * A moment belongs to a state when it is known that no commit lies between them. Known it is from the state's own time
 * up to the next covered commit, to a later base or fork at the same sequence, or to the end of the line.
 */
import type { Base, Coverage, Hole, Point, RecoveryFacts, Stretch, Timeline } from './recovery.js';

export class History {
  readonly #lines: Map<number, Timeline>;
  readonly #bases: Map<number, Base[]>;
  readonly #coverage: Map<number, Coverage[]>;
  readonly #points: Map<number, Point[]>;
  readonly #forks: Map<number, Timeline[]>;
  readonly #ends = new Map<number, number>();
  readonly #stretches = new Map<number, Stretch[]>();
  readonly #moments = new Map<number, Map<number, number>>();

  constructor(private readonly facts: RecoveryFacts) {
    this.#lines = new Map(facts.timelines.map((line) => [line.timeline, line]));
    this.#bases = grouped(facts.bases, (base) => base.timeline);
    this.#points = grouped(facts.points ?? [], (point) => point.timeline);
    this.#forks = grouped(facts.timelines, (line) => line.parent ?? 0);
    this.#coverage = new Map(
      [...grouped(facts.coverage, (piece) => piece.timeline)].map(([timeline, pieces]) => [timeline, joined(pieces)]),
    );
  }

  get timelines(): Timeline[] {
    return [...this.#lines.values()].sort((a, b) => a.timeline - b.timeline);
  }

  line(timeline: number): Timeline | undefined {
    return this.#lines.get(timeline);
  }

  /** The line and its ancestors, newest first, as far as their records are there; never endless. */
  lineage(timeline: number): Timeline[] {
    const lines: Timeline[] = [];
    let next = this.#lines.get(timeline);
    while (next !== undefined && !lines.includes(next)) {
      lines.push(next);
      next = next.parent === null ? undefined : this.#lines.get(next.parent);
    }
    return lines;
  }

  bases(timeline: number): readonly Base[] {
    return this.#bases.get(timeline) ?? [];
  }

  /** Sorted, without overlap, not touching. */
  coverage(timeline: number): readonly Coverage[] {
    return this.#coverage.get(timeline) ?? [];
  }

  /** The lines that fork from this one. */
  forks(timeline: number): readonly Timeline[] {
    return this.#forks.get(timeline) ?? [];
  }

  /** The covered piece in which replay can go on after this sequence, or ends with it. */
  piece(timeline: number, sequence: number): Coverage | undefined {
    return this.coverage(timeline).find((piece) => piece.from <= sequence && sequence <= piece.to);
  }

  covers(timeline: number, from: number, to: number): boolean {
    return from >= to || this.coverage(timeline).some((piece) => piece.from <= from && to <= piece.to);
  }

  /** The first hole that replay of (from, to] would meet, in its full length; null: none. */
  hole(timeline: number, from: number, to: number): Hole | null {
    if (this.covers(timeline, from, to)) return null;
    const start = this.piece(timeline, from)?.to ?? from;
    const next = this.coverage(timeline).find((piece) => piece.from > start);
    return { timeline, from: start, to: next?.from ?? Math.max(to, this.end(timeline)) };
  }

  /** The last sequence that this line is known to have. */
  end(timeline: number): number {
    const known = this.#ends.get(timeline);
    if (known !== undefined) return known;
    const line = this.#lines.get(timeline);
    const end = Math.max(
      line?.endSequence ?? 0,
      line?.forkSequence ?? 0,
      this.coverage(timeline).at(-1)?.to ?? 0,
      ...this.bases(timeline).map((base) => base.sequence),
      ...this.forks(timeline).map((fork) => fork.forkSequence),
    );
    this.#ends.set(timeline, end);
    return end;
  }

  /** The last moment for which it is known that the line is still at this sequence; null: nothing tells. */
  lasts(timeline: number, sequence: number): number | null {
    const known = this.#momentsOf(timeline).get(sequence) ?? null;
    if (sequence !== this.end(timeline)) return known;
    const line = this.#lines.get(timeline);
    const isEnded = timeline !== this.facts.current && sequence === line?.endSequence;
    return later(known, timeline === this.facts.current ? this.facts.completeThroughUs : isEnded ? line.endedUs : null);
  }

  /** By sequence the last moment at which something tells that the line was there. */
  #momentsOf(timeline: number): Map<number, number> {
    const known = this.#moments.get(timeline);
    if (known !== undefined) return known;
    const moments = new Map<number, number>();
    const note = (sequence: number, us: number | null): void => {
      const last = later(moments.get(sequence) ?? null, us);
      if (last !== null) moments.set(sequence, last);
    };
    const line = this.#lines.get(timeline);
    if (line !== undefined) note(line.forkSequence, line.beganUs);
    for (const { sequence, timestampUs } of this.bases(timeline)) note(sequence, timestampUs);
    for (const { sequence, us } of this.#pointsOf(timeline)) note(sequence, us);
    for (const { forkSequence, forkUs } of this.forks(timeline)) note(forkSequence, forkUs);
    for (const { from, firstUs, to, lastUs } of this.coverage(timeline)) {
      note(to, lastUs);
      note(from, firstUs - 1);
    }
    this.#moments.set(timeline, moments);
    return moments;
  }

  /** What of this line's own part can be restored, in order; neighbours do not touch. */
  stretches(timeline: number): readonly Stretch[] {
    const known = this.#stretches.get(timeline);
    if (known !== undefined) return known;
    this.#stretches.set(timeline, []); // what a loop of parents sees
    const stretches: Stretch[] = [];
    for (const start of this.#starts(timeline)) {
      const to = this.piece(timeline, start.sequence)?.to ?? start.sequence;
      const before = stretches.at(-1);
      if (before !== undefined && start.sequence <= before.to) before.to = Math.max(before.to, to);
      else stretches.push({ timeline, from: start.sequence, to, fromUs: start.us, toUs: start.us });
    }
    for (const stretch of stretches) {
      stretch.toUs = Math.max(stretch.fromUs, this.lasts(timeline, stretch.to) ?? stretch.fromUs);
    }
    this.#stretches.set(timeline, stretches);
    return stretches;
  }

  /** True if the state at this sequence, which may lie before the line's own part, can be restored. */
  reaches(timeline: number, sequence: number): boolean {
    for (const line of this.lineage(timeline)) {
      if (this.stretches(line.timeline).some(({ from, to }) => from <= sequence && sequence <= to)) return true;
      if (sequence > line.forkSequence) return false;
    }
    return false;
  }

  /**
   * Where among the commits of this line a moment lies: exactly (from = to), or somewhere in [from, to] with all of
   * the commits between them covered. null: nobody knows.
   */
  locate(timeline: number, us: number): { from: number; to: number } | null {
    const states = this.#states(timeline).filter((state) => state.us <= us);
    const piece = this.coverage(timeline).find(({ firstUs, lastUs }) => firstUs <= us && us < lastUs);
    if (piece !== undefined) {
      const later = [
        ...this.bases(timeline).map((base) => ({ sequence: base.sequence, us: base.timestampUs })),
        ...this.#pointsOf(timeline),
        ...this.forks(timeline).map((fork) => ({ sequence: fork.forkSequence, us: fork.forkUs ?? -1 })),
      ].filter((state) => state.us >= us && state.sequence > piece.from);
      const from = Math.max(piece.from, ...states.map((state) => state.sequence));
      const to = Math.min(piece.to, ...later.map((state) => state.sequence));
      return from <= to ? { from, to } : null;
    }
    // Earlier states ended where the newest one began.
    const sequence = Math.max(-1, ...states.map((state) => state.sequence));
    const known = states.some(
      (state) => state.sequence === sequence && us <= (this.lasts(timeline, sequence) ?? state.us),
    );
    return known ? { from: sequence, to: sequence } : null;
  }

  /** Where restoring can begin on this line: its bases, and its fork if the parent leads there. */
  #starts(timeline: number): { sequence: number; us: number }[] {
    const line = this.#lines.get(timeline);
    const starts = this.bases(timeline)
      .filter((base) => line === undefined || line.parent === null || base.sequence >= line.forkSequence)
      .map((base) => ({ sequence: base.sequence, us: base.timestampUs }));
    if (line !== undefined && line.parent !== null && this.reaches(line.parent, line.forkSequence)) {
      starts.push({ sequence: line.forkSequence, us: line.beganUs });
    }
    return starts.sort((a, b) => a.sequence - b.sequence || a.us - b.us);
  }

  /** The states of which a time is known: the fork, the bases, the increments, the ends of covered pieces. */
  #states(timeline: number): { sequence: number; us: number }[] {
    const line = this.#lines.get(timeline);
    return [
      ...(line === undefined || line.parent === null ? [] : [{ sequence: line.forkSequence, us: line.beganUs }]),
      ...this.bases(timeline).map((base) => ({ sequence: base.sequence, us: base.timestampUs })),
      ...this.#pointsOf(timeline),
      ...this.coverage(timeline).map((piece) => ({ sequence: piece.to, us: piece.lastUs })),
    ];
  }

  #pointsOf(timeline: number): readonly Point[] {
    return this.#points.get(timeline) ?? [];
  }
}

function later(one: number | null, other: number | null): number | null {
  if (one === null || other === null) return one ?? other;
  return Math.max(one, other);
}

/** Facts for a question that times do not enter. */
export function historyOf(
  timelines: readonly Timeline[],
  bases: readonly Base[] = [],
  coverage: readonly Coverage[] = [],
): History {
  return new History({ timelines, bases, coverage, current: null, completeThroughUs: null });
}

function grouped<T>(items: readonly T[], key: (item: T) => number): Map<number, T[]> {
  const groups = new Map<number, T[]>();
  for (const item of items) {
    const group = groups.get(key(item));
    if (group === undefined) groups.set(key(item), [item]);
    else group.push(item);
  }
  return groups;
}

function joined(pieces: Coverage[]): Coverage[] {
  const result: Coverage[] = [];
  for (const piece of [...pieces].sort((a, b) => a.from - b.from)) {
    const before = result.at(-1);
    if (before === undefined || piece.from > before.to) result.push({ ...piece });
    else if (piece.to > before.to) Object.assign(before, { to: piece.to, lastUs: piece.lastUs });
  }
  return result;
}
