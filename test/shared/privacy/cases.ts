import { readFileSync } from "node:fs";
import type { GaussianRun } from "../../../shared/privacy/run.ts";

// biome-ignore lint/suspicious/noExplicitAny: reference tables; make-cases.py and their own meta name the columns
type Table = Record<string, any>[];

/** The reference tables; see golden/make-cases.py. */
export const cases: { rows: Table } & Record<string, { rows: Table }> = JSON.parse(
  readFileSync(new URL("./golden/cases.json", import.meta.url), "utf8"),
);

/** A row's `sampling_rate`, `noise_multiplier`, `steps` as a run. */
export function runOf(row: Record<string, number>): GaussianRun {
  return { sampleRate: row.sampling_rate!, noiseMultiplier: row.noise_multiplier!, steps: row.steps! };
}
