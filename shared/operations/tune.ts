import { initialisationIds, requireCausal } from "../data/encode.ts";
import type { Rows } from "../data/packed-texts.ts";
import type { ManifestFacts } from "../data/prompt-folder.ts";
import { verbalizer } from "../data/verbalizer.ts";
import type { Engine, Value } from "../graph/engine.ts";
import { groupFigures } from "../privacy/group.ts";
import type { PrivacyPlan } from "../privacy/plan.ts";
import { MAX_VIRTUAL_TOKENS } from "../prompt/adapter.ts";
import { ProblemError } from "../protocol/errors.ts";
import type { RandomSource } from "../protocol/random.ts";
import { isGeneration, type Task } from "../protocol/task.ts";
import { computedModel } from "../protocol/weights.ts";
import { type DpTuned, dpTune } from "../training/dp-tune.ts";
import type { Watch } from "../training/events.ts";
import { initialPrompt } from "../training/initial-prompt.ts";
import type { Examples, LabelledText } from "../training/objective.ts";
import { ADAM } from "../training/optimizers.ts";
import { loadRun } from "../training/run-state.ts";
import type { Sequence } from "../training/sequences.ts";
import { type Order, type Tuned, tune } from "../training/tune.ts";
import { requireFinite, requirePrivateRoom, requirePublishedWeights, requireRoom } from "./checks.ts";
import { classWords } from "./class-words.ts";
import type { OpenModel } from "./open-model.ts";
import type { SoftPrompt } from "./soft-prompt.ts";

export interface TuneRequest {
  readonly model: OpenModel;
  readonly task: Task;
  /** With labels, or with answers, as the task's kind has it. */
  readonly examples: Rows<LabelledText> | Rows<Sequence>;
  /** SHA-256 of the examples' file and the columns that are read of it: a run is only resumed on the same data. */
  readonly dataDigest: string;
  /** A prompt to start from, or the number of virtual tokens of one that starts from the task's `init` text. */
  readonly start: SoftPrompt | number;
  /** That no private row had a part in the prompt to start from: a private run claims nothing of what it began with. */
  readonly publicStart?: boolean | undefined;
  readonly steps: number;
  readonly batchSize: number;
  readonly optimizer: "adam" | "sgd";
  readonly learningRate: number;
  /** The prompt is the mean over this many last steps; 1 for the last iterate. */
  readonly averagedSteps: number;
  /** Of the batches without privacy; a private run samples. */
  readonly order: Order;
  /** The guarantee, and where its noise is from; null for a run without privacy. */
  readonly privacy: {
    readonly plan: PrivacyPlan;
    readonly random: RandomSource;
    /** The rows of each unit of the plan, if it has one. */
    readonly units?: readonly (readonly number[])[] | undefined;
    /** Charges the run to the data's ledger; called when all else is known to be right, before the first step. */
    readonly charge: () => Promise<void>;
  } | null;
  /** Where the run's state is kept, and whether it goes on from there. */
  readonly state: { readonly path: string; readonly resume: boolean };
}

/** A tuned prompt, and what is to be written beside it. */
export interface TunedPrompt {
  readonly prompt: Value;
  readonly facts: ManifestFacts;
  /** Mean loss of the last steps, on the private data: it stays on this machine. */
  readonly loss: number;
}

declare const CHECKED: unique symbol;

/** A tuning of which `checkTuning` found nothing wrong. */
export type CheckedTuning = TuneRequest & { readonly [CHECKED]: true };

/**
 * Refuses what can't be tuned, before anything is computed or charged.
 * @throws ProblemError if prompt and texts have no room, a private run begins with a prompt that may know its rows, the task's words or init text can't be used, more steps are averaged than done, or a run
 *   that is resumed had other settings
 */
export async function checkTuning(request: TuneRequest): Promise<CheckedTuning> {
  const { model, task, start, steps, averagedSteps, privacy, state } = request;
  const rows = typeof start === "number" ? start : start.value.shape[0]!;
  requireRoom(task, rows, model);
  if (privacy) {
    requirePublishedWeights(model);
    requirePrivateRoom(task, rows, model);
    requirePublicStart(request);
  }
  if (rows > MAX_VIRTUAL_TOKENS)
    throw new ProblemError("The prompt is too long", `--prompt-tokens may be at most ${MAX_VIRTUAL_TOKENS}.`);
  if (isGeneration(task)) requireCausal(model.model.kind);
  else await verbalizer(task, model.tokenizer);
  await initialisationIds(model.tokenizer, task.init, rows);
  if (averagedSteps > steps) {
    const detail = `--average is ${averagedSteps}, the run has ${steps === 1 ? "1 step" : `${steps} steps`}.`;
    throw new ProblemError("More steps to average than to do", detail);
  }
  // Settings of an unfinished run that differ are found here, before the run is charged.
  if (state.resume) await loadRun(state.path, settingsOf(request));
  return request as CheckedTuning;
}

/**
 * @throws ProblemError for a private run that begins with a prompt of which nobody says that it is public: one that was tuned on these rows without privacy would
 * give them away under this run's ε, and one with privacy under less than both
 */
function requirePublicStart({ start, publicStart }: TuneRequest): void {
  if (typeof start === "number" || publicStart) return;
  const { manifest } = start;
  const made = manifest
    ? manifest.privacy
      ? "with a privacy budget of its own"
      : "without privacy"
    : "nobody says how";
  const detail = `The prompt to start from was tuned ${made}, and this run's ε covers only what comes after it. Start from the task's init text; or, if none of these rows (nor others of these people) had a part in that prompt, say so with --public-start.`;
  throw new ProblemError("The start may know the private rows", detail, { status: 422 });
}

/**
 * Tunes a prompt on private examples. A private run is charged when nothing but its steps is left to do.
 * @throws ProblemError if the run can't be charged or the result isn't finite; InterruptedError when stopped, after the state was saved
 */
export async function tunePrompt(request: CheckedTuning, engine: Engine, watch: Watch): Promise<TunedPrompt> {
  const { model, steps, batchSize, optimizer, learningRate, averagedSteps, privacy } = request;
  const tuning = {
    ...(await examplesOf(request, watch)),
    engine,
    model: model.model,
    start: await startOf(request, engine),
    optimizer: optimizer === "sgd" ? ({ name: "sgd" } as const) : ADAM,
    learningRate,
    averagedSteps,
    state: { ...request.state, settings: settingsOf(request) },
  };
  const tuned: Tuned & Partial<DpTuned> = privacy
    ? await dpTune({ ...tuning, ...privacy }, watch)
    : await tune({ ...tuning, steps, batchSize, order: request.order }, watch);
  if (tuned.leftOut) {
    watch.onEvent?.({ kind: "note", text: `${tuned.leftOut} gradients were not finite and counted as zero.` });
  }
  requireFinite(tuned.prompt.data, "The prompt's values");
  return { prompt: tuned.prompt, facts: factsOf(request), loss: tuned.loss };
}

/** What a run is tuned on, with the words of its labels. */
export async function examplesOf({ task, model, examples }: TuneRequest, watch: Watch): Promise<Examples> {
  if (isGeneration(task)) return { examples: examples as Rows<Sequence> };
  const classes = await classWords(task, model, watch);
  return { classes, examples: examples as Rows<LabelledText> };
}

/** The prompt that a run starts from, `[P, D]`. */
export async function startOf({ model, task, start }: TuneRequest, engine: Engine): Promise<Value> {
  if (typeof start !== "number") return start.value;
  return initialPrompt(engine, model.model, await initialisationIds(model.tokenizer, task.init, start));
}

function factsOf(request: TuneRequest): ManifestFacts {
  const { model, task, start, steps, batchSize, optimizer, learningRate, averagedSteps, privacy } = request;
  const given = typeof start === "number" ? undefined : start;
  const text = given?.manifest?.initialisation.text ?? task.init;
  return {
    task,
    model: model.record,
    initialisation: given ? { text, promptDigest: given.digest } : { text },
    training: { optimizer, learningRate, steps, batchSize, ...(averagedSteps > 1 && { averagedSteps }) },
    privacy: privacy && { ...privacy.plan, groups: groupFigures(privacy.plan) },
  };
}

/** What must be equal for a run to be resumed. */
function settingsOf(request: TuneRequest) {
  const { model, task, dataDigest, start, steps, batchSize, optimizer, learningRate, averagedSteps, order, privacy } =
    request;
  return {
    command: "tune",
    model: computedModel(model.record),
    precision: model.model.precision,
    task: JSON.stringify(task),
    train: dataDigest,
    start: typeof start === "number" ? "init" : start.digest,
    virtualTokens: typeof start === "number" ? start : start.value.shape[0]!,
    steps,
    batchSize,
    // Private runs of earlier releases left the noise in Adam's second moment.
    optimizer: privacy && optimizer === "adam" ? "adam without noise" : optimizer,
    learningRate,
    averagedSteps,
    seed: order.kind === "shuffled" ? order.seed : 0,
    shuffle: order.kind === "shuffled",
    privacy: privacy && JSON.stringify(privacy.plan),
  };
}
