/** LATENCY: what took long by kind of event (latency_monitor_threshold), and how long each command takes. */
import { CairnError } from '../base/errors.js';
import type { LatencyEvent } from '../observability/latency-events.js';
import { MapReply, type Reply, Verbatim } from '../resp/reply.js';
import type { Call, Command } from './command.js';
import type { CommandCount } from './session.js';

const GRAPH_ROWS = 8;
const GRAPH_COLUMNS = 80;

export const latencyCommands: readonly Command[] = [
  { name: 'latency|latest', kind: 'server', run: latest },
  { name: 'latency|history', kind: 'server', run: history },
  {
    name: 'latency|reset',
    kind: 'server',
    run: ({ args, services }) => services.server.statistics.latency.reset(args.map((name) => name.toString())),
  },
  { name: 'latency|doctor', kind: 'server', run: (call) => new Verbatim('txt', diagnosis(call)) },
  { name: 'latency|graph', kind: 'server', run: graph },
  { name: 'latency|histogram', kind: 'server', run: histogram },
];

function latest({ services }: Call): Reply {
  return services.server.statistics.latency.all().map(({ name, samples, longestMs }) => {
    const last = samples.at(-1);
    return [name, last?.timeSeconds ?? 0, last?.ms ?? 0, longestMs];
  });
}

function history({ args, services }: Call): Reply {
  const event = services.server.statistics.latency.get((args[0] as Buffer).toString());
  return (event?.samples ?? []).map(({ timeSeconds, ms }) => [timeSeconds, ms]);
}

function graph({ args, services }: Call): Reply {
  const name = (args[0] as Buffer).toString();
  const event = services.server.statistics.latency.get(name);
  if (event === undefined) throw new CairnError('ERR', `No samples available for event '${name}'`);
  return new Verbatim('txt', drawing(event));
}

/** A column for each sample, the newest at the right; the line below says how long ago it was. */
function drawing({ name, samples, longestMs }: LatencyEvent): string {
  const shown = samples.slice(-GRAPH_COLUMNS);
  const all = shown.map(({ ms }) => ms);
  const [high, low] = [Math.max(...all), Math.min(...all)];
  const heights = all.map((ms) => (high === low ? GRAPH_ROWS : Math.ceil(((ms - low) / (high - low)) * GRAPH_ROWS)));
  const rows = Array.from({ length: GRAPH_ROWS }, (_, row) =>
    heights.map((height) => (height >= GRAPH_ROWS - row ? '#' : row === GRAPH_ROWS - 1 ? '_' : ' ')).join(''),
  );
  const title = `${name} - high ${high} ms, low ${low} ms (all time high ${longestMs} ms)`;
  const nowSeconds = Math.floor(Date.now() / 1000);
  const [first, last] = [shown[0], shown.at(-1)];
  const span = `from ${nowSeconds - (first?.timeSeconds ?? 0)} to ${nowSeconds - (last?.timeSeconds ?? 0)} seconds ago`;
  return `${[title, '-'.repeat(GRAPH_COLUMNS), ...rows, '', span].join('\n')}\n`;
}

function diagnosis({ services }: Call): string {
  const threshold = services.config.values.latency_monitor_threshold;
  const events = services.server.statistics.latency.all();
  if (threshold === 0) {
    return (
      'Latency monitoring is disabled on this server: nothing is sampled. ' +
      'CONFIG SET latency-monitor-threshold <milliseconds> enables it; LATENCY HISTOGRAM works without.\n'
    );
  }
  if (events.length === 0) return `No event took ${threshold} ms or longer since LATENCY RESET.\n`;
  const lines = events.map(({ name, samples, longestMs }) => {
    const mean = samples.reduce((sum, { ms }) => sum + ms, 0) / samples.length;
    return `${name}: ${samples.length} samples, mean ${mean.toFixed(0)} ms, longest ever ${longestMs} ms.`;
  });
  return `${[...lines, 'SLOWLOG GET shows which commands they were; INFO rocksdb whether compactions are behind.'].join('\n')}\n`;
}

function histogram({ args, services }: Call): Reply {
  const counts = [...services.server.commandCounts()].filter(({ latency }) => latency !== null);
  const wanted = args.map((arg) => arg.toString('latin1').toLowerCase());
  const chosen =
    wanted.length === 0
      ? counts
      : wanted.flatMap((name) => counts.filter((count) => count.name === name || count.name.startsWith(`${name}|`)));
  return new MapReply([...new Set(chosen)].map((count) => [count.name, distribution(count)]));
}

function distribution({ latency }: CommandCount): Reply {
  return new MapReply([
    ['calls', latency?.count ?? 0],
    ['histogram_usec', new MapReply(latency?.cumulative() ?? [])],
  ]);
}
