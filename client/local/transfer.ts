import { countTexts, type Data, pathOf, refuseUnits, rowsDigest } from "../../shared/data/jsonl.ts";
import type { Engine } from "../../shared/graph/engine.ts";
import { requireClasses } from "../../shared/operations/checks.ts";
import type { OpenModel } from "../../shared/operations/open-model.ts";
import { type Candidate, chooseSet } from "../../shared/operations/rank-public-sets.ts";
import { type SoftPrompt, softPromptOf } from "../../shared/operations/soft-prompt.ts";
import { encodedExamples, type Say } from "../../shared/operations/texts.ts";
import type { Transferred } from "../../shared/operations/transfer.ts";
import { type AnyTransferRequest, transferAs } from "../../shared/operations/transfer-answers.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import {
  type AnswersName,
  type LossName,
  MAX_PUBLIC_SETS,
  type Manifest,
  type RankedSet,
  type StartName,
} from "../../shared/protocol/manifest.ts";
import { TRANSFER_DEFAULTS } from "../../shared/protocol/transfer-options.ts";
import { neutralId } from "../../shared/submission/outgoing.ts";
import type { Watch } from "../../shared/training/events.ts";
import { describeRanked } from "../describe-transfer.ts";
import { requireNumbers } from "../number-rules.ts";
import { requireManifest, sayTo } from "./task.ts";
import { type EngineOptions, type StateOptions, withEngine, withState } from "./with-engine.ts";

export interface TransferOptions {
  readonly target: OpenModel;
  readonly student: OpenModel;
  /** Tuned on the student. */
  readonly prompt: SoftPrompt;
  /** Public texts; of several sets, the one that the prompted student tells apart best is taken (whether that is the best one isn't measured). */
  readonly public: Data | readonly Data[];
  /** The student is a model of its own, not one that was distilled from the target. */
  readonly open?: boolean | undefined;
  /** The weight of the movement term, or labelled public rows of a like task from which it is chosen. */
  readonly alpha?: number | { readonly labelled: Data } | undefined;
  /** What of student and target is compared, unless the task's kind decides it. */
  readonly loss?: LossName | undefined;
  readonly answers?: AnswersName | undefined;
  /** What the prompt starts from; of several, the one whose prompt travels best is kept. */
  readonly starts?: readonly StartName[] | undefined;
  /** How many public texts are chosen; all unless told. */
  readonly selected?: number | undefined;
  readonly steps?: number | undefined;
  readonly batchSize?: number | undefined;
  readonly learningRate?: number | undefined;
  readonly seed?: number | undefined;
}

/** Options with the public set that is taken, and with all of them as they were ranked if there are several. */
export type ChosenOptions = Omit<TransferOptions, "public"> & {
  readonly public: Data;
  readonly ranked?: readonly RankedSet[] | undefined;
};

/**
 * Takes one of the public sets, if there are several, by what the prompted student makes of them.
 * @param run runs something with an engine
 * @throws ProblemError for no set or too many, for private rows among them, and as `chooseSet`
 */
export async function choosePublic(
  options: TransferOptions,
  run: <T>(use: (engine: Engine, watch: Watch) => Promise<T>) => Promise<T>,
  say: Say,
): Promise<ChosenOptions> {
  const files = [options.public].flat();
  if (files.length === 1) return { ...options, public: files[0]! };
  if (files.length === 0 || files.length > MAX_PUBLIC_SETS) {
    const detail = `public: There must be 1 to ${MAX_PUBLIC_SETS} sets.`;
    throw new ProblemError("The options are not valid", detail, { status: 422 });
  }
  const { student, seed = 0 } = options;
  const prompt = requireManifest(options.prompt);
  const unit = prompt.manifest.privacy?.unit;
  const candidates: Candidate[] = [];
  for (const file of files) {
    if (unit) await refuseUnits(file, unit.field);
    const digest = await rowsDigest(file);
    candidates.push({ id: neutralId("public", digest), digest, file });
  }
  const { candidate, ranked } = await run((engine, watch) =>
    chooseSet({ student, prompt, seed }, candidates, { use: (_, work) => work(engine), watch }),
  );
  const named = (ranked ?? []).map((set) => {
    const { file } = candidates.find(({ digest }) => digest === set.digest)!;
    return { ...set, id: pathOf(file) };
  });
  for (const line of describeRanked(named)) say(line);
  return { ...options, public: candidate.file, ranked };
}

/**
 * Reads what a transfer is made of; nothing is computed.
 * @throws ProblemError with what is wrong with prompt, texts or options
 */
export async function readTransfer(options: ChosenOptions, say: Say): Promise<Omit<AnyTransferRequest, "state">> {
  requireNumbers({ ...options, alpha: typeof options.alpha === "object" ? undefined : options.alpha });
  const { target, student, open = false, alpha = TRANSFER_DEFAULTS.alpha, loss, answers } = options;
  const prompt = requireManifest(options.prompt);
  const { task, privacy } = prompt.manifest;
  if (privacy?.unit) await refuseUnits(options.public, privacy.unit.field);
  const digest = await rowsDigest(options.public);
  const { starts = ["words"], selected = null, seed = 0 } = options;
  const { steps = TRANSFER_DEFAULTS.steps, batchSize = TRANSFER_DEFAULTS.batchSize } = options;
  return {
    target,
    student,
    open,
    prompt,
    publicSet: {
      id: neutralId("public", digest),
      digest,
      file: options.public,
      examples: await countTexts(options.public),
    },
    ranked: options.ranked,
    loss,
    alpha:
      typeof alpha === "number"
        ? alpha
        : { labelled: await encodedExamples(alpha.labelled, requireClasses(task), target, say) },
    starts: [...new Set(starts)],
    selected,
    answers,
    steps,
    batchSize,
    learningRate: options.learningRate ?? TRANSFER_DEFAULTS.learningRate,
    seed,
  };
}

/** A prompt for a target, and how it came about. */
export type TransferredPrompt = SoftPrompt & { readonly manifest: Manifest } & Omit<Transferred, "prompt" | "facts">;

/**
 * Turns a prompt that was tuned on a student into one for its target, with public texts only.
 *
 * @throws ProblemError as `readTransfer`, or if the student isn't of this target; InterruptedError when stopped
 */
export async function transfer(
  options: TransferOptions & EngineOptions & StateOptions,
  watch: Watch = {},
): Promise<TransferredPrompt> {
  const { prompt, facts, ...figures } = await withState(options, async (state) => {
    const chosen = await choosePublic(
      options,
      (use) => withEngine(options, (engine) => use(engine, watch)),
      sayTo(watch),
    );
    const request = await readTransfer(chosen, sayTo(watch));
    return withEngine(options, (engine) =>
      transferAs(
        request.prompt.manifest.task,
        { ...request, state },
        { use: (_, run) => run(engine), bareStates: (_, compute) => compute(), watch },
      ),
    );
  });
  return { ...(await softPromptOf({ prompt, facts })), ...figures };
}
