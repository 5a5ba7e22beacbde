import type { ProblemError } from "../../shared/protocol/errors.ts";
import { BUCKETS, type MetricName, series } from "./names.ts";

/** Counted in this instance, and not yet added to what all have counted (`flush.ts`). What one loses that ends is a few seconds' worth. */
let counted = new Map<string, number>();

export function count(name: MetricName, labels: Readonly<Record<string, string | number>> = {}, by = 1): void {
  add(series(name, labels), by);
}

/** Puts a time into a route's histogram. */
export function observe(route: string, seconds: number): void {
  const name = "softpost_request_seconds";
  for (const le of BUCKETS) if (seconds <= le) add(series(`${name}_bucket`, { route, le }), 1);
  add(series(`${name}_bucket`, { route, le: "+Inf" }), 1);
  add(series(`${name}_sum`, { route }), seconds);
  add(series(`${name}_count`, { route }), 1);
}

/** A refusal's reasons are the budgets that would be passed, or else its problem's type. */
export function countRefusal({ code, faults }: ProblemError): void {
  const budgets = faults.flatMap(({ at }) => (at.startsWith("budget/") ? [at.slice("budget/".length)] : []));
  for (const reason of budgets.length > 0 ? budgets : [code]) count("softpost_refusals_total", { reason });
}

/** What was counted, which is then somebody else's to keep. */
export function takeCounted(): [string, number][] {
  const taken = [...counted];
  counted = new Map();
  return taken;
}

/** Puts back what could not be kept. */
export function putBack(taken: readonly [string, number][]): void {
  for (const [name, value] of taken) add(name, value);
}

function add(name: string, by: number): void {
  counted.set(name, (counted.get(name) ?? 0) + by);
}
