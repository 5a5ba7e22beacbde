import { closeSync, existsSync, openSync, rmSync, writeFileSync } from "node:fs";
import type { Command } from "commander";
import { shuffle } from "../../shared/data/batches.ts";
import { initialisationIds } from "../../shared/data/encode.ts";
import { readTask } from "../../shared/data/files.ts";
import { type Data, readUnits } from "../../shared/data/jsonl.ts";
import { requireClasses, requirePrivateRoom, requireRoom } from "../../shared/operations/checks.ts";
import { encodedExamples } from "../../shared/operations/texts.ts";
import { ROWS_PER_UNIT } from "../../shared/operations/tune-defaults.ts";
import {
  areaUnder,
  bestAudit,
  CONFIDENCE,
  chanceOfArea,
  liraScores,
  rocCurve,
  type Scored,
  truePositiveRateAt,
} from "../../shared/privacy/audit.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { Draws, seededRandom } from "../../shared/protocol/random.ts";
import type { Watch } from "../../shared/training/events.ts";
import { initialPrompt } from "../../shared/training/initial-prompt.ts";
import type { LabelledText } from "../../shared/training/objective.ts";
import { type AuditedTraining, type AuditSubject, confidencesOf, planOf, tuneOn } from "../audit-subject.ts";
import { type ColumnOptions, dataFile, ROW_FORMATS, withColumns } from "../data-file.ts";
import { auditFault, type GivenAudit } from "../guarantee-rules.ts";
import { loadModel, loadVerbalizer } from "../inputs.ts";
import { engineRun, nothingWritten } from "../long-run.ts";
import { numberBetween, positiveNumber, wholeNumber } from "../options.ts";
import type { Io } from "../output.ts";
import { rocPicture } from "../roc-picture.ts";
import { registerInvariance } from "./audit-invariance.ts";

const EXAMPLES = `
Examples:
  softpost audit one-run --model student --task task.json --train private.jsonl --noise-multiplier 1 --canaries 200
  softpost audit one-run --model student --task task.json --train private.jsonl --noise-multiplier 1 --without-noise
  softpost audit invariance --model student --task task.json --data private.jsonl
  softpost audit lira --model student --task task.json --train private.jsonl --shadows 16 --roc roc.svg

The result describes your private data and is covered by no guarantee: keep it on this machine.

Next: softpost privacy explain prompt (what the guarantee allows at most)`;

interface Options extends AuditedTraining, ColumnOptions {
  readonly model: string;
  readonly task: string;
  readonly train: string;
  readonly promptTokens: number;
  readonly roc?: string;
  readonly canaries: number;
  readonly guesses: number;
  readonly shadows: number;
}

/** `softpost audit …`: attacks on one's own tuning and its machine, to see whether it keeps what its guarantee says. */
export function registerAudit(program: Command, io: Io): void {
  const audit = program
    .command("audit")
    .description("attack your own tuning by membership inference, and check the machine that it runs on")
    .addHelpText("after", EXAMPLES);
  withTraining(audit.command("one-run").description("a lower bound on ε from one run with mislabelled canaries"))
    .option(
      "--canaries <m>",
      "rows that get a wrong label; each is trained on with probability 1/2",
      wholeNumber(2),
      100,
    )
    .option("--guesses <r>", "canaries that are guessed, the surest ones (default: half of them)", wholeNumber(2))
    .option("--privacy-unit <field>", "audit a tuning of units: canaries are all rows with one value of this field")
    .option("--rows-per-unit <m>", `most rows of a unit in a step (default: ${ROWS_PER_UNIT})`, wholeNumber(1))
    .option("--without-noise", "leave out the noise of --noise-multiplier, and only that: the audit should find it")
    .addHelpText("after", EXAMPLES)
    .action((options: Options, command: Command) => {
      refuseIgnored({ ...options, delta: undefined }, command);
      return auditOneRun(options, io);
    });
  withTraining(audit.command("lira").description("likelihood-ratio attack with shadow prompts (Carlini et al. 2022)"))
    .option("--shadows <n>", "prompts, each tuned on a random half of the rows and attacked once", wholeNumber(4), 8)
    .option("--roc <file>", "write the curve as an SVG picture")
    .addHelpText("after", EXAMPLES)
    .action((options: Options, command: Command) => {
      refuseIgnored(options, command);
      return auditLira(options, io);
    });
  registerInvariance(audit, io);
}

/** Ends with exit code 2 where an option was given that nothing would come of. */
function refuseIgnored(options: GivenAudit, command: Command): void {
  const given = Object.entries(options).filter(([name]) => command.getOptionValueSource(name) !== "default");
  const fault = auditFault(Object.fromEntries(given));
  if (fault) command.error(`error: ${fault}`);
}

function withTraining(command: Command): Command {
  command
    .requiredOption("--model <dir>", "model folder, or hub id such as org/name or org/name@revision")
    .requiredOption("--task <file>", "task.json")
    .requiredOption("--train <file>", `labelled private rows (${ROW_FORMATS})`)
    .option("--prompt-tokens <n>", "virtual tokens", wholeNumber(1), 100)
    .option("--steps <n>", "optimiser steps of every tuning", wholeNumber(1), 200)
    .option("--batch-size <n>", "expected examples a step", wholeNumber(1), 32)
    .option("--lr <x>", "learning rate of Adam", positiveNumber, 1e-3)
    .option("--clip <c>", "norm that a gradient is clipped to", positiveNumber, 1)
    .option("--noise-multiplier <s>", "noise in units of the clip norm (default: not private)", positiveNumber)
    .option("--delta <d>", "δ of the guarantee", numberBetween(0, 1), 1e-5)
    .option("--seed <n>", "seed of the choice of canaries or halves", wholeNumber(0), 0);
  return withColumns(command, ["text", "label"]);
}

async function auditOneRun(options: Options, io: Io): Promise<void> {
  const { delta, seed, canaries: count, guesses = Math.floor(count / 2) } = options;
  await withSubject(options, io, async (subject, { data, rows }, watch) => {
    const labels = subject.classes.length;
    const field = options.privacyUnit;
    const units = field === undefined ? rows.map((_, row) => [row]) : await readUnits(data, field);
    if (count > units.length || labels < 2) {
      const detail = `${units.length} ${field === undefined ? "rows" : `values of "${field}"`} can't give ${count} canaries with another label.`;
      throw new ProblemError("The audit needs more data", detail);
    }
    const draws = new Draws(seededRandom(seed));
    const order = shuffledIndices(units.length, draws).map((unit) => units[unit]!.map((row) => rows[row]!));
    const wrong = (row: LabelledText) => ({ ...row, label: (row.label + 1) % labels });
    const canaries = order.slice(0, count).map((unit) => unit.map(wrong));
    const members = canaries.map(() => draws.bernoulli(1, 2));
    const trained = [...order.slice(count), ...canaries.filter((_, i) => members[i])];
    const claimed = planOf(options, trained.length)?.epsilon ?? null;

    const prompt = await tuneOn(
      subject,
      trained.flat(),
      options,
      watch,
      field === undefined ? undefined : placesOf(trained),
    );
    const [before, after] = [
      await confidencesOf(subject, subject.start, canaries.flat(), watch),
      await confidencesOf(subject, prompt, canaries.flat(), watch),
    ];
    const moved = (places: readonly number[]) =>
      places.reduce((sum, place) => sum + after[place]! - before[place]!, 0) / places.length;
    const scored = placesOf(canaries).map((places, i): Scored => ({ member: members[i]!, score: moved(places) }));
    const { epsilon: epsilonLower, ...audit } = bestAudit(scored, guesses, delta);
    const consistent = claimed === null ? null : epsilonLower <= claimed;
    const verdict = consistent === false ? "NOT what the guarantee says" : "no contradiction to the guarantee";
    io.result(
      { ...audit, epsilonLower, confidence: CONFIDENCE, delta, claimed, consistent, auc: areaUnder(rocCurve(scored)) },
      `${audit.right} of ${audit.guesses} guesses right: ε ≥ ${epsilonLower.toPrecision(4)} with ${100 * CONFIDENCE} % confidence` +
        (claimed === null ? "" : `; claimed ε ${claimed.toPrecision(4)}: ${verdict}`),
    );
  });
}

/** Where the rows of each unit stand when all units are written one after the other. */
function placesOf(units: readonly (readonly unknown[])[]): number[][] {
  let next = 0;
  return units.map((unit) => unit.map(() => next++));
}

async function auditLira(options: Options, io: Io): Promise<void> {
  const { shadows, seed, roc } = options;
  if (roc !== undefined) requireWritable(roc);
  await withSubject(options, io, async (subject, { rows }, watch) => {
    const draws = new Draws(seededRandom(seed));
    const members: boolean[][] = [];
    const confidences: Float64Array[] = [];
    for (let shadow = 0; shadow < shadows; shadow++) {
      // Halves come in complementary pairs, so every row is in half of the prompts.
      const chosen = shadow % 2 === 1 ? members[shadow - 1]!.map((member) => !member) : randomHalf(rows.length, draws);
      const prompt = await tuneOn(
        subject,
        rows.filter((_, i) => chosen[i]),
        options,
        watch,
      );
      members.push(chosen);
      confidences.push(await confidencesOf(subject, prompt, rows, watch));
    }
    const scored = liraScores(confidences, members);
    const curve = rocCurve(scored);
    const auc = areaUnder(curve);
    const found = scored.filter(({ member }) => member).length;
    const [tprAt01, tprAt1] = [truePositiveRateAt(curve, 0.001), truePositiveRateAt(curve, 0.01)];
    const percent = (part: number) => `${(100 * part).toFixed(2)} %`;
    io.result(
      { shadows, examples: rows.length, auc, tprAt01, tprAt1, chance: chanceOfArea(auc, found, scored.length - found) },
      `LiRA with ${shadows} prompts: AUC ${auc.toFixed(4)}, finds ${percent(tprAt01)} at 0.1 % and ${percent(tprAt1)} at 1 % false positives`,
    );
    if (roc !== undefined) {
      const picture = rocPicture(curve, `LiRA, ${shadows} prompts, AUC ${auc.toFixed(3)}`);
      writing(roc, () => writeFileSync(roc, picture));
    }
  });
}

/** @throws ProblemError if a file can't be written. What it holds is left as it is, and it isn't made. */
function requireWritable(path: string): void {
  const isNew = !existsSync(path);
  writing(path, () => closeSync(openSync(path, "a")));
  if (isNew) rmSync(path);
}

function writing(path: string, write: () => void): void {
  try {
    write();
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new ProblemError("The curve can't be written", `--roc ${path} can't be written (${code}).`, { cause });
  }
}

/** Loads model, task and rows, and runs an audit on them. */
async function withSubject(
  options: Options,
  io: Io,
  run: (subject: AuditSubject, audited: { data: Data; rows: readonly LabelledText[] }, watch: Watch) => Promise<void>,
): Promise<void> {
  const task = requireClasses(await readTask(options.task));
  const loaded = await loadModel(options.model, io);
  const classes = await loadVerbalizer(task, loaded, io);
  requireRoom(task, options.promptTokens, loaded);
  if (options.noiseMultiplier !== undefined) requirePrivateRoom(task, options.promptTokens, loaded);
  const data = await dataFile(options.train, options, io);
  const rows = await encodedExamples(data, task, loaded, io.message);
  const ids = await initialisationIds(loaded.tokenizer, task.init, options.promptTokens);
  await engineRun(io, nothingWritten, async (engine, watch) => {
    const start = await initialPrompt(engine, loaded.model, ids);
    await run({ engine, model: loaded.model, classes, start }, { data, rows: [...rows] }, watch);
  });
}

function shuffledIndices(count: number, draws: Draws): number[] {
  return shuffle(
    Array.from({ length: count }, (_, i) => i),
    draws,
  );
}

function randomHalf(count: number, draws: Draws): boolean[] {
  const chosen = new Array<boolean>(count).fill(false);
  for (const index of shuffledIndices(count, draws).slice(0, count >> 1)) chosen[index] = true;
  return chosen;
}
