import { existsSync } from "node:fs";
import { type Data, dataDigest, textsOf } from "../shared/data/jsonl.ts";
import type { Say } from "../shared/operations/texts.ts";
import { composeEntries } from "../shared/privacy/ledger.ts";
import type { PrivacyPlan } from "../shared/privacy/plan.ts";
import { unitText } from "../shared/privacy/unit.ts";
import { ProblemError } from "../shared/protocol/errors.ts";
import { finishedRuns, finishRun, type Ledger, openLedger } from "./privacy-ledger.ts";
import { OFTEN } from "./row-fingerprints.ts";
import { keptRunId, newRunId } from "./run-id.ts";
import { count, short, shortUp } from "./words.ts";

/** A private run as it is charged to the ledger of its data. */
export interface Charge {
  readonly plan: PrivacyPlan;
  /** The file of private rows. */
  readonly train: Data;
  readonly dataset?: string | undefined;
  /** Most ε of all runs on the data, at the run's δ. */
  readonly budgetEpsilon?: number | undefined;
  /** Where the run keeps its state, and whether it goes on from there: then it was charged before. */
  readonly statePath: string;
  readonly resume: boolean;
  /** What the run was for, kept on this machine only. */
  readonly note: { readonly out: string; readonly task: string; readonly model: string };
}

/** What all runs on a data set reveal together, the newest included. */
export interface Total {
  readonly runs: number;
  /** An upper bound at `delta`. */
  readonly epsilon: number;
  readonly delta: number;
  /** Whose data it is about. */
  readonly unit: string;
}

/**
 * Writes a run to the private data's ledger before its first step: from there on it is spent, whatever becomes of the run. Says what was charged, and what
 * all runs on the data come to.
 * @throws ProblemError if they would pass the budget
 */
export async function chargeRun(charge: Charge, say: Say): Promise<Total> {
  const { plan, train, dataset, budgetEpsilon, note } = charge;
  const ledger = await openLedger({ texts: textsOf(train), fileDigests: [await dataDigest(train)], dataset });
  if (plan.unit === undefined) warnOfRepeatedTexts(ledger, say);
  warnOfKnownRows(ledger, say);
  const { runId, anew } = nameOf(charge);
  const known = ledger.entries().some((entry) => entry.runId === runId);
  const { sampleRate, noiseMultiplier, steps, delta, unit } = plan;
  const budget = budgetEpsilon === undefined ? undefined : { epsilon: budgetEpsilon, delta };
  const entries = await ledger.charge({ runId, sampleRate, noiseMultiplier, steps, delta, unit, note }, budget);
  const { upper: epsilon, unit: weakest } = composeEntries(entries, delta);
  const total = { runs: entries.length, epsilon, delta, unit: unitText(weakest) };
  const charged = `Charged to the ledger of this data${anew === undefined ? "" : ` as a new run: ${anew}`}.`;
  say(`${known ? "Nothing more was charged: this run goes on." : charged} ${totalText(total)}`);
  return total;
}

/** The name to charge a run under, and why a run that goes on isn't charged under the one that it began with. */
function nameOf({ statePath, resume }: Charge): { readonly runId: string; readonly anew?: string } {
  const kept = resume ? keptRunId(statePath) : undefined;
  if (kept !== undefined && !finishedRuns().has(kept)) return { runId: kept };
  const runId = newRunId(statePath);
  if (kept !== undefined) return { runId, anew: "the one that goes on was finished before, from this state or a copy" };
  if (!resume || !existsSync(statePath)) return { runId };
  return { runId, anew: "the name of the one that goes on, beside its state, is missing or damaged" };
}

/**
 * Writes into the ledger that a run is finished, before there is a result of it: from there on its state, or a copy, goes on as another run.
 * @throws ProblemError if it was finished from a copy of its state meanwhile, or its name is lost: there must be no result then
 */
export async function finishCharged(statePath: string): Promise<void> {
  const runId = keptRunId(statePath);
  if (runId !== undefined && (await finishRun(runId))) return;
  const why =
    runId === undefined ? "the run's name beside its state is gone" : "a copy of the run was finished meanwhile";
  const detail = `Nothing is released, since ${why}: there could be two results for one charge. Resume the run from its state (${statePath}), which charges it anew.`;
  throw new ProblemError("The run can't be finished", detail, { status: 409 });
}

/** The total in words. */
export function totalText({ runs, epsilon, delta, unit }: Total): string {
  const all =
    runs === 1
      ? "This is the only private run on these rows so far"
      : `The ${runs} private runs on these rows together`;
  return `${all}: ε ${shortUp(epsilon)} at δ ${short(delta)} for ${unit} (softpost privacy ledger).`;
}

/** Says how many texts stand often, never which: then one row is likely not what has to be protected. */
function warnOfRepeatedTexts({ repeated: { texts, rows, most } }: Ledger, say: Say): void {
  if (texts === 0) return;
  say(
    `${texts === 1 ? "1 text stands" : `${texts} texts stand`} more than ${OFTEN} times among the rows (${rows} rows in all, one up to ${most} times). ` +
      "The guarantee is for one row. If a person or an event has several, remove the repetitions or say whose rows belong together with --privacy-unit.",
  );
}

/** Says if most rows were charged before without counting together with this run. */
function warnOfKnownRows(ledger: Ledger, say: Say): void {
  const { known, most, others } = ledger.overlap();
  if (!most) return;
  const names = others.map(({ name, runs }) => `${name} (${count(runs, "run")})`).join(", ");
  say(
    `${known} of the ${ledger.rows} rows are in other data sets of the ledger too: ${names}. Their runs don't count together with ` +
      `this one. If it is the same data, grown or shrunk, say --dataset ${others[0]!.name}.`,
  );
}
