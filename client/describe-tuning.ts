import type { TaskEvaluation } from "../shared/operations/evaluate.ts";
import type { GivenSchedule, Schedule } from "../shared/operations/tune-defaults.ts";
import type { PrivacyPlan } from "../shared/privacy/plan.ts";
import { unitText } from "../shared/privacy/unit.ts";
import { isGeneration } from "../shared/protocol/task.ts";
import { type Total, totalText } from "./charge-run.ts";
import { figureLines } from "./describe-figures.ts";
import { dataLine } from "./describe-task.ts";
import type { Tuning } from "./local/tune.ts";
import { count, next, percent, short, shortUp } from "./words.ts";

/** The rows that a tuning learns from: how many, and of which label. */
export function describeData({ rows, records, plan }: Tuning): string[] {
  const units = plan?.unit ? `, ${count(records, `different value`)} of "${plan.unit.field}"` : "";
  return [dataLine(rows, units)];
}

/** How a tuning goes on, and which of it was chosen because nothing else was asked for. */
export function describeSchedule(schedule: Schedule, { records, plan }: Tuning, given: GivenSchedule): string[] {
  const { batchSize, steps, learningRate, averagedSteps } = schedule;
  const passes = (steps * batchSize) / records;
  const mean = averagedSteps > 1 ? `, mean of the last ${averagedSteps} steps` : "";
  const units = plan?.unit ? "units" : "rows";
  const chosen = [
    ...(given.batchSize === undefined ? ["--batch-size"] : []),
    ...(given.steps === undefined && given.epochs === undefined ? ["--steps"] : []),
    ...(given.learningRate === undefined ? ["--lr"] : []),
    ...(given.averagedSteps === undefined ? ["--average"] : []),
  ];
  const why = `chosen for ${count(records, units.slice(0, -1))} ${plan ? "with" : "without"} privacy`;
  return [
    `Settings: ${count(steps, "step")} of ${plan ? "about " : ""}${batchSize} ${units} (${short(passes, 3)} passes of ${short(records / batchSize, 3)} steps), learning rate ${learningRate}${mean}`,
    ...(chosen.length > 0 ? [`  ${chosen.join(", ")}: ${why}`] : []),
  ];
}

/** What a private run guarantees, before it is charged. */
export function describePrivacy(plan: PrivacyPlan, deltaProposed: boolean, evaluated: boolean): string[] {
  const { epsilon, delta, noiseMultiplier, records, unit } = plan;
  return [
    `Privacy: ε ${shortUp(epsilon)} at δ ${short(delta)} for ${unitText(unit)} (noise multiplier ${short(noiseMultiplier)})`,
    ...(deltaProposed
      ? [
          `  --delta: the largest power of ten that is at most 1/(10 × ${records}), so that it is far below one in ${records}`,
        ]
      : []),
    ...(evaluated
      ? [
          "  The accuracy on the --eval rows is not part of the guarantee: if they are private, keep it to yourself and choose nothing by it.",
        ]
      : []),
  ];
}

interface End extends Tuning {
  readonly out: string;
  readonly loss: number;
  readonly measured: TaskEvaluation | undefined;
  readonly total: Total | undefined;
}

/** What came out: figures, what the prompt guarantees or that it guarantees nothing, and what to type next. */
export function describeEnd({ out, loss, measured, plan, total, model, task }: End): string[] {
  return [
    `${out}: soft prompt for ${model.name}, loss ${loss.toFixed(4)} on its own rows (which is for your eyes only)`,
    ...(measured ? figureLines(measured) : []),
    ...(plan && total ? guarantee(plan, total) : NO_GUARANTEE),
    ...(plan && !isGeneration(task) ? [beforePaying(measured)] : []),
    plan
      ? next("submit", "--prompt", out, "--dataset", "NAME", "--public", "ID").concat(
          "  (the provider's sets: softpost students)",
        )
      : next("evaluate", "--model", model.name, "--prompt", out, "--data", "FILE"),
  ];
}

/** Where one learns whether a transfer pays, which nothing on this machine tells. */
function beforePaying(measured: TaskEvaluation | undefined): string {
  const figures = measured?.kind === "classification" ? measured.figures : undefined;
  const bare = figures?.baselines.withoutPrompt ?? null;
  const here =
    figures && bare !== null ? `, which has ${percent(figures.accuracy)} here and ${percent(bare)} alone` : "";
  return `Before you pay: submit and quote tell with --check FILE --model STUDENT, on public rows, if the target alone does as well as the student with this prompt${here}.`;
}

function guarantee({ epsilon, delta, unit }: PrivacyPlan, total: Total): string[] {
  return [
    `Private: ε ${shortUp(epsilon)} at δ ${short(delta)} for ${unitText(unit)} (in words: softpost privacy explain).`,
    ...(total.runs > 1 ? [`  ${totalText(total)} That is what counts for the people in the data.`] : []),
  ];
}

/** What is said of a prompt that was tuned without privacy, wherever it turns up. */
export const NO_GUARANTEE = [
  "NOT PRIVATE: tuned without --epsilon, this prompt guarantees nothing; who has it may find out whose rows are in it. Don't send it.",
];
