/** What a soak counts, as JSON and as a table. */

export type Counts = Record<string, number>;

export interface ReportJson {
  minutes: number;
  seed: number;
  durability: string;
  directories: number;
  starts: number;
  ends: Counts;
  faultPointKills: Counts;
  faultPointsArmedOtherwise: Counts;
  commitsAcknowledged: number;
  backups: Counts;
  verifications: Counts;
  restores: Counts;
  recoveryPointsCompared: number;
  liveStatesCompared: number;
  refusals: Counts;
  powerCuts: { cuts: number; filesCut: number; bytesCut: number; commitsLost: Counts; longestLossMs: number };
  losses: number;
  maxima: { rssBytes: number; fileDescriptors: number; directoryBytes: number; soakRssBytes: number };
  /** Of lives that were long enough to tell, in their second and in their last quarter. */
  flat: { what: string; early: number; late: number }[];
  violations: string[];
}

export class Report {
  readonly json: ReportJson;
  readonly #begun = performance.now();

  constructor(seed: number, durability: string) {
    this.json = {
      ...{
        minutes: 0,
        seed,
        durability,
        directories: 0,
        starts: 0,
        ends: {},
        faultPointKills: {},
        faultPointsArmedOtherwise: {},
      },
      ...{ commitsAcknowledged: 0, backups: {}, verifications: {}, restores: {} },
      ...{ recoveryPointsCompared: 0, liveStatesCompared: 0, refusals: {} },
      powerCuts: { cuts: 0, filesCut: 0, bytesCut: 0, commitsLost: {}, longestLossMs: 0 },
      losses: 0,
      maxima: { rssBytes: 0, fileDescriptors: 0, directoryBytes: 0, soakRssBytes: 0 },
      flat: [],
      violations: [],
    };
  }

  ended(how: string): void {
    count(this.json.ends, how);
  }

  killedAt(point: string): void {
    count(this.json.faultPointKills, point);
  }

  armed(what: string): void {
    count(this.json.faultPointsArmedOtherwise, what);
  }

  backedUp(type: string): void {
    count(this.json.backups, type);
  }

  verified(mode: string, times = 1): void {
    count(this.json.verifications, mode, times);
  }

  restored(kind: string): void {
    count(this.json.restores, kind);
  }

  refused(code: string): void {
    count(this.json.refusals, code);
  }

  lostToPower(durability: string, commits: number): void {
    if (commits > 0) count(this.json.powerCuts.commitsLost, durability, commits);
  }

  flat(what: string, early: number, late: number): void {
    this.json.flat.push({ what, early, late });
  }

  most(what: keyof ReportJson['maxima'], value: number): void {
    this.json.maxima[what] = Math.max(this.json.maxima[what], value);
  }

  finish(): ReportJson {
    this.json.minutes = Math.round((performance.now() - this.#begun) / 6000) / 10;
    this.most('soakRssBytes', process.memoryUsage.rss());
    return this.json;
  }

  progress(): string {
    const { starts, commitsAcknowledged, recoveryPointsCompared, backups, restores, powerCuts } = this.finish();
    return (
      `${this.json.minutes} min: ${starts} starts, ${commitsAcknowledged} commits, ${sum(backups)} backups, ` +
      `${sum(restores)} restores, ${recoveryPointsCompared} recovery points compared, ${powerCuts.cuts} power cuts`
    );
  }

  table(): string {
    const { maxima, powerCuts, flat, violations, ...rest } = this.finish();
    const rows: [string, string][] = Object.entries(rest).map(([name, value]) => [
      words(name),
      typeof value === 'object' ? list(value) : String(value),
    ]);
    const { commitsLost, ...cuts } = powerCuts;
    rows.push(['power cuts', list(cuts)], ['lost to power cuts, as documented', list(commitsLost)]);
    for (const { what, early, late } of flat) rows.push([`${what} of a long life`, `${early}, then ${late}`]);
    rows.push(['at most', list(maxima)], ['violations', String(violations.length)]);
    const width = Math.max(...rows.map(([name]) => name.length));
    return rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`).join('\n');
  }
}

function count(counts: Counts, name: string, times = 1): void {
  counts[name] = (counts[name] ?? 0) + times;
}

function sum(counts: Counts): number {
  return Object.values(counts).reduce((total, one) => total + one, 0);
}

function list(counts: Counts): string {
  const names = Object.keys(counts).sort();
  return names.length === 0 ? '-' : names.map((name) => `${words(name)} ${counts[name]}`).join(', ');
}

function words(name: string): string {
  return /[a-z][A-Z]/.test(name) ? name.replace(/([A-Z])/g, (letter) => ` ${letter.toLowerCase()}`) : name;
}
