import { states } from "../../shared/protocol/transfer.ts";
import { isFinal } from "../ledger/decide.ts";
import { BUCKETS, METRICS, type MetricName, series } from "./names.ts";

/** What the register knows for `/metrics`. */
export interface Snapshot {
  readonly counters: readonly { readonly series: string; readonly value: number }[];
  readonly open: readonly { readonly state: string; readonly count: number }[];
  /** Milliseconds since 1970; null where there is none. */
  readonly oldestWaiting: number | null;
  readonly lastRun: number | null;
}

const UNFINISHED = states.filter((state) => !isFinal(state));

/** Prometheus' text format, version 0.0.4. */
export function exposition({ counters, open, oldestWaiting, lastRun }: Snapshot, now: number): string {
  const seconds = (at: number) => (now - at) / 1000;
  const gauges: Partial<Record<MetricName, [string, number][]>> = {
    softpost_transfers: UNFINISHED.map((state) => [
      series("softpost_transfers", { state }),
      open.find((each) => each.state === state)?.count ?? 0,
    ]),
    softpost_queue_age_seconds: [["softpost_queue_age_seconds", oldestWaiting === null ? 0 : seconds(oldestWaiting)]],
    softpost_scheduled_run_age_seconds: [
      ["softpost_scheduled_run_age_seconds", lastRun === null ? -1 : seconds(lastRun)],
    ],
  };
  const lines = (Object.keys(METRICS) as MetricName[]).flatMap((name) => {
    const { type, help } = METRICS[name];
    const own =
      gauges[name] ?? counters.flatMap((each) => (isOf(name, each.series) ? [[each.series, each.value]] : []));
    const filled = type === "histogram" ? withAllBuckets(name, own as [string, number][]) : own;
    return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...filled.map(([one, value]) => `${one} ${value}`)];
  });
  return `${lines.join("\n")}\n`;
}

function isOf(name: MetricName, text: string): boolean {
  const suffix = text.slice(name.length);
  return text.startsWith(name) && /^(_bucket|_sum|_count)?($|\{)/.test(suffix);
}

/** A route's buckets that nothing fell into yet are 0, not missing; they are in order, and before sum and count. */
function withAllBuckets(name: MetricName, found: readonly [string, number][]): [string, number][] {
  const values = new Map(found);
  const routes = [...values.keys()].flatMap((text) => /^\w+_count\{route="(.*)"\}$/.exec(text)?.[1] ?? []);
  return routes.flatMap((route) => {
    const all = [
      ...[...BUCKETS, "+Inf"].map((le) => series(`${name}_bucket`, { route, le })),
      series(`${name}_sum`, { route }),
      series(`${name}_count`, { route }),
    ];
    return all.map((text): [string, number] => [text, values.get(text) ?? 0]);
  });
}
