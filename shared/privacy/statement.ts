import type { Fault } from "../protocol/errors.ts";
import type { PrivacyRecord } from "../protocol/manifest.ts";
import { epsilonOf, limitedEpsilonBounds, limitedGroupEpsilon } from "./accountant.ts";
import { gdpMu } from "./attack.ts";
import { groupFigures } from "./group.ts";
import { GRID_UNITS_PER_CLIP } from "./noise.ts";
import { toleranceAt } from "./pld.ts";
import { deltaFaults, runFaults } from "./run.ts";
import type { Bounds } from "./solve.ts";
import { highestTruePositiveRates } from "./trade-off.ts";
import { unitText } from "./unit.ts";

/** A privacy record, computed again. */
export interface Verification {
  /** ε at the record's δ as this machine computes it, an upper bound; Infinity if the record's numbers make no sense. */
  readonly epsilon: number;
  /** What contradicts itself or what is computed here; empty if the record may be believed. */
  readonly faults: readonly Fault[];
}

/**
 * Computes the ε of a record from its σ, q, steps and δ alone, and says where the record claims something else. A claim above
 * what is computed is allowed: it promises less. The work is limited; a record that would need more can still be believed if it
 * claims what RDP gives, or no less than the upper bound that was reached.
 */
export function verifyRecord(record: PrivacyRecord): Verification {
  const { records, batchSize, sampleRate, delta, accountant } = record;
  const faults: Fault[] = [...runFaults(record), ...deltaFaults(delta)];
  if (!Number.isInteger(batchSize) || batchSize > records) {
    faults.push({ at: "batchSize", message: `${batchSize} is not a whole number of at most ${records} records` });
  }
  if (sampleRate !== batchSize / records) {
    faults.push({ at: "sampleRate", message: `${sampleRate} is not batchSize / records = ${batchSize / records}` });
  }
  if (delta > 1 / records) {
    faults.push({
      at: "delta",
      message: `${delta} is above 1/N = ${Number((1 / records).toPrecision(2))}, which allows publishing a whole record`,
    });
  }
  if (faults.length > 0) return { epsilon: Number.POSITIVE_INFINITY, faults };
  const { lower, upper } = checkedBounds(record);
  if (record.epsilon < lower - toleranceAt(lower)) {
    faults.push({
      at: "epsilon",
      message: `${record.epsilon} is too small: sigma, rate, steps and delta give ${accountant === "rdp" ? upper : lower}`,
    });
  } else if (record.epsilon < upper - toleranceAt(upper)) {
    faults.push({
      at: "epsilon",
      message: `${record.epsilon} can't be confirmed: a check of limited work finds between ${lower} and ${upper}; claim ${upper}`,
    });
  }
  return { epsilon: upper, faults: [...faults, ...groupFaults(record)] };
}

function groupFaults(record: PrivacyRecord): Fault[] {
  return (record.groups ?? []).flatMap(({ group, epsilon }, i) => {
    const upper = limitedGroupEpsilon(record, group, record.delta);
    if (epsilon === null || epsilon >= upper - toleranceAt(upper)) return [];
    return [{ at: `groups/${i}/epsilon`, message: `${epsilon} is too small for a group of ${group}: claim ${upper}` }];
  });
}

function checkedBounds(record: PrivacyRecord): Bounds {
  const rdp = epsilonOf([record], record.delta, "rdp");
  if (record.accountant === "rdp") return { lower: rdp, upper: rdp };
  // RDP takes milliseconds, and its bound is enough for whoever claims it.
  if (record.epsilon >= rdp) return { lower: 0, upper: rdp };
  return limitedEpsilonBounds([record], record.delta);
}

/**
 * A record as the text of a complete privacy statement, with what "How to DP-fy ML" (Ponomareva et al. 2023, section 5.3.3) asks
 * for: unit, neighbours, guarantee, mechanism, what is released, what is not covered.
 * @param startDigest of the prompt that the run began with, if it wasn't a text
 */
export function explainPrivacy(
  record: PrivacyRecord,
  attacks: readonly AttackFigure[],
  startDigest: string | undefined,
): string {
  const { epsilon, delta, records, batchSize, steps, clip, noiseMultiplier, accountant, unit } = record;
  const each = unit ? unit.field : "row";
  const number = (x: number) => Number(x.toPrecision(4)).toString();
  return [
    `Guarantee      (ε, δ) = (${number(epsilon)}, ${number(delta)}) differential privacy; an upper bound`,
    `Unit           ${unit ? `${unitText(unit)} (all rows of the private data with the same "${unit.field}")` : "one row of the private data"}`,
    `Neighbours     data sets that differ in ${unitText(unit)}, added or removed`,
    `Accountant     ${accountantText(accountant)}`,
    `Data           N = ${records} ${unit ? `different values of "${unit.field}"` : "rows"}; N counts as public`,
    `Sampling       Poisson: each ${each} with probability ${batchSize}/${records} = ${number(batchSize / records)} at every step`,
    ...(unit
      ? [
          `Contribution   the mean gradient of at most ${unit.rowsPerUnit} rows of a drawn ${each}, drawn anew each time`,
        ]
      : []),
    `Training       ${steps} steps; gradients clipped to norm ${number(clip)} a drawn ${each}; divided by ${batchSize}, never by the sampled size`,
    `Noise          discrete Gaussian on a grid of clip/2^${Math.log2(GRID_UNITS_PER_CLIP)}, noise multiplier ${number(noiseMultiplier)}; cryptographic generator`,
    "Released       the soft prompt, of the last step or the mean over the last ones; no loss or accuracy on private data",
    "Not covered    choosing among several runs on the same data: compose them with `softpost privacy ledger`",
    ...(startDigest === undefined
      ? []
      : [
          `Not covered    the prompt that the run began with (${startDigest.slice(0, 12)}…), which its owner says is public`,
        ]),
    ...groupLines(record),
    `As Gaussian DP μ = ${number(gdpMu(epsilon, delta))}`,
    ...attackLines(record, attacks),
  ].join("\n");
}

/** What a membership test can do at most: the shares of those who took no part that it names, and of those who did. */
export interface AttackFigure {
  readonly falsePositives: number;
  readonly truePositives: number;
}

const FALSE_POSITIVE_RATES = [0.001, 0.01, 0.1] as const;

/** What the guarantee leaves to membership tests: by the whole curve of the run, not by its (ε, δ) alone. Takes about a second. */
export function attackFigures(record: PrivacyRecord): AttackFigure[] {
  const rates = highestTruePositiveRates(record, FALSE_POSITIVE_RATES);
  return FALSE_POSITIVE_RATES.map((falsePositives, i) => ({ falsePositives, truePositives: rates[i]! }));
}

function attackLines({ unit }: PrivacyRecord, attacks: readonly AttackFigure[]): string[] {
  const percent = (x: number) => `${Number((100 * x).toPrecision(2))} %`;
  const who = unit ? `whose rows were used (one ${unit.field} each)` : "whose row was used";
  return [
    "Attacks        wrongly names        finds at most        blind guessing",
    ...attacks.map(({ falsePositives, truePositives }) => {
      const wrong = percent(falsePositives);
      return `               ${wrong.padEnd(21)}${percent(truePositives).padEnd(21)}${wrong}`;
    }),
    ...attacks
      .filter(({ falsePositives }) => falsePositives === 0.01)
      .flatMap(({ truePositives }) => [
        `In words       Somebody has the prompt and knows everybody else's rows. Of 100 people ${who},`,
        `               he finds at most ${percent(truePositives).replace(" %", "")} if he may wrongly name 1 of 100 others; by blind guessing, 1.`,
      ]),
  ];
}

/** What the guarantee means for somebody who has several of the units. */
function groupLines(record: PrivacyRecord): string[] {
  const each = record.unit ? `values of "${record.unit.field}"` : "rows";
  return groupFigures(record).map(
    ({ group, epsilon }) =>
      `${group === 2 ? "Groups         " : "               "}somebody with ${group} ${each}: ${epsilon === null ? "no useful guarantee" : `ε ${Number(epsilon.toPrecision(4))}`} at the same δ`,
  );
}

function accountantText(accountant: PrivacyRecord["accountant"]): string {
  return accountant === "pld"
    ? "privacy-loss distribution; the exact value is at most 0.03 % + 3e-5 lower"
    : "Rényi differential privacy, 156 orders; the exact value is lower, by 5 to 25 % mostly";
}
