import { readFileSync } from "node:fs";
import type { Session, Value } from "../shared/graph/engine.ts";

/** Milliseconds of one run. */
export interface Time {
  readonly wall: number;
  readonly cpu: number;
}

/** Something that can be timed again and again. */
export interface Subject {
  run(): Promise<Time>;
}

/** A loaded graph as a subject, run so many times: the CPU time is that of this whole process, of which nothing else runs meanwhile. */
export function subject(session: Session, feeds: Readonly<Record<string, Value>>, times = 1): Subject {
  const run = async () => {
    for (let i = 0; i < times; i++) await session.run(feeds);
  };
  return { run: () => timed(run) };
}

/** The time that a function takes in this process. */
export async function timed(run: () => Promise<unknown>): Promise<Time> {
  const start = performance.now();
  const before = process.cpuUsage();
  await run();
  const { user, system } = process.cpuUsage(before);
  return { wall: performance.now() - start, cpu: (user + system) / 1000 };
}

/** A spread in a line: the median, and the least and most. */
export function figure({ median, low, high }: Spread): string {
  return `${median.toPrecision(3)} (${low.toPrecision(3)}-${high.toPrecision(3)})`;
}

/** Runs subjects in turn (A B A B …), so that what else the machine does meets all alike, after a run that doesn't count. */
export async function inTurn(subjects: readonly Subject[], runs: number): Promise<Time[][]> {
  for (const each of subjects) await each.run();
  const times: Time[][] = subjects.map(() => []);
  for (let i = 0; i < runs; i++) {
    for (const [index, each] of subjects.entries()) times[index]!.push(await each.run());
  }
  return times;
}

/** A figure over several runs. */
export interface Spread {
  readonly median: number;
  readonly low: number;
  readonly high: number;
}

/** Median, and the quartiles around it. */
export function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (part: number) => sorted[Math.round(part * (sorted.length - 1))]!;
  return { median: at(0.5), low: at(0.25), high: at(0.75) };
}

/** How many times longer the others took, run by run. */
export function ratio(others: readonly Time[], ours: readonly Time[], of: keyof Time): Spread {
  return spread(others.map((other, i) => other[of] / ours[i]![of]));
}

/** The most memory that this process has taken so far, in bytes (Linux only). */
export function peakMemory(): number {
  return 1024 * Number(/VmHWM:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))![1]);
}
