import { type Data, dataDigest, textsOf } from "../shared/data/jsonl.ts";
import type { Say } from "../shared/operations/texts.ts";
import { composeEntries } from "../shared/privacy/ledger.ts";
import type { PrivacyPlan } from "../shared/privacy/plan.ts";
import { unitText } from "../shared/privacy/unit.ts";
import { type Ledger, openLedger } from "./privacy-ledger.ts";
import { OFTEN } from "./row-fingerprints.ts";
import { runIdOf } from "./run-id.ts";
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
  const runId = runIdOf(charge.statePath, charge.resume);
  const known = ledger.entries().some((entry) => entry.runId === runId);
  const { sampleRate, noiseMultiplier, steps, delta, unit } = plan;
  const budget = budgetEpsilon === undefined ? undefined : { epsilon: budgetEpsilon, delta };
  const entries = await ledger.charge({ runId, sampleRate, noiseMultiplier, steps, delta, unit, note }, budget);
  const { upper: epsilon, unit: weakest } = composeEntries(entries, delta);
  const total = { runs: entries.length, epsilon, delta, unit: unitText(weakest) };
  say(
    `${known ? "Nothing more was charged: this run goes on." : "Charged to the ledger of this data."} ${totalText(total)}`,
  );
  return total;
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
