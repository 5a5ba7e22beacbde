import { firstEquals } from "../data/equal-texts.ts";
import type { ManifestFacts } from "../data/prompt-folder.ts";
import { verbalizer } from "../data/verbalizer.ts";
import type { Engine, Value } from "../graph/engine.ts";
import { ProblemError } from "../protocol/errors.ts";
import type { ModelRecord, Travel } from "../protocol/manifest.ts";
import { transferAverage } from "../protocol/transfer-options.ts";
import { computedModel } from "../protocol/weights.ts";
import type { Watch } from "../training/events.ts";
import { ADAM } from "../training/optimizers.ts";
import { type Division, hardlyNamed, holdOut, readingsOf } from "../training/public-texts.ts";
import { readScores, transfer } from "../training/transfer.ts";
import { TEMPERATURES } from "../training/transfer-loss.ts";
import { adviceOn, compareScores, pick } from "../training/travel.ts";
import { requireClasses, requireFinite, requireRoom } from "./checks.ts";
import { classWords } from "./class-words.ts";
import { type TakenTexts, takeTexts } from "./public-set.ts";
import { requireSharedTokenizer } from "./shared-tokenizer.ts";
import type { TransferRequest, TransferTools } from "./transfer-request.ts";
import { bareStatesOf, bestAlpha, cacheOf, startsOf } from "./transfer-student.ts";

/** A prompt for the target, and what is to be written beside it. */
export interface Transferred {
  readonly prompt: Value;
  readonly facts: ManifestFacts;
  /** Mean public loss of the last steps. */
  readonly loss: number;
  readonly alpha: number;
  /** How well it travelled, on held-out public texts; null where there were too few to hold some out. */
  readonly travel: Travel | null;
  /** What whoever reads this should know about it. */
  readonly advice: readonly string[];
}

/**
 * Turns a prompt that was tuned on a student into one for its target, with public texts. Everything that is chosen (texts, start) is
 * chosen by what the prompted student makes of public texts.
 * @throws ProblemError if the student isn't of this target, prompt and texts have no room in it, or the result isn't finite;
 *   InterruptedError when stopped, after the state was saved
 */
export async function transferPrompt(request: TransferRequest, tools: TransferTools): Promise<Transferred> {
  const { target, student, prompt, publicSet, loss, steps, batchSize, learningRate, seed } = request;
  const task = requireClasses(prompt.manifest.task);
  requireRoom(task, prompt.value.shape[0]!, target);
  requireOpen(request);
  await requireSharedTokenizer(request);
  const { classes } = await verbalizer(task, target.tokenizer);
  const graphs = [
    computedModel(target.record),
    computedModel(student.record),
    prompt.value.shape[0],
    target.model.precision,
  ].join(" ");
  const taken = await takeTexts(request, (run) => tools.use(graphs, run), tools.watch);
  const bare = await bareStatesOf(request, taken, tools);
  const averagedSteps = transferAverage(steps);
  const made = await tools.use(graphs, async (engine) => {
    const { watch } = tools;
    const starts = await startsOf(engine, request);
    const alpha = typeof request.alpha === "number" ? request.alpha : await bestAlpha(engine, request, watch);
    const scores = taken.scores ?? (await studentScores(engine, request, taken, watch));
    requireFinite(scores, "The class scores of the prompted student");
    const division = divide(request, taken);
    const cache = await cacheOf(engine, request, { taken, scores, bare, alpha }, watch);
    const numbers = { steps, averagedSteps, batchSize, seed };
    const names = { loss, starts: request.starts.join(), selected: request.selected };
    const moved = await transfer(
      {
        engine,
        target: target.model,
        texts: taken.texts,
        fitted: division.fitted,
        criterion: { loss, alpha, classes },
        cache,
        attempts: starts.map((start) => ({ start, learningRate })),
        ...numbers,
        optimizer: ADAM,
        state: { ...request.state, settings: { ...numbers, ...names, learningRate, alpha, ...identities(request) } },
      },
      watch,
    );
    for (const { data } of moved.prompts) requireFinite(data, "The prompt's values");
    const best = await bestOf(engine, request, { prompts: moved.prompts, taken, scores, division, classes }, watch);
    return { ...best, alpha, loss: moved.losses[best.index]!, scores, fitted: division.fitted };
  });
  const { alpha, travel, fitted } = made;
  const training = { optimizer: "adam" as const, learningRate, steps, batchSize, averagedSteps };
  const origin = {
    student: student.record,
    promptDigest: prompt.digest,
    publicSet: { id: publicSet.id, digest: publicSet.digest, examples: publicSet.examples, fitted: fitted.length },
    ...(request.ranked && { ranked: [...request.ranked] }),
    loss,
    alpha,
    temperature: TEMPERATURES[loss],
    start: request.starts[made.index]!,
    ...(travel && { travel }),
    training,
  };
  const facts = { ...prompt.manifest, model: target.record as ModelRecord, transfer: origin };
  const advice = [
    ...coverage(request, pick(made.scores, classes.length, fitted)),
    ...(travel
      ? adviceOn(travel, {
          loss: alpha === 0 && loss === "classes" ? made.loss : null,
          steps,
          batchSize,
          texts: fitted.length,
        })
      : []),
  ];
  return { prompt: made.prompt, facts, loss: made.loss, alpha, travel, advice };
}

/** @throws ProblemError for what only a student that was cut from the target can be used for */
function requireOpen({ open, loss, starts, alpha }: TransferRequest): void {
  if (!open) return;
  const needs = [
    ...(loss === "vocabulary" ? ["the vocabulary loss"] : []),
    ...(starts.includes("prompt") ? ["a start from the student's prompt"] : []),
    ...(typeof alpha === "number" ? [] : ["α from labelled texts"]),
  ];
  if (needs.length === 0) return;
  const detail = `${needs.join(" and ")} can only be used with a student that was distilled from the target, not with an open one.`;
  throw new ProblemError("The options do not fit the student", detail, { status: 422 });
}

async function studentScores(
  engine: Engine,
  { student, prompt }: TransferRequest,
  { studentTexts }: TakenTexts,
  watch: Watch,
): Promise<Float32Array> {
  const classes = await classWords(prompt.manifest.task, student, watch);
  const name = "reading the prompted student";
  return readScores(engine, student.model, classes, studentTexts, name, watch, prompt.value);
}

/** Holds some of the texts out. @throws ProblemError if several starts are to be compared and there are too few for that */
function divide({ starts, seed }: TransferRequest, { texts, heldOut }: TakenTexts): Division {
  const division = holdOut(
    Int32Array.from({ length: texts.length }, (_, text) => text),
    firstEquals(texts),
    seed,
    heldOut,
  );
  if (starts.length === 1 || division.heldOut.length > 0) return division;
  const detail = `of ${texts.length} public texts none can be held out to compare ${starts.length} starts by: use one start, or at least 10 different texts.`;
  throw new ProblemError("There are too few public texts", detail, { status: 422 });
}

/**
 * Of the prompts that were made, the one whose divergence from the prompted student on held-out texts is least. It takes a moment, so
 * what a watcher saw last stays the steps.
 */
async function bestOf(
  engine: Engine,
  { target }: TransferRequest,
  made: {
    readonly taken: TakenTexts;
    readonly prompts: readonly Value[];
    readonly scores: Float32Array;
    readonly division: Division;
    readonly classes: readonly Int32Array[];
  },
  { signal }: Watch,
): Promise<{ readonly index: number; readonly prompt: Value; readonly travel: Travel | null }> {
  const { heldOut } = made.division;
  if (heldOut.length === 0) return { index: 0, prompt: made.prompts[0]!, travel: null };
  const texts = Array.from(heldOut, (index) => made.taken.texts.at(index)!);
  const wanted = pick(made.scores, made.classes.length, heldOut);
  const travels: Travel[] = [];
  for (const prompt of made.prompts) {
    const scores = await readScores(engine, target.model, made.classes, texts, "comparing", { signal }, prompt);
    travels.push({ heldOut: heldOut.length, ...compareScores(wanted, scores, made.classes.length) });
  }
  const index = travels.reduce((best, { divergence }, i) => (divergence < travels[best]!.divergence ? i : best), 0);
  return { index, prompt: made.prompts[index]!, travel: travels[index]! };
}

/** Classes that an advice names; a task may have a thousand. */
const MOST_NAMED = 8;

/** What public texts can't carry. */
function coverage({ prompt }: TransferRequest, scores: Float32Array): string[] {
  const { labels } = requireClasses(prompt.manifest.task);
  const missing = hardlyNamed(readingsOf(scores, labels.length), labels.length).map((k) => labels[k]!.name);
  if (missing.length === 0) return [];
  const more = missing.length > MOST_NAMED ? ` and ${missing.length - MOST_NAMED} more` : "";
  return [
    `On the public texts the prompted student hardly ever says ${missing.slice(0, MOST_NAMED).join(", ")}${more}: what the prompt knows of ` +
      "that can't travel by them. Use public texts that are more like the private ones.",
  ];
}

/** What makes a run this run, beside its numbers. */
function identities({ target, student, prompt, publicSet, open }: TransferRequest) {
  return {
    command: "transfer",
    task: JSON.stringify(prompt.manifest.task),
    open,
    target: computedModel(target.record),
    student: computedModel(student.record),
    prompt: prompt.digest,
    public: publicSet.digest,
  };
}
