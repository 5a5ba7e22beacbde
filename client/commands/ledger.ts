import type { Command } from "commander";
import { type Data, dataDigest, textsOf } from "../../shared/data/jsonl.ts";
import { composeEntries, type LedgerEntry } from "../../shared/privacy/ledger.ts";
import { unitText } from "../../shared/privacy/unit.ts";
import { type ColumnOptions, dataFiles, withColumns } from "../data-file.ts";
import { numberBetween, positiveNumber } from "../options.ts";
import type { Io } from "../output.ts";
import { type ChargedData, chargedData, namedData, openLedger } from "../privacy-ledger.ts";
import { tableLines } from "../table.ts";
import { count, short, shortUp } from "../words.ts";

interface Options extends ColumnOptions {
  readonly data?: readonly string[];
  readonly dataset?: string;
  readonly delta?: number;
  readonly budgetEpsilon?: number;
}

const NOTES = `
All runs on a data set count, whether their prompts were sent or not: who looked at several and chose one has used all of them.

Examples:
  softpost privacy ledger
  softpost privacy ledger --data private.jsonl --budget-epsilon 8

Next: softpost tune --budget-epsilon E (refuses a run that would pass E in all)`;

/** `softpost privacy ledger`: what was spent of each data set on this machine. */
export function registerLedger(privacy: Command, io: Io): void {
  const command = privacy
    .command("ledger")
    .description("show what the private runs on a data set reveal together, and each of them")
    .option("--data <file...>", "the data set's file or files (default: every data set of this machine)")
    .option("--dataset <name>", "what the runs were charged as, or a data set's name in the ledger")
    .option("--delta <d>", "δ of the composition (default: the smallest of the runs)", numberBetween(0, 1))
    .option("--budget-epsilon <e>", "the ε that may be spent in all", positiveNumber)
    .addHelpText("after", NOTES)
    .action((options: Options) => run(options, io));
  withColumns(command, ["text"]);
}

async function run(options: Options, io: Io): Promise<void> {
  const { data, dataset, delta, budgetEpsilon } = options;
  const charged = data
    ? [await dataOf(data, options, io)]
    : dataset === undefined
      ? chargedData()
      : [namedData(dataset)];
  const ledgers = charged.map(({ name, entries }) => summary(name, entries, delta, budgetEpsilon));
  const lines = ledgers.flatMap(describe);
  io.result({ ledgers }, lines.length > 0 ? lines.join("\n") : "No private run was charged on this machine.");
}

/** What was charged on the rows of some files. */
async function dataOf(files: readonly string[], options: Options, io: Io): Promise<ChargedData> {
  const given = await dataFiles(files, options, io);
  const fileDigests: string[] = [];
  for (const file of given) fileDigests.push(await dataDigest(file));
  const ledger = await openLedger({ texts: allTexts(given), fileDigests, dataset: options.dataset });
  return { name: ledger.name, entries: ledger.entries() };
}

async function* allTexts(files: readonly Data[]): AsyncGenerator<string> {
  for (const file of files) yield* textsOf(file);
}

/** A data set's runs, each with its own ε, and their composition at one δ. */
function summary(
  name: string,
  entries: readonly LedgerEntry[],
  delta: number | undefined,
  budgetEpsilon: number | undefined,
) {
  const at = delta ?? entries.reduce((least, entry) => Math.min(least, entry.delta), 1);
  const runs = entries.map((entry) => ({ ...entry, epsilon: composeEntries([entry], at).upper }));
  const { upper: epsilon, unit } = composeEntries(entries, at);
  const units = new Set(entries.map((entry) => entry.unit?.field));
  const left = budgetEpsilon === undefined ? undefined : Math.max(0, budgetEpsilon - epsilon);
  return { name, delta: at, epsilon, unit: unitText(unit), mixedUnits: units.size > 1, left, runs };
}

function describe({ name, delta, epsilon, unit, mixedUnits, left, runs }: ReturnType<typeof summary>): string[] {
  if (runs.length === 0) return [`Data set ${name}: no private run was charged, so nothing is spent.`];
  const weakest = mixedUnits ? " (the runs' units differ: only the weakest remains)" : "";
  const rest = left === undefined ? "" : `; ε ${short(left)} left`;
  const row = (run: (typeof runs)[number]) => [
    run.time.slice(0, 16).replace("T", " "),
    shortUp(run.epsilon),
    run.note?.task ?? "",
    run.note?.model ?? "",
    run.note?.out ?? "",
    `${run.steps} steps, q ${short(run.sampleRate)}, σ ${short(run.noiseMultiplier)}, ${unitText(run.unit)}`,
  ];
  const table = tableLines([["when (UTC)", "ε alone", "task", "model", "out", "how"], ...runs.map(row)]);
  return [
    `Data set ${name}: ${count(runs.length, "run")}, together ε ${shortUp(epsilon)} at δ ${short(delta)} for ${unit}${weakest}${rest}`,
    ...table.map((line) => `  ${line}`),
  ];
}
